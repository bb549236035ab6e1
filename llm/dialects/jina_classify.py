"""Jina's classify (https://jina.ai/classifier): texts and images put under labels by an embedding model, whose input
it is charged as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_OBJECT: Final = "classification"
_SETTINGS: Final = ("labels", "classifier_id")
TOLD_BY: Final = frozenset({"data"})


def score(call: Call) -> int:
    if loose.first(call.sample.get("data")).get("object") == _OBJECT:
        return 100
    return 65 if call.path.endswith("/v1/classify") and call.provider == "jina" else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Classes are not streamed; of JSON lines the last object stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(objects[-1]) if objects else {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return "data" in body


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    return Reading(
        kind="embedding" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=usage.all_input(loose.mapping(body.get("usage"))) or Usage(),
        request_preview=preview.line(next(iter(_texts(request)), "")),
        response_preview=preview.line("; ".join(map(_class, loose.mappings(body.get("data"))))),
    )


def _texts(request: Mapping[str, Any]) -> list[str]:
    """Texts to be classified, bare or in an object; images are left out."""
    said = [item.get("text") if isinstance(item, dict) else item for item in loose.listing(request.get("input"))]
    return [text for text in said if isinstance(text, str)]


def _class(item: Mapping[str, Any]) -> str:
    named, sure = loose.text(item.get("prediction")), item.get("score")
    return f"{named} ({sure:.2f})" if isinstance(sure, float) else named


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    found = loose.mappings(loose.mapping(response).get("data"))
    return Conversation(
        messages=(Message("user", tuple(Part("text", text=text) for text in _texts(request))),),
        reply=(Message("assistant", (Part("data", text=loose.pretty(found), name="classes"),)),) if found else (),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )
