"""Answers questions: decides which tables, asks them in one statement, says how far the answer can be trusted.

usage_day, usage_hour, usage_minute    time, provider, model, status, cached, kind; any range to the microsecond,
                                       the ground at its edges
facet_day                              one dimension with many values, by whole UTC days
llm_request                            everything else, at most MOST_GROUND_ROWS of the newest rows

TooSlow        of the requests room: the statement took longer than it may
BadQuestion    more points than anybody draws
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cmp_to_key
from typing import Any

from lib.clock import now, reckonable
from llm.exchange import MODEL_KINDS
from metrics_app import answers, calendar, ranges, sql
from metrics_app.answers import Found
from metrics_app.catalog import NAMES, OTHER, TIER_HISTOGRAMS, TIME, Metric
from metrics_app.queries_kept import first_day, forgotten, kept_from, lacking
from metrics_app.queries_without import taken_away
from metrics_app.question import FITTING, LENGTHS, MOST_POINTS, Answer, BadQuestion, Grain, Question, Row, without_times
from metrics_app.rollup_statements import DAY, HOUR, MINUTE, Tier
from metrics_app.sql import GROUND, Layout, Piece
from requests_app.filters import EQUAL, EVERYTHING, And, Clause, Leaf, Node, Or, leaves
from requests_app.long_names import counted_name
from requests_app.queries import TooSlow, reader

MOST_GROUND_ROWS = 400_000
MOST_EDGE_ROWS, MOST_EDGE_ROWS_OF_LONG = 50_000, 15_000
"""Single requests read to be exact at the edges of counted days; of a range longer than SHORT, which a part of a day
changes little, the fewer."""
GROUND_TIMEOUT_MS = 4_000
USAGE_KEYS = frozenset({"model", "undated_model", "provider", "status", "failed", "cached", "kind"})
SELECTIVE_KEYS = frozenset({"user", "session", "trace", "id", "property"})
"""An equality with one of these is found by an index."""
WHOLE_DAY = ("day", "week", "month", "year")
SHORT = timedelta(days=2)
"""Over a longer range what is counted by day is drawn by day; over one up to this the hours are worth reading."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with its range, tree and grain worked out."""

    question: Question
    tree: Node
    since: datetime | None
    until: datetime | None
    grain: Grain | None
    now: datetime

    @property
    def layout(self) -> Layout:
        q = self.question
        return Layout(q.organization_id, q.asked_metrics, q.asked_dimensions, self.grain, q.zone, self.tree, q.kinds)

    @property
    def is_empty(self) -> bool:
        return self.since is not None and self.until is not None and self.since >= self.until


def answer(question: Question, *, at: datetime | None = None) -> Answer:
    """Raises TooSlow and BadQuestion."""
    return forgotten(_answered(question, at or now()))


def _answered(question: Question, at: datetime) -> Answer:
    asked = _read(question, at)
    if asked.is_empty:
        return _told(asked, Found((), answers.nothing(asked.layout), 0), ())
    if _in_usage(asked):
        return _from_usage(asked)
    if (dim := _facet_of(asked)) is not None and (found := _from_facets(asked, dim)):
        return found
    return _apart(asked) or _from_ground(asked)


def compared(question: Question, *, at: datetime | None = None) -> tuple[Answer, Answer]:
    """The answer and the one for the stretch of equal length just before. Raises as `answer` does."""
    at = at or now()
    return answer(question, at=at), answer(question.previous(at), at=at)


def _read(question: Question, at: datetime) -> _Asked:
    tree, low, high = without_times(question.filter)
    since = max((reckonable(moment) for moment in (question.since, low) if moment), default=None)
    until = min((reckonable(moment) for moment in (question.until, high) if moment), default=None)
    grain: Grain | None = None
    if question.is_series:
        start = since or first_day(question.organization_id) or at
        length = max((until or at) - start, timedelta())
        fitting: Grain = next((grain for longest, grain in FITTING if length <= longest), "year")
        if length > SHORT and fitting not in WHOLE_DAY and is_kept_by_day(question):
            fitting = "day"
        grain = question.grain or fitting
        if length / LENGTHS[grain] > MOST_POINTS:
            raise BadQuestion(
                f"A step of one {grain} makes more than {MOST_POINTS} points; take a longer one.", "grain"
            )
    return _Asked(question, tree, since, until, grain, at)


