"""Groq's chat: OpenAI's, with its times in the usage, and a stream's usage in `x_groq`."""

from __future__ import annotations

from collections.abc import Iterator

from helicone_site.demo.provider import openai_chat
from helicone_site.demo.provider.openai_chat import question
from helicone_site.demo.provider.reply import Event, Json, Reply

__all__ = ["events", "question", "reply_body"]

_TOKEN_SECONDS = 0.0004


def reply_body(reply: Reply, body: Json) -> Json:
    """The whole reply."""
    whole = openai_chat.reply_body(reply, body)
    return whole | {"usage": _usage(reply), "x_groq": {"id": reply.identifier("req_")}, "service_tier": "on_demand"}


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """OpenAI's chunks, the first with Groq's id, that with the finish reason with the usage, asked for or not."""
    asks = bool((body.get("stream_options") or {}).get("include_usage"))
    for at, (name, chunk) in enumerate(openai_chat.events(reply, body)):
        more: Json = {"id": reply.identifier("req_")} if at == 0 else {}
        if any(choice["finish_reason"] for choice in chunk["choices"]):
            more = {"id": reply.identifier("req_"), "usage": _usage(reply)}
        counted = {"usage": _usage(reply)} if asks and not chunk["choices"] else {}
        yield name, chunk | counted | ({"x_groq": more} if more else {})


def _usage(reply: Reply) -> Json:
    read, written = reply.input_tokens * _TOKEN_SECONDS / 10, reply.output_tokens * _TOKEN_SECONDS
    return {
        "queue_time": 0.01,
        "prompt_tokens": reply.input_tokens,
        "prompt_time": read,
        "completion_tokens": reply.output_tokens,
        "completion_time": written,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "total_time": read + written,
    }
