"""What Helicone's typed custom trace must have: its checks, in its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

STEPS: Final = frozenset({"tool", "vector_db", "data"})
"""`_type` of what calls no model."""

Told = Mapping[str, Any]
Check = tuple[str, str, Callable[[Any], bool]]
"""(field, what is said where it is not so, whether it is so)."""


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != ""


_REQUEST: Final[Sequence[Check]] = (
    ("url", "url must be a non-empty string", _is_url),
    ("json", "json must be an object", _is_object),
    ("meta", "meta must be an object", _is_object),
)
_RESPONSE: Final[Sequence[Check]] = (
    ("status", "status must be a number", _is_number),
    ("headers", "headers must be an object", _is_object),
)
_TIMES: Final = ("startTime", "endTime")


def errors(document: Told) -> list[dict[str, str]]:
    """[{"field", "message"}], one for each thing that is not as it must be."""
    found = [
        *_side(document, "providerRequest", _REQUEST), *_side(document, "providerResponse", _RESPONSE),
        *_reply(document.get("providerResponse")), *_timing(document.get("timing")),
    ]  # fmt: skip
    return [{"field": field, "message": message} for field, message in found]


def sentence(found: Sequence[Told]) -> str:
    return "; ".join(f"{one['field']}: {one['message']}" for one in found) + "."


def _side(document: Told, name: str, checks: Sequence[Check]) -> list[tuple[str, str]]:
    side = document.get(name)
    if not isinstance(side, dict):
        return [(name, f"{name} is required")]
    return [(f"{name}.{field}", message) for field, message, holds in checks if not holds(side.get(field))]


def _reply(side: Any) -> list[tuple[str, str]]:
    if not isinstance(side, dict) or _is_object(side.get("json")) or isinstance(side.get("textBody"), str):
        return []
    return [("providerResponse", "either json or textBody is required")]


def _timing(timing: Any) -> list[tuple[str, str]]:
    if timing is None:
        return []
    told = timing if isinstance(timing, dict) else {}
    return [
        (f"timing.{name}", f"{name} is required when timing is provided") for name in _TIMES if told.get(name) is None
    ]