def is_kept_by_day(question: Question) -> bool:
    """Whether what is counted by day answers it, so that finer steps would have to be counted from single requests."""
    tree = without_times(question.filter)[0]
    asked = _Asked(question, tree, None, None, "day" if question.is_series else None, now())
    return not _in_usage(asked) and _facet_of(asked) is not None


# --- which table --------------------------------------------------------------------------------------------------


def _in_usage(asked: _Asked) -> bool:
    return (
        all(one.key in USAGE_KEYS for one in leaves(asked.tree))
        and all(one.usage for one in asked.layout.dimensions)
        and not asked.layout.names
        and not asked.layout.has_edges
        and TIER_HISTOGRAMS.issuperset(asked.layout.histograms)
    )


def _facet_of(asked: _Asked) -> str | None:
    """The `dim` of the facets that can answer, or None."""
    layout, wanted = asked.layout, _wanted(asked) if asked.question.without is None else None
    if asked.question.kinds != MODEL_KINDS or wanted is None or layout.histograms or len(layout.dimensions) > 1:
        return None
    if asked.grain not in (None, *WHOLE_DAY):
        return None
    dims = {one.facet for one in layout.dimensions} | ({wanted[0]} if wanted[0] else set())
    dims |= {NAMES[one][1] for one in layout.names}
    return dims.pop() if len(dims) == 1 and "" not in dims else None


_FACETS = {"user": "user", "session_name": "session", "prompt": "prompt", "country": "country"}


def _wanted(asked: _Asked) -> tuple[str, tuple[str, ...]] | None:
    """(dim, values) of a tree that is nothing but equalities with values of one dimension; ("", ()) for no tree."""
    parts = asked.tree.parts if isinstance(asked.tree, And | Or) else (asked.tree,)
    if not parts:
        return ("", ()) if asked.tree == EVERYTHING else None
    if isinstance(asked.tree, And) and len(parts) > 1:
        return None
    found, dims = [], set()
    for one in parts:
        if not isinstance(one, Leaf) or one.operator != EQUAL or not one.value:
            return None
        dims.add(f"p:{counted_name(one.name)}" if one.key == "property" else _FACETS.get(one.key, ""))
        found.append(counted_name(str(one.value)))
    return (dims.pop(), tuple(found)) if len(dims) == 1 and "" not in dims else None


# --- pieces of a range ------------------------------------------------------------------------------------------


def _pieces(asked: _Asked, tiers: Sequence[Tier]) -> list[Piece]:
    return ranges.pieces(asked.since, asked.until, tiers, at=asked.now)


def _tiers(asked: _Asked) -> tuple[Tier, ...]:
    """From the coarsest that can tell the grain's buckets apart."""
    if asked.grain == "minute":
        return (MINUTE,)
    is_utc = not asked.grain or all(offset == timedelta() for offset in _offsets(asked))
    if asked.grain in ("hour", "6 hours") or not is_utc:
        return (HOUR, MINUTE)
    return (DAY, HOUR, MINUTE)


def _offsets(asked: _Asked) -> set[timedelta]:
    zone, start = asked.question.zone, asked.since or asked.now - timedelta(days=366)
    moments = (start, asked.now, *(start + timedelta(days=30) * month for month in range(13)))
    return {moment.astimezone(zone).utcoffset() or timedelta() for moment in moments}


# --- asking -------------------------------------------------------------------------------------------------------


