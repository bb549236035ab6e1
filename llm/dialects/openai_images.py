"""OpenAI images (https://platform.openai.com/docs/api-reference/images): made, edited, varied; and their streams.

gpt-image tells tokens; dall-e and its like tell nothing and are charged by the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lib.frozen import replace
from llm import loose, multipart, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_SETTINGS: Final = (
    "n", "size", "quality", "style", "background", "moderation", "output_format", "output_compression",
    "response_format", "input_fidelity", "partial_images", "aspect_ratio", "width", "height", "steps", "seed", "stream",
)
_PATHS: Final = ("/images/generations", "/images/edits", "/images/variations")
_EVENTS: Final = ("image_generation.", "image_edit.")
_FILES: Final = ("image", "images", "mask")
TOLD_BY: Final = frozenset({"type"})


def score(call: Call) -> int:
    if loose.text(call.sample.get("type")).startswith(_EVENTS):
        return 100
    if call.path.endswith(_PATHS):
        return 85
    first = loose.first(call.sample.get("data"))
    return 60 if "b64_json" in first or "revised_prompt" in first else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The finished images of a stream; where it broke off, the last sketch of the one under way."""
    body: dict[str, Any] = {}
    finished: list[dict[str, Any]] = []
    sketch: dict[str, Any] = {}
    for event in events:
        if not isinstance(event, dict):
            continue
        kind = loose.text(event.get("type"))
        if kind.endswith(".completed"):
            finished.append(_image_fields(event))
            body.update(_other_fields(event))
        elif kind.endswith(".partial_image"):
            sketch = _image_fields(event)
        elif kind == "error" or event.get("error"):
            body["error"] = event.get("error") or {key: value for key, value in event.items() if key != "type"}
    body["data"] = finished or ([{**sketch, "is_partial": True}] if sketch else [])
    return body


_OF_IMAGE: Final = frozenset({"b64_json", "url", "revised_prompt"})
_OF_EVENT: Final = frozenset({"type", "partial_image_index", "sequence_number"})


def _image_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key in _OF_IMAGE}


def _other_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in _OF_IMAGE | _OF_EVENT}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return any(isinstance(event, dict) and loose.text(event.get("type")).endswith(".completed") for event in events)


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    images = loose.mappings(body.get("data"))
    sent = body.get("usage")
    return Reading(
        kind="image" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=_usage(sent, images=len(images)),
        provider_response_id=loose.name(body.get("id")),
        provider_cost_nano_usd=usage.declared_cost(sent) if isinstance(sent, dict) else None,
        end_user_id=loose.name(request.get("user")),
        request_preview=preview.line(loose.text(request.get("prompt"))),
        response_preview=_response_preview(request, body, images),
    )


def _usage(sent: Any, *, images: int) -> Usage:
    """Tokens where they are told; what comes out of gpt-image is images alone unless it says more."""
    if not isinstance(sent, dict) or not sent:
        return Usage(images=images or None)
    told = usage.openai(sent)
    if told.output_tokens is None:
        return replace(told, images=images or None)
    has_parts = isinstance(sent.get("output_tokens_details"), dict)
    return told if has_parts else replace(told, output_image_tokens=told.output_tokens)


def _response_preview(request: Mapping[str, Any], body: Mapping[str, Any], images: list[dict[str, Any]]) -> str:
    if not images:
        return ""
    size = loose.text(body.get("size")) or loose.text(request.get("size"))
    said = loose.text(images[0].get("revised_prompt"))
    told = f"{len(images)} image{'s' if len(images) > 1 else ''}" + (f" of {size}" if size else "")
    return preview.line(f"{told}: {said}" if said else told)


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    asked = [Part("text", text=prompt)] if (prompt := loose.text(request.get("prompt"))) else []
    asked += [part for name in _FILES for part in multipart.parts(request.get(name))]
    kind = f"image/{loose.text(body.get('output_format')) or loose.text(request.get('output_format')) or 'png'}"
    reply = tuple(part for image in loose.mappings(body.get("data")) for part in _image(image, kind))
    return Conversation(
        messages=(Message("user", tuple(asked)),) if asked else (),
        reply=(Message("assistant", reply),) if reply else (),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _image(image: Mapping[str, Any], kind: str) -> list[Part]:
    data = loose.text(image.get("b64_json"))
    url = f"data:{kind};base64,{data}" if data else loose.text(image.get("url"))
    parts = [Part("image", url=url, media_type=kind)] if url else []
    said = loose.text(image.get("revised_prompt"))
    return [*parts, Part("text", text=said, name="revised prompt")] if said else parts
