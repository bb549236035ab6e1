"""Budgets as their pages show them: what is spent, reserved, where it leads, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from django.http import QueryDict
from django.urls import reverse

from alerts_app import queries
from alerts_app.budgets import Budget, Period
from alerts_app.models import Budget as BudgetRow
from alerts_app.models import BudgetState
from alerts_app.segments import Segment
from lib.clock import from_microseconds
from lib.frozen import dataclass
from requests_app import filter_url
from requests_app.filters import EQUAL, Leaf

EARLIEST_SHARE: Final = 0.03
"""Of a period: before it nothing can be said of its end."""
_FILTERS: Final = {"user": "user", "session": "session", "model": "request_model", "property": "property"}


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """One segment of a budget; nano-USD."""

    words: str
    spent: int
    reserved: int
    limit: int
    forecast: int | None
    forecast_reason: str
    drift: int
    requests: int
    unpriced: int
    link: str
    """To its requests of the period; empty where no filter finds them."""
    warns_from: float
    """The lowest threshold, of one; 1 where there is none."""

    @property
    def state(self) -> str:
        """`used up`, `warned` or ""."""
        if self.share >= 1:
            return "used up"
        return "warned" if self.share >= self.warns_from else ""

    @property
    def share(self) -> float:
        return self.spent / self.limit

    @property
    def percent(self) -> int:
        return min(100, round(self.share * 100))

    @property
    def left(self) -> int:
        return max(0, self.limit - self.spent - self.reserved)


@dataclass(frozen=True, slots=True)
class BudgetLine:
    row: BudgetRow
    budget: Budget
    words: str
    """Whom it counts."""
    since: datetime
    ends: datetime | None
    segments: Sequence[SegmentLine]
    """Those that spent most first."""

    @property
    def worst(self) -> SegmentLine | None:
        return self.segments[0] if self.segments else None

    @property
    def spent(self) -> int:
        return sum(one.spent for one in self.segments)

    @property
    def drift(self) -> int:
        return sum(one.drift for one in self.segments)

    @property
    def beyond(self) -> int:
        """How many have spent all."""
        return sum(one.spent >= one.limit for one in self.segments)

    @property
    def state(self) -> str:
        """Of whoever spent most."""
        return self.worst.state if self.worst else ""


def line(row: BudgetRow, at: datetime, keys: Mapping[str, str], *, most: int) -> BudgetLine:
    budget = queries.budget(row)
    since, ends = budget.period.since(at.timestamp()), budget.period.ends(at.timestamp())
    began = from_microseconds(since * 10**6)
    states = row.states.filter(organization_id=row.organization_id).order_by("-spent_nano_usd", "value")[:most]
    return BudgetLine(
        row, budget, words_of(budget.segment, keys), began, None if ends is None else from_microseconds(ends * 10**6),
        [_segment(budget, state, at, keys) for state in states if budget.period.window or state.since == began],
    )  # fmt: skip


def words_of(segment: Segment, keys: Mapping[str, str]) -> str:
    """With a key's name in the place of its id."""
    is_key = segment.by == "key" and segment.value
    return f"API key {keys.get(segment.value, segment.value)}" if is_key else segment.words


def _segment(budget: Budget, state: BudgetState, at: datetime, keys: Mapping[str, str]) -> SegmentLine:
    forecast, reason = forecast_of(budget.period, state.spent_nano_usd, at.timestamp())
    words = keys.get(state.value, state.value) if budget.segment.by == "key" else state.value
    return SegmentLine(
        words or "everybody", state.spent_nano_usd, state.reserved_nano_usd, budget.limit_nano_usd, forecast, reason,
        state.drift_nano_usd, state.requests, state.unpriced, _link(budget, state),
        min((*budget.warn_percents, 100)) / 100,
    )  # fmt: skip


def forecast_of(period: Period, spent: int, at: float) -> tuple[int | None, str]:
    """What is spent by the end of the period if it goes on like this; None with why not."""
    ends = period.ends(at)
    if ends is None:
        return None, "a rolling window has no end"
    since = period.since(at)
    elapsed = (at - since) / (ends - since)
    if elapsed < EARLIEST_SHARE:
        return None, "the period has only begun"
    return round(spent / elapsed), ""


def _link(budget: Budget, state: BudgetState) -> str:
    query = QueryDict(mutable=True)
    query["from"] = state.since.isoformat(timespec="seconds")
    if budget.segment.by in _FILTERS:
        leaf = Leaf(_FILTERS[budget.segment.by], EQUAL, state.value, budget.segment.name)
        query[filter_url.parameter(leaf)] = filter_url.text_of(leaf)
    elif budget.segment.by != "organization":
        return ""
    return f"{reverse('requests')}?{query.urlencode()}"