def _from_usage(asked: _Asked) -> Answer:
    pieces, notes = _reached(asked, _pieces(asked, _tiers(asked)))
    tiers = [piece for piece in pieces if piece.table != GROUND]
    edges = [piece for piece in pieces if piece.table == GROUND]
    clauses = [*(sql.usage(asked.layout, tiers) if tiers else []), *(sql.ground(asked.layout, one) for one in edges)]
    if not tiers and _rows_between(asked, asked.since, asked.until) > MOST_GROUND_ROWS:
        return _from_ground(asked)
    told = _told(asked, _ask(asked, clauses), _sources(pieces), notes=(*notes, *_zone_notes(asked)))
    return lacking(told) if asked.grain == "minute" and edges else told


def of_rows(question: Question) -> Found | None:
    """The answer over the rows the ground still holds, where its counts know that to the row; else None. Raises as
    `answer` does."""
    asked = _read(question, now())
    if not _in_usage(asked) or (asked.since and asked.since > asked.now):
        return None
    if asked.is_empty:
        return Found((), answers.nothing(asked.layout), 0)
    oldest = kept_from(question.organization_id)
    is_old = bool(oldest and (asked.since is None or asked.since < oldest))
    counted_from = oldest if is_old else asked.since
    older = [Piece(GROUND, asked.since, min(oldest, asked.until or oldest))] if oldest and is_old else []
    has_newer = not (asked.until and counted_from and asked.until <= counted_from)
    newer = _pieces(replace(asked, since=counted_from), _tiers(asked)) if has_newer else []
    if _is_rounded(newer, counted_from, asked.until):
        return None
    tiers = [piece for piece in newer if piece.table != GROUND]
    rest = [*older, *(piece for piece in newer if piece.table == GROUND)]
    clauses = [*(sql.usage(asked.layout, tiers) if tiers else []), *(sql.ground(asked.layout, one) for one in rest)]
    return _ask(asked, clauses)


def _is_rounded(pieces: Sequence[Piece], since: datetime | None, until: datetime | None) -> bool:
    """Whether they cover more than they were asked to, because the hours of so long ago are not kept."""
    return bool(pieces) and (pieces[0].since, pieces[-1].until) != (since, until)


def _reached(asked: _Asked, pieces: list[Piece]) -> tuple[list[Piece], tuple[str, ...]]:
    """Edges whose ground is gone are taken from the hours around them, and that is told."""
    ground_from = kept_from(asked.question.organization_id)
    gone = [one for one in pieces if one.table == GROUND and ground_from and one.since and one.since < ground_from]
    if not gone or asked.grain == "minute":
        return pieces, ()
    since, until = asked.since, asked.until
    rounded = replace(
        asked,
        since=since and calendar.floor(since, HOUR.width) if gone[0] is pieces[0] else since,
        until=until and calendar.ceiling(until, HOUR.width) if gone[-1] is pieces[-1] else until,
    )
    note = "The range is rounded to whole hours: its single requests are removed by retention, only counts are left."
    return _pieces(rounded, _tiers(rounded)), (note,)


def _from_facets(asked: _Asked, dim: str) -> Answer | None:
    """None where values asked for by name may be among those not kept apart."""
    since, until, edges, notes = _days(asked)
    if since and until and since >= until:
        return None
    if asked.grain and any(_offsets(asked)):
        notes = (*notes, "Days are UTC's: these counts are kept by day.")
        asked = replace(asked, question=replace(asked.question, zone=UTC))
    wanted = _wanted(asked)
    values = wanted[1] if wanted and wanted[0] else None
    days = Piece("facet_day", since, until)
    clauses = [
        sql.facets(asked.layout, days, dim=dim, values=values),
        *(sql.ground(asked.layout, edge) for edge in edges),
    ]
    found = _ask(asked, clauses)
    if _has_others(asked, dim, days) and (values is not None or asked.layout.names):
        return None
    if dim.startswith("p:") and _has_others(asked, "p", days):
        return None
    if DAYS in asked.question.metrics and (values is None or len(values) > 1):
        covered = (asked.since, asked.until) if edges else (since, until)
        found = _with_days_of_all(asked, found, *covered)
    return _told(asked, found, _sources([days, *edges]), notes=notes)


