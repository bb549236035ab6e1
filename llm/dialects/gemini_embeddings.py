"""Google's embeddings: embedContent and batchEmbedContents, and Vertex' older `:predict` with its token statistics.

https://ai.google.dev/api/embeddings — older models tell no usage at all; Vertex counts each text for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import gemini_parts, loose, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage
from llm.gemini_parts import at

_PATHS: Final = (":embedcontent", ":batchembedcontents", ":embedtext", ":batchembedtext")
_VECTORS: Final = ("embeddings", "textEmbedding", "imageEmbedding", "videoEmbeddings")
TOLD_BY: Final = frozenset({"embeddings", "embedding", "predictions"})
_SETTINGS: Final = ("taskType", "outputDimensionality", "title", "parameters", "autoTruncate")


def score(call: Call) -> int:
    sample = call.sample
    if not TOLD_BY.isdisjoint(sample):
        first = loose.first(sample.get("embeddings")) or loose.mapping(sample.get("embedding"))
        if isinstance(first.get("values"), list) or _predicted(sample):
            return 95
    return 85 if call.path.endswith(_PATHS) else 0


def _predicted(body: Mapping[str, Any]) -> bool:
    return any(key in loose.first(body.get("predictions")) for key in _VECTORS)


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Embeddings are not streamed; of JSON lines the last object stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(objects[-1]) if objects else {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return True


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    return Reading(
        kind="embedding" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(at(body, "modelVersion")),
        usage=_usage(body),
        request_preview=preview.line(next(iter(_texts(request)), "")),
        response_preview=_response_preview(_vectors(body)),
    )


def _usage(body: Mapping[str, Any]) -> Usage:
    if isinstance(sent := at(body, "usageMetadata"), dict) and sent:
        return usage.google(sent)
    counted = [loose.mapping(_statistics(item)) for item in loose.mappings(body.get("predictions"))]
    tokens = [tokens for each in counted if (tokens := loose.count(each.get("token_count"))) is not None]
    if not tokens:
        return Usage()
    return Usage(input_tokens=sum(tokens), sent={"statistics": counted, **loose.mapping(body.get("metadata"))})


def _statistics(prediction: Mapping[str, Any]) -> Any:
    return loose.mapping(prediction.get("embeddings")).get("statistics")


def _vectors(body: Mapping[str, Any]) -> list[Any]:
    """The vectors of a reply, whichever way it has them."""
    single = body.get("embedding")
    several = loose.mappings(body.get("embeddings")) or ([single] if isinstance(single, dict) else [])
    found = [item.get("values", item.get("value")) for item in several]
    for item in loose.mappings(body.get("predictions")):
        found += [value.get("values") if isinstance(value, dict) else value for key in _VECTORS
                  if (value := item.get(key)) is not None]
    return found


def _texts(request: Mapping[str, Any]) -> list[str]:
    asked: list[Mapping[str, Any]] = [*loose.mappings(request.get("requests"))] or [request]
    texts = [gemini_parts.said(item.get("content")) or loose.text(item.get("text")) for item in asked]
    instances = [loose.text(item.get("content")) or loose.text(item.get("text"))
                 for item in loose.mappings(request.get("instances"))]
    return [text for text in (*texts, *instances) if text]


def _response_preview(vectors: list[Any]) -> str:
    if not vectors:
        return ""
    size = f" of {len(vectors[0])} dimensions" if isinstance(vectors[0], list) else ""
    return f"{len(vectors)} vector{'s' if len(vectors) > 1 else ''}{size}"


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    asked: list[Mapping[str, Any]] = [*loose.mappings(request.get("requests"))] or [request]
    messages = [gemini_parts.message(content, "user") for item in asked
                for content in gemini_parts.contents(item.get("content") or [])]
    messages += [Message("user", (Part("text", text=text),)) for text in _texts(request) if "instances" in request]
    vectors = _vectors(loose.mapping(response))
    reply = Message("assistant", (Part("data", text=_response_preview(vectors), name="embedding"),))
    return Conversation(
        messages=tuple(messages),
        reply=(reply,) if vectors else (),
        settings={name: value for name in _SETTINGS if (value := at(asked[0], name)) is not None},
    )
