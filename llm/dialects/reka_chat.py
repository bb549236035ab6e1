"""Reka's own chat (https://docs.reka.ai/chat): replies stand in `responses`, a stream's under `chunk`.

A stream tells the usage so far each time, and the text either by pieces or all that has come so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message
from llm.exchange import Reading, Usage

_SETTINGS: Final = (
    "temperature", "top_p", "top_k", "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty",
    "use_search_engine", "stream",
)
TOLD_BY: Final = frozenset({"responses"})


def score(call: Call) -> int:
    first = loose.first(call.sample.get("responses"))
    if "chunk" in first or ("message" in first and "finish_reason" in first):
        return 98
    return 72 if call.provider == "reka" and call.path.endswith("/v1/chat") else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been."""
    latest: dict[str, Any] = {}
    replies: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        if type(event) is dict:
            latest.update({key: value for key, value in event.items() if value is not None})
            for number, piece in enumerate(loose.mappings(event.get("responses"))):
                replies.setdefault(number, []).append(piece)
    body = openai_parts.without(latest, "responses")
    return {**body, "responses": [_whole(replies[number]) for number in sorted(replies)]}


def _whole(pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    reply: dict[str, Any] = {}
    message: dict[str, Any] = {}
    texts: list[str] = []
    for piece in pieces:
        told = loose.mapping(piece.get("chunk") or piece.get("message"))
        texts.append(openai_parts.content_text(told.get("content")))
        message.update({key: value for key, value in told.items() if value is not None})
        reply.update({key: value for key, value in piece.items() if key not in ("chunk", "message")})
    return {**reply, "message": {**message, "content": openai_parts.joined(texts)}}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return _finish(loose.first(body.get("responses"))) is not None


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    reply = loose.first(body.get("responses"))
    sent = body.get("usage")
    return Reading(
        kind="llm" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")) or loose.name(request.get("model_name")),
        response_model=loose.name(body.get("model")),
        usage=usage.openai(sent) if isinstance(sent, dict) and sent else Usage(),
        finish_reason=_finish(reply),
        provider_response_id=loose.name(body.get("id")),
        request_preview=preview.line(openai_parts.last_user_text(loose.listing(request.get("messages")))),
        response_preview=preview.line(openai_parts.content_text(loose.mapping(reply.get("message")).get("content"))),
    )


def _finish(reply: Mapping[str, Any]) -> str | None:
    return loose.name(reply.get("finish_reason"))


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    replies = loose.mappings(loose.mapping(response).get("responses"))
    return Conversation(
        messages=tuple(map(openai_parts.message, loose.mappings(request.get("messages")))),
        reply=tuple(map(_reply, replies)),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _reply(reply: Mapping[str, Any]) -> Message:
    said = openai_parts.message({"role": "assistant", **loose.mapping(reply.get("message"))})
    return Message(said.role, said.parts, said.name, _finish(reply) or "")