DAYS = "active_days"


def _with_days_of_all(asked: _Asked, found: Found, since: datetime | None, until: datetime | None) -> Found:
    """A day on which several values have requests is one day of all of them together."""
    by_day = replace(asked.question, metrics=("requests",), dimensions=(TIME,), grain="day", zone=UTC, order="",
                     filter=asked.tree, since=since, until=until)  # fmt: skip
    days = len(answer(by_day, at=asked.now).rows)
    total = replace(found.total, numbers={**found.total.numbers, DAYS: days})
    return replace(found, total=total, rows=found.rows if asked.layout.keys else (total,) * len(found.rows))


def _days(asked: _Asked) -> tuple[datetime | None, datetime | None, list[Piece], tuple[str, ...]]:
    """Whole days, and the edges the ground counts; where these are too many the days at the ends are taken whole."""
    low = asked.since and calendar.ceiling(asked.since, DAY.width)
    high = asked.until and calendar.floor(asked.until, DAY.width)
    if asked.until and asked.until >= asked.now:
        high = calendar.ceiling(asked.until, DAY.width)
    edges = [
        *([Piece(GROUND, asked.since, low)] if asked.since and low and asked.since < low else []),
        *([Piece(GROUND, high, asked.until)] if asked.until and high and high < asked.until else []),
    ]
    ground_from = kept_from(asked.question.organization_id)
    is_gone = any(ground_from and one.since and one.since < ground_from for one in edges)
    is_short = asked.since is not None and (asked.until or asked.now) - asked.since <= SHORT
    most = MOST_EDGE_ROWS if is_short else MOST_EDGE_ROWS_OF_LONG
    if not is_gone and sum(_rows_between(asked, one.since, one.until) for one in edges) <= most:
        return low, high, edges, ()
    since = asked.since and calendar.floor(asked.since, DAY.width)
    until = asked.until and calendar.ceiling(asked.until, DAY.width)
    return since, until, [], ("The range is rounded to whole days (UTC).",)


def _has_others(asked: _Asked, dim: str, days: Piece) -> bool:
    first = days.since.date() if days.since else datetime.min.date()
    last = days.until.date() if days.until else datetime.max.date()
    with reader() as cursor:
        cursor.execute(sql.HAS_OTHERS, [asked.question.organization_id, dim, first, last])
        return bool((cursor.fetchone() or (False,))[0])


def _apart(asked: _Asked) -> Answer | None:
    """Metrics a rollup has from there, and the others from the ground, joined by group; None where that is no gain."""
    layout = asked.layout
    hard = [one.key for one in layout.metrics if _is_hard(one)]
    easy = [one.key for one in layout.metrics if not _is_hard(one)]
    q = asked.question
    if not hard or not easy or (layout.dimensions and (q.limit or q.offset)) or q.order.removeprefix("-") in hard:
        return None
    first = answer(replace(q, metrics=tuple(easy)), at=asked.now)
    second = answer(replace(q, metrics=tuple(hard), order=""), at=asked.now)
    if second.is_partial and not first.is_partial:
        note = f"Over the newest part of the range only: {', '.join(hard)}."
        first = replace(first, notes=(*first.notes, note))
    return answers.joined(first, second, q)


def _is_hard(metric: Metric) -> bool:
    """Whether no tier knows it."""
    return bool(metric.names or metric.edge) or bool(metric.histogram and metric.histogram not in TIER_HISTOGRAMS)


def layout_of(question: Question) -> Layout:
    """With its tree and range as the statements take them; no more of the question matters."""
    return _read(question, now()).layout


def whole_ground(question: Question) -> tuple[Piece, Layout]:
    """All of the ground a question is about, and the layout. Raises as `answer` does."""
    asked = _read(question, now())
    return Piece(GROUND, asked.since, asked.until), asked.layout


