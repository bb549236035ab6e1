"""Times as clients tell them: {seconds, milliseconds}, epoch numbers, digits as text, ISO 8601, RFC 2822."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from lib.clock import from_microseconds

_FIRST_MILLISECONDS = 4_102_444_800
"""Seconds until the year 2100, or milliseconds until February 1970: from here on a number counts milliseconds."""
_FIRST_MICROSECONDS = _FIRST_MILLISECONDS * 1000
_FIRST_NANOSECONDS = _FIRST_MICROSECONDS * 1000
_LONGEST_TEXT = 64


def moment(value: object) -> datetime | None:
    """The time told, UTC; None for null. Raises ValueError for what is no time."""
    if value is None:
        return None
    if isinstance(value, dict):
        return _at(number(value.get("seconds", 0)) * 1e6 + number(value.get("milliseconds", 0)) * 1e3)
    if isinstance(value, str) and not _is_number(value):
        return _spelt(value.strip())
    return _of_epoch(number(value))


def milliseconds(value: object) -> int | None:
    """A length told in ms, rounded; None for null and NaN. Raises ValueError for what is no length a row can hold."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    length = number(value)
    if not 0 <= length < 2**31:
        raise ValueError("out of range")
    return round(length)


def number(value: object) -> float:
    """A finite number, also as text. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    try:
        found = float(value[:_LONGEST_TEXT] if isinstance(value, str) else value)
    except OverflowError:
        raise ValueError("out of range") from None
    if not math.isfinite(found):
        raise ValueError("not finite")
    return found


def _is_number(text: str) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True


def _of_epoch(value: float) -> datetime:
    for first, unit in ((_FIRST_NANOSECONDS, 1e-3), (_FIRST_MICROSECONDS, 1), (_FIRST_MILLISECONDS, 1e3)):
        if value >= first:
            return _at(value * unit)
    return _at(value * 1e6)


def _at(microseconds: float) -> datetime:
    """Raises ValueError outside the years a date can have."""
    try:
        return from_microseconds(round(microseconds))
    except OverflowError:
        raise ValueError("out of range") from None


def _spelt(text: str) -> datetime:
    readers: tuple[Callable[[str], datetime], ...] = (datetime.fromisoformat, parsedate_to_datetime)
    for read in readers:
        try:
            found = read(text[:_LONGEST_TEXT])
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    raise ValueError("no time")
