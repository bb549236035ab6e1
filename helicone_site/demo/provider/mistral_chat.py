"""Mistral's chat: OpenAI's, its ids bare, and a stream's usage always on the chunk that ends it."""

from __future__ import annotations

from collections.abc import Iterator

from helicone_site.demo.provider import openai_chat
from helicone_site.demo.provider.openai_chat import question
from helicone_site.demo.provider.reply import Event, Json, Reply

__all__ = ["events", "own_error", "question", "reply_body"]


def reply_body(reply: Reply, body: Json) -> Json:
    """The whole reply."""
    choices = [_mistrals(choice) for choice in openai_chat.reply_body(reply, body)["choices"]]
    return _envelope(reply, "chat.completion") | {"choices": choices, "usage": _usage(reply)}


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """The chunks of a streamed reply; `[DONE]` is not among them."""
    for name, chunk in openai_chat.events(reply, {"stream": True}):
        choices = [_mistrals(choice) for choice in chunk["choices"]]
        is_last = any(choice["finish_reason"] for choice in choices)
        counted = {"usage": _usage(reply)} if is_last else {}
        yield name, _envelope(reply, "chat.completion.chunk") | {"choices": choices} | counted


def _envelope(reply: Reply, kind: str) -> Json:
    return {"id": reply.seed, "object": kind, "created": reply.created, "model": reply.model}


def _mistrals(choice: Json) -> Json:
    kept = {name: value for name, value in choice.items() if name != "logprobs"}
    for name in ("message", "delta"):
        if name in kept:
            kept[name] = {key: value for key, value in kept[name].items() if key not in {"refusal", "annotations"}}
    return kept


def _usage(reply: Reply) -> Json:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def own_error(status: int, message: str) -> Json:
    """An error as Mistral answers it."""
    return {"object": "error", "message": message, "type": "invalid_request_error", "param": None, "code": None}