def newest_note(since: datetime) -> str:
    return f"Only requests since {since:%Y-%m-%d %H:%M} UTC are counted: there are too many to read all."


def _from_ground(asked: _Asked) -> Answer:
    """From the rows themselves; the newest of them where there are too many."""
    if not _is_selective(asked.tree):
        return lacking(_from_newest(asked))
    try:
        return lacking(_told(asked, _ask(asked, [_all_ground(asked)], timeout_ms=GROUND_TIMEOUT_MS), (GROUND,)))
    except TooSlow:
        return lacking(_from_newest(asked))


def _from_newest(asked: _Asked) -> Answer:
    since = _bounded(asked)
    if since is None or (asked.since and since <= asked.since):
        return _told(asked, _ask(asked, [_all_ground(asked)], timeout_ms=GROUND_TIMEOUT_MS), (GROUND,))
    newest = replace(asked, since=since)
    found = _ask(newest, [_all_ground(newest)], timeout_ms=GROUND_TIMEOUT_MS)
    return _told(newest, found, (GROUND,), notes=(newest_note(since),), is_partial=True)


def _all_ground(asked: _Asked) -> Clause:
    return sql.ground(asked.layout, Piece(GROUND, asked.since, asked.until))


def _is_selective(tree: Node) -> bool:
    parts = tree.parts if isinstance(tree, And) else (tree,)
    return any(
        isinstance(one, Leaf) and one.key in SELECTIVE_KEYS and one.operator == EQUAL and one.value for one in parts
    )


def _bounded(asked: _Asked) -> datetime | None:
    """Where the newest MOST_GROUND_ROWS of the range begin, by the hour; None where all of it fits."""
    counting = Question(
        asked.question.organization_id, ("requests",), (TIME,), since=asked.since, until=asked.until, grain="hour",
        kinds=asked.question.kinds,
    )  # fmt: skip
    if _rows_between(asked, asked.since, asked.until) <= MOST_GROUND_ROWS:
        return None
    start = asked.since or (asked.until or asked.now) - timedelta(days=14)
    reached = max(start, (asked.until or asked.now) - timedelta(days=60))
    rows = 0
    for row in reversed(_from_usage(_read(replace(counting, since=reached), asked.now)).rows):
        rows += int(row["requests"] or 0)  # type: ignore[arg-type]
        if rows > MOST_GROUND_ROWS:
            return max(start, (row.at or start) + HOUR.width)
    return reached


def rows_about(question: Question) -> int:
    """About how many rows its range holds, whatever its filter. Raises TooSlow."""
    asked = _read(question, now())
    return _rows_between(asked, asked.since, asked.until)


def _rows_between(asked: _Asked, since: datetime | None, until: datetime | None) -> int:
    """About how many rows there are, whatever the filter; by whole hours, from the tiers."""
    low, high = since and calendar.floor(since, HOUR.width), until and calendar.ceiling(until, HOUR.width)
    counting = Question(
        asked.question.organization_id, ("requests",), since=low, until=high, kinds=asked.question.kinds
    )
    reading = _Asked(counting, EVERYTHING, counting.since, counting.until, None, asked.now)
    pieces = [one for one in _pieces(reading, (DAY, HOUR)) if one.table != GROUND]
    if not pieces:
        return 0
    return int(_ask(reading, sql.usage(reading.layout, pieces)).total.numbers["requests"] or 0)  # type: ignore[arg-type]


