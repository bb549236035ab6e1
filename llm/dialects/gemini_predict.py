"""Google's `:predict`: Imagen's pictures and Lyria's music, and the PaLM models before Gemini.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/imagen-api — pictures are charged by the piece;
what was filtered out is not in `predictions`, or stands there without a picture and with `raiFilteredReason`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_PICTURE: Final = ("bytesBase64Encoded", "gcsUri")
_SAID: Final = ("content", "output", "text")
TOLD_BY: Final = frozenset[str]()


def score(call: Call) -> int:
    predictions = call.sample.get("predictions")
    if predictions and any(key in loose.first(predictions) for key in (*_PICTURE, "raiFilteredReason")):
        return 90
    return 80 if call.path.endswith(":predict") else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Predictions are not streamed; of JSON lines the last object stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(objects[-1]) if objects else {}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return True


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    predictions = loose.mappings(body.get("predictions"))
    pictures = [item for item in predictions if any(item.get(key) for key in _PICTURE)]
    return Reading(
        kind=_kind(call, pictures),
        request_model=loose.name(request.get("model")),
        usage=_usage(body, pictures),
        finish_reason=next(filter(None, (loose.name(item.get("raiFilteredReason")) for item in predictions)), None),
        request_preview=preview.line(next(filter(None, map(_prompt, _instances(request))), "")),
        response_preview=_response_preview(predictions, pictures),
    )


def _kind(call: Call, pictures: list[dict[str, Any]]) -> str:
    if call.method != "POST":
        return "other"
    if any(loose.text(item.get("mimeType")).startswith("audio/") for item in pictures):
        return "audio"
    if "embedding" in call.path:
        return "embedding"
    return "image" if pictures or "/imagen" in call.path or "/imagetext" in call.path else "llm"


def _usage(body: Mapping[str, Any], pictures: list[dict[str, Any]]) -> Usage:
    """Pictures by the piece; PaLM's tokens."""
    told = loose.mapping(loose.mapping(body.get("metadata")).get("tokenMetadata"))
    asked, answered = loose.mapping(told.get("inputTokenCount")), loose.mapping(told.get("outputTokenCount"))
    return Usage(
        input_tokens=loose.count(asked.get("totalTokens")),
        output_tokens=loose.count(answered.get("totalTokens")),
        images=sum(loose.text(item.get("mimeType")).startswith("image/") for item in pictures) or None,
        sent=told or None,
    )


def _instances(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    return loose.mappings(request.get("instances"))


def _prompt(instance: Mapping[str, Any]) -> str:
    messages = loose.mappings(instance.get("messages"))
    said = [loose.text(item.get("content")) for item in messages]
    return next(filter(None, (loose.text(instance.get(key)) for key in ("prompt", "content", "text"))), "") or (
        said[-1] if said else "")


def _said(prediction: Mapping[str, Any]) -> str:
    spoken: list[Mapping[str, Any]] = [*loose.mappings(prediction.get("candidates"))] or [prediction]
    texts = (loose.text(item.get(key)) for item in spoken for key in _SAID)
    return next(filter(None, texts), "") or loose.text(prediction.get("raiFilteredReason"))


def _response_preview(predictions: list[dict[str, Any]], pictures: list[dict[str, Any]]) -> str:
    said = next(filter(None, map(_said, predictions)), "")
    if not pictures:
        return preview.line(said)
    kind = loose.text(pictures[0].get("mimeType")).partition("/")[0] or "file"
    made = f"{len(pictures)} {kind}{'s' if len(pictures) > 1 else ''}"
    prompt = loose.text(pictures[0].get("prompt"))
    return preview.line(f"{made}: {prompt}" if prompt else made)


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    asked = tuple(part for instance in _instances(request) for part in _asked(instance))
    reply = tuple(part for item in loose.mappings(loose.mapping(response).get("predictions")) for part in _part(item))
    return Conversation(
        messages=(Message("user", asked),) if asked else (),
        reply=(Message("assistant", reply),) if reply else (),
        settings=dict(loose.mapping(request.get("parameters"))),
    )


def _asked(instance: Mapping[str, Any]) -> list[Part]:
    found = [Part("text", text=prompt)] if (prompt := _prompt(instance)) else []
    pictures = [instance.get("image"), *(item.get("referenceImage") for item in
                                         loose.mappings(instance.get("referenceImages")))]
    return found + [part for item in pictures if isinstance(item, dict) for part in _media(item)]


def _part(prediction: Mapping[str, Any]) -> list[Part]:
    parts = _media(prediction)
    if said := _said(prediction):
        parts.append(Part("refusal" if "raiFilteredReason" in prediction else "text", text=said))
    if prompt := loose.text(prediction.get("prompt")):
        parts.append(Part("text", text=prompt, name="revised prompt"))
    return parts


def _media(item: Mapping[str, Any]) -> list[Part]:
    kind, data = loose.text(item.get("mimeType")) or "image/png", loose.text(item.get("bytesBase64Encoded"))
    if data:
        url = f"data:{kind};base64,{data}"
        return [Part("audio" if kind.startswith("audio/") else "image", url=url, media_type=kind)]
    address = loose.text(item.get("gcsUri"))
    return [Part("file", name=address, media_type=kind)] if address else []
