"""Budgets: so much money in a period, of whom, and where their numbers lie in Redis. No Django: `edge` uses it.

    helicone:b:<organization>:<budget>.<edition>:<segment>   hash: a slot's start → nano-USD spent in it; r: reserved;
                                                             d:<slot>: beyond Postgres at the last look
                                            …:holds          hash: a request → what is reserved for it, of all segments
                                            …:values         set: `=<segment>` of each with a count; KNOWN once Postgres
                                                             was asked, which Redis forgets when it is emptied

A calendar period has one slot, a rolling window SLOTS of them. Money is whole nano-USD: Lua's numbers hold them up to
nine million dollars.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property, lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

from alerts_app.segments import Segment
from lib.frozen import dataclass

Span = Literal["day", "week", "month", "rolling"]
SLOTS: Final = 60
"""Of a rolling window: it forgets by a sixtieth of its length, later rather than sooner."""
KNOWN: Final = "*known*"
NANO: Final = 10**9
LARGEST_NANO: Final = 9_000_000 * NANO
SHORTEST_HOURS, LONGEST_HOURS = 1, 24 * 366
_PERIOD_WORDS: Final = {"day": "a day", "week": "a week", "month": "a month"}

Edges = tuple[int, int, int, int]
"""Seconds since 1970: the start of the period before, of this one, of the next and the one after."""


@dataclass(frozen=True, slots=True)
class Period:
    span: Span
    hours: int = 0
    """Of a rolling window."""
    zone: str = "UTC"

    @property
    def words(self) -> str:
        if self.span != "rolling":
            return _PERIOD_WORDS[self.span]
        days, rest = divmod(self.hours, 24)
        return f"in any {days} days" if days > 1 and not rest else f"in any {self.hours} hours"

    @property
    def window(self) -> int:
        """Seconds of a rolling window; 0 for the calendar's."""
        return self.hours * 3600 if self.span == "rolling" else 0

    @property
    def width(self) -> int:
        """Seconds of one slot of a rolling window."""
        return self.window // SLOTS

    def edges(self, at: float) -> Edges:
        """Of the calendar; zeros for a rolling window."""
        if self.span == "rolling":
            return (0, 0, 0, 0)
        known = _edges_at.get(self)
        if known is None or not known[1] <= at < known[2]:
            known = _edges_at[self] = _edges(self, datetime.fromtimestamp(at, UTC))
        return known

    def since(self, at: float) -> int:
        """Start of the oldest slot that counts at a moment, seconds."""
        return int(at) // self.width * self.width - self.window if self.window else self.edges(at)[1]

    def ends(self, at: float) -> int | None:
        """When the count begins anew; a rolling window never does."""
        return None if self.window else self.edges(at)[2]


_edges_at: dict[Period, Edges] = {}


AROUND: Final = (-2, -1, 0, 1, 2, 3)


def _edges(period: Period, at: datetime) -> Edges:
    zone = zone_of(period.zone)
    today = at.astimezone(zone).date()
    starts = {"day": _days, "week": _weeks, "month": _months}[period.span](today)
    # More starts than are wanted, each once: where a zone moved over the date line a day is missing and begins when the
    # next one does, and where clocks go back over midnight the date is one period behind the moment.
    seconds = sorted({int(datetime.combine(start, time(), zone).timestamp()) for start in starts})
    now = bisect_right(seconds, at.timestamp()) - 1
    return (seconds[now - 1], seconds[now], seconds[now + 1], seconds[now + 2])


def _days(today: date) -> list[date]:
    return [today + timedelta(days=n) for n in AROUND]


def _weeks(today: date) -> list[date]:
    monday = today - timedelta(days=today.weekday())
    return [monday + timedelta(weeks=n) for n in AROUND]


def _months(today: date) -> list[date]:
    months = [today.year * 12 + today.month - 1 + n for n in AROUND]
    return [date(month // 12, month % 12 + 1, 1) for month in months]


@lru_cache(maxsize=600)
def zone_of(name: str) -> tzinfo:
    """UTC for a name nobody knows (any more)."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


@dataclass(frozen=True)
class Budget:
    """Its keys are put together once: a budget is drawn from by every call of an organization."""

    id: int
    edition: int
    """Goes up when what is counted changes, so that old numbers are left behind."""
    organization_id: int
    name: str
    limit_nano_usd: int
    period: Period
    segment: Segment
    warn_percents: tuple[int, ...] = ()
    """Ascending."""
    is_hard: bool = True
    """Calls beyond are refused, not only warned of."""

    @cached_property
    def _place(self) -> str:
        return f"helicone:b:{self.organization_id}:{self.id}.{self.edition}"

    def spent_key(self, value: str) -> str:
        return f"{self._place}:{digest(value)}"

    @cached_property
    def holds_key(self) -> str:
        return f"{self._place}:holds"

    @cached_property
    def values_key(self) -> str:
        return f"{self._place}:values"


def digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:24] if value else "all"


def usd(nano_usd: float) -> str:
    """$5.00, $0.0123: at least two places, no more than say something."""
    whole, _, rest = f"{nano_usd / NANO:.6f}".partition(".")
    return f"${whole}.{rest.rstrip('0').ljust(2, '0')}"
