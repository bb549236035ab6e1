"""What providers say when they refuse: every shape of an error body, read into a type and a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm import loose

LONGEST_MESSAGE = 2000


def of(body: Any, headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """(type, message) of an error body; (None, None) where it has none.

    OpenAI and Anthropic send {"error": {"type", "code", "message"}}, Google {"error": {"status", "message"}} or
    a list of one, AWS {"message"} with the type in `x-amzn-errortype`, others {"detail"} or a bare string.
    """
    if isinstance(body, list):
        body = body[0] if body else None
    outer = loose.mapping(body)
    error = outer.get("error") or outer.get("errors") or loose.mapping(outer.get("response")).get("error")
    error = error or _base(outer)
    if isinstance(error, list):
        error = error[0] if error else None
    inner = error if isinstance(error, dict) else outer
    kind = _kind(inner, headers) if error or not isinstance(body, str) else None
    said = loose.name(error) or _message(inner) or loose.name(body)
    return kind, said[:LONGEST_MESSAGE].replace("\x00", "") if said else None


def is_error(body: Any) -> bool:
    """Whether a body under a good status says it is an error."""
    outer = loose.mapping(body)
    return bool(outer.get("error")) or outer.get("type") == "error" or bool(_base(outer))


def _base(outer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What MiniMax says of a call beside its reply, always under 200, where that is no success."""
    told = loose.mapping(outer.get("base_resp"))
    return told if told.get("status_code") else None


def _kind(error: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    for key in ("type", "status", "__type", "code"):
        value = error.get(key)
        if isinstance(value, str) and value and value != "error":
            return value[:200]
    if header := headers.get("x-amzn-errortype"):
        return header.split(":")[0][:200]
    return None


def _message(error: Mapping[str, Any]) -> str | None:
    for key in ("message", "detail", "error_description", "msg", "Message", "status_msg"):
        value = error.get(key)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list | dict) and value:
            return loose.compact(value)
    return None
