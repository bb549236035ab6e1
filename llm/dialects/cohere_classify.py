"""Cohere's classify (https://docs.cohere.com/reference/classify): texts put into classes, charged by the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import cohere_parts, loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading

TOLD_BY: Final = frozenset({"classifications"})


def score(call: Call) -> int:
    first = loose.first(call.sample.get("classifications"))
    if "prediction" in first or "predictions" in first:
        return 95
    return 60 if call.path.endswith("/v1/classify") else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Classes are not streamed; of JSON lines the last object stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(objects[-1]) if objects else {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return "classifications" in body


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    return Reading(
        kind="llm" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        usage=cohere_parts.read(body),
        provider_response_id=loose.name(body.get("id")),
        request_preview=preview.line(next(iter(_texts(request)), "")),
        response_preview=preview.line("; ".join(map(_class, loose.mappings(body.get("classifications"))))),
    )


def _texts(request: Mapping[str, Any]) -> list[str]:
    return [text for text in loose.listing(request.get("inputs")) if isinstance(text, str)]


def _class(item: Mapping[str, Any]) -> str:
    named = loose.text(item.get("prediction")) or ", ".join(map(str, loose.listing(item.get("predictions"))))
    sure = item.get("confidence")
    return f"{named} ({sure:.2f})" if isinstance(sure, float) else named


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    found = loose.mappings(loose.mapping(response).get("classifications"))
    examples = request.get("examples")
    shown = [Part("data", text=loose.pretty(examples), name="examples")] if examples else []
    return Conversation(
        messages=(Message("user", (*shown, *(Part("text", text=text) for text in _texts(request)))),),
        reply=(Message("assistant", (Part("data", text=loose.pretty(found), name="classes"),)),) if found else (),
    )
