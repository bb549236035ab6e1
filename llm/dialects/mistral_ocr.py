"""Mistral's document reader (https://docs.mistral.ai/api/endpoint/ocr): pages in, Markdown out, charged by the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

TOLD_BY: Final = frozenset({"pages"})


def score(call: Call) -> int:
    if isinstance(call.sample.get("pages"), list) and "usage_info" in call.sample:
        return 100
    return 70 if call.method == "POST" and call.path.endswith("/ocr") else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Documents are not streamed; of JSON lines the last object stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(objects[-1]) if objects else {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return "pages" in body


def read(call: Call) -> Reading:
    """Pages are no tokens: they stand in what was sent, where prices by the page look for them."""
    request, body = call.request, loose.mapping(call.response)
    sent = body.get("usage_info")
    return Reading(
        kind="image" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=Usage(sent=sent) if isinstance(sent, dict) and sent else Usage(),
        request_preview=preview.line(_document(request)),
        response_preview=preview.line(next(filter(None, _texts(body)), "")),
    )


def _document(request: Mapping[str, Any]) -> str:
    """Its name or address; one sent within the request has none worth showing."""
    told = loose.mapping(request.get("document"))
    image = told.get("image_url")
    names = (told.get("document_name"), told.get("document_url"), image, loose.mapping(image).get("url"))
    return next((name for name in map(loose.text, names) if name and not name.startswith("data:")), "")


def _texts(body: Mapping[str, Any]) -> list[str]:
    return [loose.text(page.get("markdown")) for page in loose.mappings(body.get("pages"))]


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    parts = tuple(Part("text", text=text) for text in _texts(body) if text)
    if noted := loose.text(body.get("document_annotation")):
        parts += (Part("data", text=noted, name="annotation"),)
    document = _document(request)
    return Conversation(
        messages=(Message("user", (Part("file", name=document),)),) if document else (),
        reply=(Message("assistant", parts),) if parts else (),
        settings={key: value for key, value in request.items() if key not in ("document", "model")},
    )
