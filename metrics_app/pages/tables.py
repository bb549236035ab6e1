"""The tables of users, of models and of one property's values: a row for each value, sorted by any column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest

from metrics_app.catalog import OTHER, PROPERTY, metric
from metrics_app.charts import value_words
from metrics_app.pages import lengths, source
from metrics_app.pages.reading import View, condition, page_link, requests_link, with_parameters
from metrics_app.pages.source import Found
from metrics_app.question import MOST_GROUPS
from requests_app.filters import Node

LENGTHS = (50, 200, 1000)
NAME = "name"
"""Sorts by what the rows are of."""
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """`metric` is what is asked for; `shows` the template's word for how its value is written."""

    key: str
    words: str
    shows: str
    metric: str
    is_narrow: bool = False
    says: str = ""


REQUESTS = Column("requests", "Requests", "count", "requests", is_narrow=True)
ERRORS = Column("errors", "Errors", "share", "errors", says="every status but 2xx and 3xx")
COST = Column("cost", "Cost", "money", "cost", is_narrow=True, says="the calls of known cost")
PER_CALL = Column("per_call", "Cost / call", "money", "cost_per_request", says="cost over the calls of known cost")
INPUT = Column("input", "Input tokens", "tokens", "input_tokens")
OUTPUT = Column("output", "Output tokens", "tokens", "output_tokens")
AVERAGE = Column("average", "Avg duration", "duration", "duration_avg")
P50 = Column("p50", "p50", "duration", "duration_p50", says="half of the calls took at most this long")
P95 = Column("p95", "p95", "duration", "duration_p95", says="95 of 100 calls took at most this long")
P95_READ = Column("p95", "p95 duration", "duration", lengths.P95, says="95 of 100 calls took at most this long")
"""Of single requests, beside a table of counts that keep no lengths."""
PART_WORDS = "p95 of newest"
"""What it is called where it is not of all the requests counted."""
SPEED = Column("speed", "Tokens/s", "speed", "tokens_per_second", says="output tokens over the time the calls took")
FIRST = Column("first", "First active", "day", "first_at", says="in this range; by days (UTC), where days are counted")
DAYS = Column("days", "Active days", "count", "active_days", says="days (UTC) of this range with a request")
LAST = Column("last", "Last active", "day", "last_at", says="by days (UTC), where days are counted")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a table is of. `page` names the page of one row."""

    key: str
    words: str
    by: tuple[str, ...]
    columns: tuple[Column, ...]
    page: str = ""
    without: Node | None = None
    """Rows that are not meant, as of a question."""


USERS = Kind(
    "users", "User", ("user",), (REQUESTS, ERRORS, COST, PER_CALL, INPUT, OUTPUT, AVERAGE, DAYS, FIRST, LAST), "user"
)  # fmt: skip
MODELS = Kind(
    "models", "Model", ("undated_model", "provider"),
    (REQUESTS, ERRORS, COST, PER_CALL, INPUT, OUTPUT, P50, P95, SPEED),
)  # fmt: skip
VERSIONS = replace(MODELS, by=("model", "provider"))
"""Each dated version for itself. A call that failed told none: it stands under the name it asked for."""
VALUES = Kind("values", "Value", (), (REQUESTS, ERRORS, COST, PER_CALL, INPUT, OUTPUT, AVERAGE))


@dataclass(frozen=True, slots=True)
class Line:
    value: Any
    words: str
    is_named: bool
    row: Row
    share: float | None
    """Its part of all requests."""
    link: str
    page: str


@dataclass(frozen=True, slots=True)
class Head:
    """A column and where a click on it leads."""

    column: Column
    url: str
    state: str
    words: str


@dataclass(frozen=True, slots=True)
class Table:
    kind: Kind
    name: Head
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    found: Found
    total: Row
    view: View
    more: str
    """Address of a longer table; empty where all is shown."""
    length: int
    is_p95_part: bool = False
    """Its p95 duration is not of all requests its counts are of."""
    p95: str = ""
    """Address of the same with the p95 duration; empty where it is there, or the table is of something else."""


def property_values(dimension: str) -> Kind:
    return replace(VALUES, by=(dimension,))


def table(request: HttpRequest, kind: Kind, view: View, *, length: int = 0) -> Table:
    """The rows one address asks for. Raises TooSlow."""
    name = Column(NAME, kind.words, "", kind.by[0])
    sort, is_rising = _sorting(request, (*kind.columns, name))
    length = length or _length(request)
    found, is_part = _found(kind, view, sort, is_rising=is_rising, length=length)
    lines = tuple(_line(kind, view, row, found.total) for row in found.rows[:length])
    longer = next((str(one) for one in LENGTHS if one > length), None) if len(found.rows) > length else None
    heads = tuple(_head(request, one, sort, is_rising=is_rising) for one in kind.columns)
    heads = tuple(replace(one, words=PART_WORDS) if is_part and one.column is P95_READ else one for one in heads)
    return Table(
        kind, _head(request, name, sort, is_rising=is_rising), heads, lines, found, found.total,
        view, with_parameters(request, rows=longer) if longer else "", length, is_p95_part=is_part,
    )  # fmt: skip


def _found(kind: Kind, view: View, sort: Column, *, is_rising: bool, length: int) -> tuple[Found, bool]:
    """One row more than the table shows, where there are more; and whether the p95 duration is of a part only."""
    metrics = (*(column.metric for column in kind.columns if column is not P95_READ), "priced")
    order, limit = f"{'' if is_rising else '-'}{sort.metric}", length + 1
    if sort is P95_READ:
        order, limit = "-requests", MOST_GROUPS
    found = source.ask(view, metrics, by=kind.by, order=order, limit=limit, without=kind.without)
    if P95_READ not in kind.columns:
        return found, False
    read = lengths.read(view, kind.by[0])
    found = lengths.added(found, kind.by[0], read)
    return (lengths.ordered(found, is_rising=is_rising) if sort is P95_READ else found), read.is_part


def _sorting(request: HttpRequest, columns: Sequence[Column]) -> tuple[Column, bool]:
    """Figures begin with the largest, names with A."""
    column = {one.key: one for one in columns}.get(request.GET.get("sort", ""), columns[0])
    said = request.GET.get("dir", "")
    return column, said == "asc" or (column.key == NAME and said != "desc")


def _length(request: HttpRequest) -> int:
    text = request.GET.get("rows", "")
    return int(text) if text in {str(one) for one in LENGTHS} else LENGTHS[0]


def _head(request: HttpRequest, column: Column, sort: Column, *, is_rising: bool) -> Head:
    is_this = column is sort
    turned = ("desc" if is_rising else "asc") if is_this else None
    if turned == ("asc" if column.key == NAME else "desc"):
        turned = None  # as it begins anyway
    state = ("ascending" if is_rising else "descending") if is_this else "none"
    return Head(column, with_parameters(request, sort=column.key, dir=turned), state, column.words)


def _line(kind: Kind, view: View, row: Row, total: Row) -> Line:
    value = row[kind.by[0]]
    is_named = value not in (None, "", OTHER)
    behind = [condition(one, row[one] or None) for one in kind.by if row[one] is not OTHER]
    return Line(
        value=value,
        words=value_words(kind.by[0], value),
        is_named=is_named,
        row=row,
        share=row["requests"] / total["requests"] if total.get("requests") else None,
        link=requests_link(view, behind),
        page=page_link(kind.page, view, str(value)) if kind.page and is_named else "",
    )


def csv_rows(found: Table) -> Iterator[list[Any]]:
    """The table as a spreadsheet takes it: a head, then plain values; costs in USD, times in ISO.

    A p95 duration that is not of all requests counted is left out: a file has no place to say so.
    """
    kind = found.kind
    hidden = lengths.P95 if found.is_p95_part else ""
    metrics = (*(column.metric for column in kind.columns), "priced")
    yield [*(one.removeprefix(PROPERTY) for one in kind.by), *map(_heading, metrics)]
    for line in found.lines:
        values = (None if one == hidden else line.row[one] for one in metrics)
        yield [*(_text(line.row[one]) for one in kind.by), *map(_value, values, metrics)]


def _heading(key: str) -> str:
    return {"nano-USD": f"{key}_usd", "ms": f"{key}_ms"}.get(metric(key).unit, key)


def _text(value: Any) -> Any:
    return "(all others)" if value is OTHER else value


def _value(value: Any, key: str) -> Any:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    return value / 10**9 if metric(key).unit == "nano-USD" else value
