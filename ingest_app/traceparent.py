"""Whose step a call is, as the W3C header `traceparent` tells it: 00-<trace id>-<span id>-<flags>.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from uuid import UUID

HEADER: Final = "traceparent"
_SHAPE: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


class Parent(NamedTuple):
    """The step a call was made in."""

    trace_id: str
    span_id: str


def read(value: str | None) -> Parent | None:
    """The parent; None where the header is missing or invalid, which the standard says to ignore."""
    found = _SHAPE.fullmatch(value.strip()) if value else None
    if found is None:
        return None
    version, trace_id, span_id, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Parent(trace_id, span_id)


def span_id(exchange_id: UUID) -> str:
    """The id of the step an exchange is itself: the random half of its own."""
    return exchange_id.bytes[8:].hex()
