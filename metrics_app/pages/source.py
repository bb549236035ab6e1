"""What the pages ask, as questions; what came back, as rows a template can walk, times in the reader's zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from lib.clock import now
from metrics_app import calendar, queries, queries_kept
from metrics_app.catalog import TIME
from metrics_app.pages.reading import View, local
from metrics_app.question import Answer, Grain, Question, Row, kinds_of
from requests_app.filters import Node

MOST = 1_000
STEPS: tuple[tuple[timedelta, Grain], ...] = (
    (timedelta(hours=3), "minute"), (timedelta(days=3), "hour"), (timedelta(days=14), "6 hours"),
    (timedelta(days=120), "day"), (timedelta(days=800), "week"),
)  # fmt: skip
"""Up to this length a range is drawn in these steps, so that a chart half a screen wide has 20 to 180 of them."""


@dataclass(frozen=True, slots=True)
class Found:
    """Rows by name of metric and dimension; `time` is the start of a step, None for a value is "absent".

    `times` are the starts of all steps, `end` is that of the last one. `source` names the tables that answered.
    """

    rows: tuple[Mapping[str, Any], ...]
    total: Mapping[str, Any]
    times: tuple[datetime, ...]
    end: datetime
    grain: Grain | None
    source: str
    is_partial: bool
    notes: tuple[str, ...]
    as_of: datetime
    since: datetime | None


def ask(
    view: View, metrics: Sequence[str], *, by: Sequence[str] = (), over_time: bool = False, order: str = "",
    limit: int = MOST, has_rest: bool = False, without: Node | None = None,
) -> Found:  # fmt: skip
    """One question of a page. Raises TooSlow, BadQuestion."""
    asked = question(view, metrics, by=(*((TIME,) if over_time else ()), *by), order=order, limit=limit)
    return _found(queries.answer(replace(asked, has_rest=has_rest, without=without)))


def ask_before(view: View, metrics: Sequence[str], *, grain: Grain | None = None) -> Found:
    """The same of the stretch of equal length before, in steps of that grain. Raises TooSlow, BadQuestion."""
    asked = question(view, metrics, by=(TIME,) if grain else (), order="", limit=MOST)
    return _found(queries.answer(replace(asked.previous(now()), grain=grain)))


def question(view: View, metrics: Sequence[str], *, by: tuple[str, ...], order: str, limit: int) -> Question:
    """What a page asks, in its range and with its filter."""
    period = view.asked.period
    asked = Question(
        view.organization_id, tuple(metrics), by, since=period.since, until=period.until, filter=view.tree,
        zone=timezone.get_current_timezone(), kinds=kinds_of(view.tree), order=order, limit=limit,
    )  # fmt: skip
    if not period.since or TIME not in by:
        return asked
    length = (period.until or now()) - period.since
    grain = next((step for longest, step in STEPS if length <= longest), None)
    if grain == "minute" and (kept := queries_kept.kept_from(view.organization_id)) and period.since < kept:
        grain = "hour"  # so long ago no minutes are counted
    if grain not in queries.WHOLE_DAY and queries.is_kept_by_day(asked):
        grain = None  # the counts know which steps they can tell
    return replace(asked, grain=grain)


def _found(answer: Answer) -> Found:
    return Found(
        rows=tuple(_row(answer.question, row) for row in answer.rows),
        total=answer.total.numbers,
        times=tuple(local(moment) for moment in answer.times),
        end=local(_end(answer)),
        grain=answer.grain,
        source=", ".join(answer.source) or "nothing",
        is_partial=answer.is_partial,
        notes=answer.notes,
        as_of=local(answer.as_of),
        since=answer.since and local(answer.since),
    )


def _row(question: Question, row: Row) -> Mapping[str, Any]:
    named = [key for key in question.dimensions if key != TIME]
    at = {} if row.at is None else {TIME: local(row.at)}
    return {**at, **dict(zip(named, row.values, strict=True)), **row.numbers}


def _end(answer: Answer) -> datetime:
    """Where the last step ends: with the range, or now."""
    last = answer.until or answer.as_of
    if not answer.times or answer.grain is None:
        return last
    following = calendar.following(answer.times[-1], answer.grain, answer.question.zone)
    return min(following, max(last, answer.times[-1] + (following - answer.times[-1]) / 4))
