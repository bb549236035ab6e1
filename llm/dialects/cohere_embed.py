"""Cohere's embed (https://docs.cohere.com/reference/embed): vectors by type, of texts and of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import cohere_parts, loose, openai_parts, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading

_PATHS: Final = ("/v1/embed", "/v2/embed")
_SETTINGS: Final = ("input_type", "embedding_types", "output_dimension", "truncate", "max_tokens", "priority")
TOLD_BY: Final = frozenset({"embeddings"})


def score(call: Call) -> int:
    sample = call.sample
    if "embeddings" in sample and ("meta" in sample or "response_type" in sample):
        return 95
    return 80 if call.path.endswith(_PATHS) else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Embeddings are not streamed; of JSON lines the last object stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(objects[-1]) if objects else {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return "embeddings" in body


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    asked = _asked(request)
    return Reading(
        kind="embedding" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=cohere_parts.read(body),
        provider_response_id=loose.name(body.get("id")),
        request_preview=preview.line(next((part.text for part in asked if part.text), "")),
        response_preview=_response_preview(body),
    )


def _asked(request: Mapping[str, Any]) -> list[Part]:
    found = [Part("text", text=text) for text in loose.listing(request.get("texts")) if isinstance(text, str)]
    found += [Part("image", url=url) for url in loose.listing(request.get("images")) if isinstance(url, str)]
    for item in loose.mappings(request.get("inputs")):
        found += openai_parts.content_parts(item.get("content"))
    return found


def _vectors(body: Mapping[str, Any]) -> list[Any]:
    """The vectors of a reply: a plain list in version 1, else those of its first type."""
    told = body.get("embeddings")
    lists = [value for value in told.values() if isinstance(value, list)] if isinstance(told, dict) else [told]
    return next((each for each in lists if isinstance(each, list) and each), [])


def _response_preview(body: Mapping[str, Any]) -> str:
    vectors = _vectors(body)
    if not vectors:
        return ""
    size = f" of {len(vectors[0])} dimensions" if isinstance(vectors[0], list) else ""
    return f"{len(vectors)} vector{'s' if len(vectors) > 1 else ''}{size}"


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    told = _response_preview(loose.mapping(response))
    return Conversation(
        messages=tuple(Message("user", (part,)) for part in _asked(request)),
        reply=(Message("assistant", (Part("data", text=told, name="embedding"),)),) if told else (),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )
