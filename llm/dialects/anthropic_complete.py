"""Anthropic's older text completions (https://docs.anthropic.com/en/api/complete), which tell no token counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading

_SETTINGS: Final = ("max_tokens_to_sample", "temperature", "top_p", "top_k", "stop_sequences", "stream")
TOLD_BY: Final = frozenset({"type", "completion"})


def score(call: Call) -> int:
    sample = call.sample
    if sample.get("type") == "completion" or ("completion" in sample and "stop_reason" in sample):
        return 100
    return 75 if call.path.endswith("/v1/complete") else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    texts: list[str] = []
    for event in events:
        if isinstance(event, dict) and event.get("type") != "ping":
            texts.append(loose.text(event.get("completion")))
            body.update({key: value for key, value in event.items() if value is not None or key not in body})
    return {**body, "completion": "".join(texts)}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return body.get("stop_reason") is not None


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    return Reading(
        kind="llm" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        finish_reason=loose.name(body.get("stop_reason")),
        provider_response_id=loose.name(body.get("id")) or loose.name(body.get("log_id")),
        end_user_id=loose.name(loose.mapping(request.get("metadata")).get("user_id")),
        request_preview=preview.line(loose.text(request.get("prompt"))),
        response_preview=preview.line(loose.text(body.get("completion"))),
    )


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    asked, said = loose.text(request.get("prompt")), loose.text(body.get("completion"))
    reply = Message("assistant", (Part("text", text=said),), finish_reason=loose.text(body.get("stop_reason")))
    return Conversation(
        messages=(Message("user", (Part("text", text=asked),)),) if asked else (),
        reply=(reply,) if said else (),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )
