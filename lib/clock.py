"""Time and time-ordered ids, in one place so that both agree."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

RANDOM_BYTES = 4096
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)
"""Times that can still be reckoned with: beside them a zone or a week more is out of range."""
_MICROSECOND = timedelta(microseconds=1)


class _Randomness:
    """The system's, fetched for many ids at once: each fetch lets other threads in. A fork begins with none."""

    def __init__(self) -> None:
        self._left: list[int] = []
        os.register_at_fork(after_in_child=self._left.clear)

    def next(self) -> int:
        """64 bits. Two threads never get the same."""
        try:
            return self._left.pop()
        except IndexError:
            fresh = os.urandom(RANDOM_BYTES)
            numbers = [int.from_bytes(fresh[at : at + 8], "big") for at in range(0, RANDOM_BYTES, 8)]
            self._left += numbers[1:]
            return numbers[0]


_randomness = _Randomness()


def now() -> datetime:
    """The current time, UTC, to the microsecond."""
    return datetime.now(UTC)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exactly (a float would lose some)."""
    return (moment - EPOCH) // _MICROSECOND


def reckonable(moment: datetime) -> datetime:
    """The moment, or the nearest one that can be reckoned with."""
    return min(max(moment, FIRST), LAST)


def from_microseconds(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


def uuid7(moment: datetime) -> UUID:
    """A UUIDv7 whose time is `moment` (RFC 9562 §5.7, sub-millisecond time in rand_a as in §6.2).

    Ids sort as their times do, to the quarter microsecond, and `time_of` finds the millisecond again.
    """
    ms, us = divmod(microseconds(moment), 1000)
    fraction = us * 4096 // 1000
    tail = _randomness.next() & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=(ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | tail)


def time_of(identifier: UUID) -> datetime | None:
    """The millisecond a UUIDv7 was minted for; None for any other version, or a time no calendar has."""
    if identifier.version != 7:
        return None
    try:
        return reckonable(EPOCH + timedelta(milliseconds=identifier.int >> 80))
    except OverflowError:
        return None
