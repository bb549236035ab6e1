"""Why a call failed, as its span tells it: SDKs write the provider's own words into the message of their exception.

    Error code: 404 - {'error': {'message': …, 'type': 'not_found_error'}}          (openai, anthropic)
    ClientError: 429 RESOURCE_EXHAUSTED. {'error': {…, 'status': …}}                (google)
    ModelHTTPError: status_code: 400, model_name: …, body: {…}                      (pydantic-ai)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, Final

from lib.frozen import dataclass
from llm import errors, loose
from llm.spans.span import Span, as_text, unpacked

_LONGEST_BODY: Final = 8_000
_STATUS: Final = re.compile(r"(?:Error code|status_code|status code|HTTP)[: ]+([45]\d\d)\b|\b([45]\d\d) [A-Z_]{4,}\b")
_STATUS_KEYS: Final = ("http.response.status_code", "http.status_code", "status_code", "error.type")


@dataclass(frozen=True, slots=True)
class Failure:
    type: str | None
    message: str | None
    http_status: int | None


def of(span: Span) -> Failure | None:
    """None where nothing failed."""
    if not is_error(span):
        return None
    message = _message(span)
    body = _body(message) if message else None
    told, _ = errors.of(body, {}) if body else (None, None)
    type_ = told or _named(span) or as_text(_exception(span).get("exception.type"))
    return Failure(type_, message[: errors.LONGEST_MESSAGE] if message else None, _http_status(span, message or ""))


def is_error(span: Span) -> bool:
    return span.is_failed or span.attributes.get("langfuse.observation.level") == "ERROR"


def _exception(span: Span) -> Mapping[str, Any]:
    return span.event("exception", "gen_ai.client.operation.exception")


def _message(span: Span) -> str | None:
    status = loose.name(loose.mapping(span.document.get("status")).get("message"))
    said = span.text(("langfuse.observation.status_message", "error.message", "error"))
    return status or said or as_text(_exception(span).get("exception.message"))


def _named(span: Span) -> str | None:
    """`error.type`, where that is a name."""
    said = span.text(("error.type",))
    return None if said is None or said.isdigit() else said


def _body(message: str) -> Any:
    """The error body inside a message: JSON, or how Python writes a dict."""
    start = message.find("{")
    if start < 0 or len(message) > _LONGEST_BODY:
        return None
    text = message[start : message.rfind("}") + 1]
    if isinstance(found := unpacked(text), dict):
        return found
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _http_status(span: Span, message: str) -> int | None:
    for key in _STATUS_KEYS:
        code = str(span.attributes.get(key, ""))
        if len(code) == 3 and code.isdecimal() and code.isascii() and 400 <= int(code) < 600:
            return int(code)
    found = _STATUS.search(message[:1000])
    return int(found[1] or found[2]) if found else None
