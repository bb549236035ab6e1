"""What a statement of `sql` brings back, as rows of an answer: ratios taken, percentiles merged, marks read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from metrics_app import calendar, histogram
from metrics_app.catalog import OTHER, SECONDS, Dimension, Metric, Number, Value
from metrics_app.question import Answer, Question, Row
from metrics_app.sql import ABSENT, Layout
from metrics_app.sql import OTHER as OTHER_MARK


@dataclass(frozen=True, slots=True)
class Found:
    rows: tuple[Row, ...]
    total: Row
    groups: int


@dataclass(frozen=True, slots=True)
class _Group:
    at: datetime | None
    values: tuple[Value, ...]
    sums: Mapping[str, int]
    histograms: Mapping[str, bytes]
    others: Mapping[str, Any]
    """Counts of names and edges of time."""


def nothing(layout: Layout) -> Row:
    """The total of no rows."""
    sums = {one.key: 0 for one in layout.measures}
    empty = _Group(None, (), sums, dict.fromkeys(layout.histograms, b""), {})
    return _row(layout, empty, {}, seconds=0.0)


def read(layout: Layout, rows: Sequence[Sequence[Any]], *, seconds: Mapping[str, Any]) -> Found:
    """`rows` as `sql.statement` answers them; `seconds` says what a rate is over."""
    groups = [_group(layout, row, is_total=bool(row[-3])) for row in rows]
    percentiles = _percentiles(layout, groups)
    made = [
        _row(layout, group, percentiles[place], seconds=_length(group.at, seconds))
        for place, group in enumerate(groups)
    ]
    if not layout.keys:
        has_any = bool(groups[0].sums["requests"])
        return Found((made[0],) if has_any else (), made[0], int(has_any))
    total = made[0] if groups and rows[0][-3] else nothing(layout)
    return Found(tuple(made[1:]), total, int(rows[0][-1]) - 1 if rows else 0)


def read_whole(layout: Layout, rows: Sequence[Sequence[Any]], *, seconds: Mapping[str, Any]) -> Found:
    """`rows` as `sql.whole` answers them: the total is summed here."""
    first = (lambda row: row[: len(layout.keys)]) if layout.grain else (lambda row: row[-2])
    groups = [_group(layout, row, is_total=False) for row in sorted(rows, key=first)]
    sums = {one.key: sum(group.sums[one.key] for group in groups) for one in layout.measures}
    total = _Group(None, (), sums, {}, {})
    percentiles = _percentiles(layout, groups, has_total=True)
    made = [
        _row(layout, group, percentiles[place], seconds=_length(group.at, seconds))
        for place, group in enumerate((total, *groups))
    ]
    return Found(tuple(made[1:]), made[0], len(groups))


def _group(layout: Layout, row: Sequence[Any], *, is_total: bool) -> _Group:
    first = 1 if layout.grain else 0
    second = first + len(layout.dimensions)
    third = second + len(layout.measures)
    told = () if is_total else zip(layout.dimensions, row[first:second], strict=True)
    sums = dict(zip(layout.measure_keys, row[second:third], strict=True))
    cells = iter(row[third:])
    blobs = {one: bytes(next(cells) or b"") + histogram.encode(next(cells) or ()) for one in layout.histograms}
    others = {one: next(cells) for one in layout.names}
    if layout.has_edges:
        others |= {edge: next(cells) for edge in ("first", "last", "days")}
    return _Group(row[0] if first else None, tuple([_value(one, text) for one, text in told]), sums, blobs, others)


def _value(dimension: Dimension, text: str) -> Value:
    if text == ABSENT:
        return None
    if text == OTHER_MARK:
        return OTHER
    if dimension.kind == "number":
        return int(text)
    return text == "true" if dimension.kind == "boolean" else text


def _percentiles(layout: Layout, groups: Sequence[_Group], *, has_total: bool = False) -> list[dict[str, float | None]]:
    """By group: the value of every percentile metric; `has_total`: first those of all groups together."""
    found: list[dict[str, float | None]] = [{} for _ in range(len(groups) + has_total)]
    for column in layout.histograms:
        asked = [one for one in layout.metrics if one.histogram == column]
        merged = histogram.grouped_quantiles(
            [group.histograms[column] for group in groups], [one.quantile for one in asked], has_total=has_total
        )
        for place, values in enumerate(merged):
            for one, value in zip(asked, values, strict=True):
                found[place][one.key] = None if math.isnan(value) else float(value)
    return found


def _length(at: datetime | None, seconds: Mapping[str, Any]) -> float | None:
    since, until = seconds["since"], seconds["until"]
    if at is not None:
        end = calendar.following(at, seconds["grain"], seconds["zone"])
        since, until = max(at, since or at), min(end, until)
    return max((until - since).total_seconds(), 0.0) if since else None


def _row(layout: Layout, group: _Group, percentiles: Mapping[str, float | None], *, seconds: float | None) -> Row:
    numbers = {one.key: _number(one, group, percentiles, seconds=seconds) for one in layout.metrics}
    return Row(group.at, group.values, numbers)


def _number(
    metric: Metric, group: _Group, percentiles: Mapping[str, float | None], *, seconds: float | None
) -> Number | None:
    if metric.histogram:
        return percentiles.get(metric.key)
    if metric.names:
        return int(group.others.get(metric.names, 0))
    if metric.edge:
        found: Number | None = group.others.get(metric.edge)
        return found
    sums = group.sums
    if metric.known_by and sums["requests"] and not sums[metric.known_by]:
        return None
    top = sums[metric.plus[0]]
    for key in metric.plus[1:]:
        top += sums[key]
    for key in metric.minus:
        top -= sums[key]
    if not metric.over:
        return top
    if metric.over == (SECONDS,):
        return top * metric.scale / seconds if seconds else None
    below = sum(sums[key] for key in metric.over) - sum(sums[key] for key in metric.less)
    return top * metric.scale / below if below > 0 else None


def joined(first: Answer, second: Answer, question: Question) -> Answer:
    """Two answers about the same groups as one; a number the second does not have for a group is None."""
    found = {(row.at, row.values): row.numbers for row in second.rows}
    missing = dict.fromkeys(second.question.metrics)
    rows = tuple(
        replace(row, numbers={**row.numbers, **found.get((row.at, row.values), missing)}) for row in first.rows
    )
    total = replace(first.total, numbers={**first.total.numbers, **second.total.numbers})
    source = tuple(dict.fromkeys((*first.source, *second.source)))
    notes = tuple(dict.fromkeys((*first.notes, *second.notes)))
    return replace(
        first, question=question, rows=rows, total=total, source=source, notes=notes,
        is_partial=first.is_partial or second.is_partial,
    )  # fmt: skip
