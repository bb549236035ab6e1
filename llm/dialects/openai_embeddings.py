"""OpenAI embeddings (https://platform.openai.com/docs/api-reference/embeddings) and who speaks like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_SETTINGS = ("dimensions", "encoding_format", "input_type", "output_dimension", "output_dtype", "truncation")
TOLD_BY: Final = frozenset({"data"})


def score(call: Call) -> int:
    data = call.sample.get("data")
    if isinstance(data, list) and data and isinstance(data[0], dict) and "embedding" in data[0]:
        return 100
    return 70 if call.path.endswith("embeddings") else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """Embeddings are not streamed; of JSON lines the last object with data stands."""
    objects = [event for event in events if isinstance(event, dict)]
    return dict(next((event for event in reversed(objects) if "data" in event), objects[-1] if objects else {}))


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return "data" in body


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    sent = body.get("usage")
    return Reading(
        kind="embedding",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=usage.all_input(loose.mapping(sent)) or Usage(),
        provider_response_id=loose.name(body.get("id")),
        provider_cost_nano_usd=usage.declared_cost(sent) if isinstance(sent, dict) else None,
        end_user_id=loose.name(request.get("user")),
        request_preview=preview.line(next(iter(_inputs(request)), "")),
        response_preview=_response_preview(loose.listing(body.get("data"))),
    )


def _inputs(request: Mapping[str, Any]) -> list[str]:
    said = request.get("input")
    texts = said if isinstance(said, list) else [said]
    return [text for text in texts if isinstance(text, str)]


def _response_preview(data: list[Any]) -> str:
    if not data:
        return ""
    vector = loose.mapping(data[0]).get("embedding")
    size = f" of {len(vector)} dimensions" if isinstance(vector, list) else ""
    return f"{len(data)} vector{'s' if len(data) > 1 else ''}{size}"


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    data = loose.listing(loose.mapping(response).get("data"))
    reply = (Message("assistant", (Part("data", text=_response_preview(data), name="embedding"),)),) if data else ()
    return Conversation(
        messages=tuple(Message("user", (Part("text", text=text),)) for text in _inputs(request)),
        reply=reply,
        settings={key: request[key] for key in _SETTINGS if key in request},
    )