def _ask(asked: _Asked, clauses: Sequence[Clause], *, timeout_ms: int | None = None) -> Found:
    layout, q = asked.layout, asked.question
    if q.without and (less := taken_away(layout, Piece(GROUND, asked.since, asked.until), q.without)):
        clauses = [*clauses, less]
    order, is_sorted_after = _order(q)
    has_top = bool(layout.dimensions) and (q.is_series or q.has_rest)
    shows_all = is_sorted_after or q.is_series or has_top
    first, last = (1, MOST_POINTS * 5) if shows_all else (q.offset + 1, q.offset + q.limit)
    top = q.limit if has_top else 0
    if shows_all and layout.histograms and layout.keys and not (layout.names or layout.has_edges):
        asking, reading = sql.whole(layout, clauses, order=order, top=top), answers.read_whole
    else:
        asking = sql.statement(layout, clauses, order=order, top=top, first=first, last=last)
        reading = answers.read
    with reader(timeout_ms) as cursor:
        cursor.execute(asking.sql, asking.values)
        found = reading(layout, cursor.fetchall(), seconds=_seconds(asked))
    return _sorted(found, q) if is_sorted_after and not q.is_series else found


def _order(question: Question) -> tuple[str, bool]:
    """The order in SQL, and whether the answer has to be ordered once more after it: percentiles are not SQL's."""
    key = question.order or f"-{question.metrics[0]}"
    named = [one.key for one in question.asked_dimensions]
    if (name := key.removeprefix("-")) in (TIME, *named):
        return f"{'t' if name == TIME else f'd{named.index(name)}'} {'DESC' if key.startswith('-') else 'ASC'}", False
    by: Metric = next(one for one in question.asked_metrics if one.key == name)
    if by.histogram:
        return "sum(m_requests) DESC", bool(question.asked_dimensions)
    if question.is_series and not question.asked_dimensions:
        return "t", False
    return f"{sql.order_of(by)} {'DESC' if key.startswith('-') else 'ASC'} NULLS LAST", False


def _sorted(found: Found, question: Question) -> Found:
    key = question.order or f"-{question.metrics[0]}"
    sign, name = (-1 if key.startswith("-") else 1), key.removeprefix("-")

    def compare(a: Row, b: Row) -> int:
        one, other = a[name], b[name]
        if one is None or other is None:
            return (one is None) - (other is None)
        return sign * ((one > other) - (one < other))  # type: ignore[operator]

    rows = sorted(found.rows, key=cmp_to_key(compare))
    if question.has_rest:  # the groups are chosen already, and what stands for all others comes behind them
        return replace(found, rows=tuple(sorted(rows, key=lambda row: OTHER in row.values)))
    return replace(found, rows=tuple(rows[question.offset : question.offset + question.limit]))


def _seconds(asked: _Asked) -> Mapping[str, Any]:
    """What a rate is over: the range, and in a series the part of a bucket that lies in it and is past."""
    return {"since": asked.since, "until": min(asked.until or asked.now, asked.now), "grain": asked.grain,
            "zone": asked.question.zone}  # fmt: skip


# --- telling ------------------------------------------------------------------------------------------------------


def _sources(pieces: Sequence[Piece]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(piece.table for piece in pieces))


def _zone_notes(asked: _Asked) -> tuple[str, ...]:
    is_ragged = any(offset % timedelta(hours=1) for offset in _offsets(asked))
    if asked.grain in (None, "minute", "hour") or not is_ragged:
        return ()
    return ("Days begin at the full hour after midnight of this time zone: counts are kept by the hour of UTC.",)


def _told(
    asked: _Asked, found: Found, source: tuple[str, ...], *, notes: tuple[str, ...] = (), is_partial: bool = False
) -> Answer:
    times: tuple[datetime, ...] = ()
    if asked.grain:
        known = [row.at for row in found.rows if row.at]
        since = asked.since or min(known, default=asked.now)
        until = asked.until or max([asked.now, *(at + timedelta(microseconds=1) for at in known)])
        drawn = [] if asked.is_empty else calendar.starts(since, until, asked.grain, asked.question.zone)
        times = tuple(sorted({*drawn, *known}))
    return Answer(
        asked.question, found.rows, found.total, found.groups, times, asked.grain, source, asked.now, asked.since,
        asked.until, is_partial, notes,
    )  # fmt: skip
