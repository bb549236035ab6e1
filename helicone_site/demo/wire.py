"""A step as a log door takes it: path and JSON of one POST."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import ModuleType

import orjson

from helicone_site.demo.provider import (
    anthropic_messages,
    openai_chat,
    openai_common,
    openai_embeddings,
    openai_responses,
)
from helicone_site.demo.provider.reply import Event, Json
from helicone_site.demo.step import Step

_HOSTS = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}
_DOORS = {"openai": "/oai/v1/log", "anthropic": "/anthropic/v1/log"}
_DIALECTS: dict[str, ModuleType] = {
    "/v1/chat/completions": openai_chat,
    "/v1/responses": openai_responses,
    "/v1/messages": anthropic_messages,
}


def door(step: Step) -> str:
    """The path a step is posted to."""
    return _DOORS.get(step.provider, "/custom/v1/log")


def posting(step: Step) -> bytes:
    """The JSON of a step's POST."""
    return orjson.dumps({
        "providerRequest": {"url": _url(step), "json": step.request, "meta": _meta(step)},
        "providerResponse": _response(step),
        "timing": _timing(step),
    })  # fmt: skip


def _url(step: Step) -> str:
    return f"https://{_HOSTS.get(step.provider, step.provider)}{step.path}" if step.path else "custom-model-nopath"


def _meta(step: Step) -> dict[str, str]:
    return {**step.meta, "Helicone-Request-Id": str(step.id)}


def _response(step: Step) -> Json:
    status = step.failure.status if step.failure else 200
    streamed = step.time_to_first_token_ms is not None
    kind = "text/event-stream" if streamed else "application/json"
    return {
        "status": status,
        "headers": {"content-type": kind, "x-request-id": f"req_{step.id.hex[:24]}"},
        "json": {} if streamed else _body(step),
        "textBody": _stream(step) if streamed else None,
    }


def _body(step: Step) -> Json:
    if step.event is not None:
        return step.event
    if step.failure:
        write = anthropic_messages.error if step.provider == "anthropic" else openai_common.error
        return write(step.failure.status, step.failure.message)
    if step.path == "/v1/embeddings":
        return openai_embeddings.reply_body(step.request)
    written: Json = _DIALECTS[step.path].reply_body(step.reply, step.request)
    return written


def _stream(step: Step) -> str:
    dialect = _DIALECTS[step.path]
    written = "".join(map(_event, dialect.events(step.reply, step.request)))
    return written + "data: [DONE]\n\n" if dialect is openai_chat else written


def _event(event: Event) -> str:
    name, data = event
    return (f"event: {name}\n" if name else "") + f"data: {orjson.dumps(data).decode()}\n\n"


def _timing(step: Step) -> Json:
    timing: Json = {"startTime": _time(step.at), "endTime": _time(step.at + timedelta(milliseconds=step.duration_ms))}
    if step.time_to_first_token_ms is not None:
        timing["timeToFirstToken"] = step.time_to_first_token_ms
    return timing


def _time(at: datetime) -> dict[str, int]:
    return {"seconds": int(at.timestamp()), "milliseconds": at.microsecond // 1000}
