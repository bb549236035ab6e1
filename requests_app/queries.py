"""Every question pages and API put to the ground. An organisation comes first in each; nothing here writes.

Rows are walked newest first in windows of whole partitions that widen as they stay empty, so a page costs what it
shows, not what is stored. Statements have a time limit.

    TooSlow     the statement took longer than it may: a shorter range or a narrower filter is needed
"""
# ruff: noqa: S608 - what is put together here are columns and clauses of catalogues; every value is bound

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal
from uuid import UUID

import orjson
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.errors import QueryCanceled

from lib.clock import from_microseconds, microseconds, reckonable, time_of
from llm.exchange import ATTEMPT
from requests_app.filters import (
    EVERYTHING,
    QUARTER,
    Node,
    as_uuid,
    bounds,
    compile,
    entry_of,
    is_of_one,
    leaves,
)
from requests_app.rows import BodyRow, RequestRow, went_on
from requests_app.store import BODY_COLUMNS, COLUMNS, JSON_COLUMNS, body_from, partition_start, row_from

ATTEMPTS_FOR = frozenset({"kind", "id"})
_NAMES = ", ".join(f"r.{name}" for name in COLUMNS)
_JSON = tuple(COLUMNS.index(name) for name in JSON_COLUMNS)


class TooSlow(Exception):
    """A statement reached its time limit."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which rows: of one organisation, in [since, until), that the filter holds for."""

    organization_id: int
    filter: Node = EVERYTHING
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list: the key of a row, whether it is still there or not."""

    requested_at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{microseconds(self.requested_at)}.{self.id.hex}"


def cursor_of(row: RequestRow) -> Cursor:
    return Cursor(row.requested_at, row.id)


def read_cursor(text: str) -> Cursor | None:
    """None for text that is none."""
    at, _, identifier = text.partition(".")
    try:
        return Cursor(reckonable(from_microseconds(int(at))), UUID(identifier))
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows newest first, and whether there are others on either side."""

    rows: tuple[RequestRow, ...]
    has_older: bool
    has_newer: bool


@contextmanager
def reader(timeout_ms: int | None = None) -> Iterator[CursorWrapper]:
    """A cursor in a short transaction with a time limit. Raises TooSlow."""
    limit = min(timeout_ms or settings.READER_TIMEOUT_MS, settings.READER_TIMEOUT_MS)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, TRUE)", [str(limit)])
            yield cursor
            cursor.execute("SELECT set_config('statement_timeout', %s, TRUE)", [str(settings.READER_TIMEOUT_MS)])
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooSlow("Query timeout. Try a shorter time range or simpler filters.") from error
        raise


def _row(values: Sequence[Any]) -> RequestRow:
    found = list(values)
    for index in _JSON:
        if isinstance(found[index], str):
            found[index] = orjson.loads(found[index])
    return row_from(dict(zip(COLUMNS, found, strict=True)))


def where(question: Question) -> tuple[str, list[Any]]:
    """The whole condition but for windows and cursors; organisation first. Attempts only for who asks by kind or id."""
    clause = compile(question.filter)
    since, until = time_range(question)
    sql: str = "r.organization_id = %s"
    values: list[Any] = [question.organization_id]
    if since:
        sql, values = f"{sql} AND r.requested_at >= %s", [*values, since]
    if until:
        sql, values = f"{sql} AND r.requested_at < %s", [*values, until]
    if not {one.key for one in leaves(question.filter)} & ATTEMPTS_FOR:
        sql += f" AND r.kind <> '{ATTEMPT}'"
    return f"{sql} AND {clause.sql}", [*values, *clause.values]


def time_range(question: Question) -> tuple[datetime | None, datetime | None]:
    """What the question and its filter say about time, together."""
    low, high = bounds(question.filter)
    lows = [reckonable(moment) for moment in (question.since, low) if moment]
    past = reckonable(high) + timedelta(microseconds=1) if high else None
    highs = [reckonable(moment) for moment in (question.until, past) if moment]
    return max(lows, default=None), min(highs, default=None)


# --- pages of rows --------------------------------------------------------------------------------------------


def page(question: Question, *, size: int, older: Cursor | None = None, newer: Cursor | None = None) -> Page:
    """The newest rows, those older than a cursor, or the ones just newer than it."""
    with reader() as cursor:
        rows = _walk(cursor, question, size + 1, start=newer or older, upward=newer is not None)
    more, shown = len(rows) > size, rows[:size]
    if newer:
        return Page(tuple(reversed(shown)), has_older=True, has_newer=more)
    return Page(tuple(shown), has_older=more, has_newer=older is not None)


def _walk(
    cursor: CursorWrapper, question: Question, wanted: int, *, start: Cursor | None, upward: bool
) -> list[RequestRow]:
    condition, values = where(question)
    direction, sign = ("ASC", ">") if upward else ("DESC", "<")
    if start:
        condition += f" AND (r.requested_at, r.id) {sign} (%s, %s)"
        values += [start.requested_at, start.id]
    within = f"r.requested_at >= %s AND r.requested_at < %s{_WITHIN_QUARTERS if is_of_one(question.filter) else ''}"
    found: list[RequestRow] = []
    for stretch in _windows(cursor, question, start, upward=upward):
        edges = stretch * 2 if is_of_one(question.filter) else stretch
        cursor.execute(
            f"SELECT {_NAMES} FROM llm_request r WHERE {condition} AND {within} "
            f"ORDER BY {_by_time(question, direction)} LIMIT %s",
            [*values, *edges, wanted - len(found)],
        )
        found += map(_row, cursor.fetchall())
        if len(found) >= wanted:
            break
    return found


_QUARTER = QUARTER.format("r.requested_at")
_WITHIN_QUARTERS = f" AND {_QUARTER} >= {QUARTER.format('%s')} AND {_QUARTER} <= {QUARTER.format('%s')}"


def _by_time(question: Question, direction: str) -> str:
    """The order by time and id. By way of an index of one model or user its quarters come first; they change nothing
    of the order."""
    order = f"r.requested_at {direction}, r.id {direction}"
    return f"{_QUARTER} {direction}, {order}" if is_of_one(question.filter) else order


def _windows(
    cursor: CursorWrapper, question: Question, start: Cursor | None, *, upward: bool
) -> list[tuple[datetime, datetime]]:
    """Stretches of 1, 1, 2, 4, … partitions over all the rows asked for, in walking order."""
    stored = _partitions(cursor)
    since, until = time_range(question)
    if start and upward:
        since = max(start.requested_at, since or start.requested_at)
    elif start:
        until = min(start.requested_at + timedelta(microseconds=1), until or datetime.max.replace(tzinfo=UTC))
    days = settings.PARTITION_DAYS
    wanted = [
        first for first in stored
        if (not until or first < until) and (not since or first >= partition_start(since, days))
    ]  # fmt: skip
    if not wanted:
        return []
    edges = [*wanted, wanted[-1] + timedelta(days=days)]
    low, high = since or edges[0], until or edges[-1]
    return [(max(first, low), min(last, high)) for first, last in _widening(edges, upward=upward)]


def _widening(edges: Sequence[datetime], *, upward: bool) -> list[tuple[datetime, datetime]]:
    ordered = list(edges) if upward else list(reversed(edges))
    at, step, stops = 0, 1, [ordered[0]]
    while at < len(ordered) - 1:
        at = min(at + step, len(ordered) - 1)
        stops.append(ordered[at])
        step = max(1, at)
    return [(min(pair), max(pair)) for pair in pairwise(stops)]


def _partitions(cursor: CursorWrapper) -> list[datetime]:
    """Starts of the partitions there are, oldest first."""
    cursor.execute(
        "SELECT right(c.relname, 8) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'llm_request'::regclass ORDER BY 1"
    )
    return [datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC) for (name,) in cursor.fetchall()]


def neighbours(question: Question, row: RequestRow) -> tuple[RequestRow | None, RequestRow | None]:
    """The rows just newer and just older than this one in the list."""
    with reader() as cursor:
        newer = _walk(cursor, question, 1, start=cursor_of(row), upward=True)
        older = _walk(cursor, question, 1, start=cursor_of(row), upward=False)
    return (newer[0] if newer else None), (older[0] if older else None)


def batches(question: Question, *, size: int = 1_000) -> Iterator[tuple[RequestRow, ...]]:
    """All rows newest first, each batch in a short transaction of its own; what comes meanwhile is left out."""
    older: Cursor | None = None
    while True:
        found = page(question, size=size, older=older)
        if found.rows:
            yield found.rows
        if not found.has_older:
            return
        older = cursor_of(found.rows[-1])


def has_any(organization_id: int) -> bool:
    """Whether anything was ever captured for this organisation."""
    with reader() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM llm_request WHERE organization_id = %s)", [organization_id])
        return bool(single(cursor))


# --- rows in another order, for the API -----------------------------------------------------------------------

Direction = Literal["asc", "desc"]

SORTS: Mapping[str, str] = {
    "latency": "r.duration_ms", "total_tokens": entry_of("total_tokens").sql,
    "prompt_tokens": entry_of("uncached_input_tokens").sql, "cost": "r.cost_nano_usd",
    "completion_tokens": entry_of("visible_output_tokens").sql, "user_id": "r.end_user_id",
    "body_model": "r.model", "is_cached": "r.cached", "request_prompt": "r.request_preview",
    "response_text": "r.response_preview", "time_to_first_token": "r.time_to_first_token_ms",
    "random": "random()", "property": "(r.properties ->> %s)",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sort:
    """An order by one of SORTS, or by time where `key` is empty; `name` is the property's."""

    key: str = ""
    direction: Direction = "desc"
    name: str = ""


def ordered(question: Question, *, sort: Sort, limit: int, offset: int) -> list[RequestRow]:
    """Rows in an order of their own; ties and the unknown last, newest first."""
    condition, values = where(question)
    direction = "ASC" if sort.direction == "asc" else "DESC"
    if sort.key:
        order = f"{SORTS[sort.key]} {direction} NULLS LAST, r.requested_at DESC, r.id DESC"
        values += [sort.name] if sort.key == "property" else []
    else:
        order = _by_time(question, direction)
    with reader() as cursor:
        cursor.execute(
            f"SELECT {_NAMES} FROM llm_request r WHERE {condition} ORDER BY {order} LIMIT %s OFFSET %s",
            [*values, limit, offset],
        )
        return list(map(_row, cursor.fetchall()))


def single(cursor: CursorWrapper) -> Any:
    found = cursor.fetchone()
    return found[0] if found else None


# --- one request ----------------------------------------------------------------------------------------------


def one(organization_id: int, text: str) -> RequestRow | None:
    """The request with this id, ours or one its client chose."""
    identifier = as_uuid(text)
    with reader() as cursor:
        if identifier and (at := time_of(identifier)):
            key: tuple[Any, ...] = (organization_id, identifier, at, at + timedelta(milliseconds=1))
            cursor.execute(f"{_ONE} AND r.requested_at >= %s AND r.requested_at < %s", key)
            if found := cursor.fetchone():
                return _row(found)
        cursor.execute(
            f"SELECT {_NAMES} FROM request_alias a JOIN llm_request r USING (organization_id, requested_at, id) "
            "WHERE a.organization_id = %s AND a.client_id = %s",
            [organization_id, str(identifier) if identifier else text.replace("\x00", "")],
        )
        found = cursor.fetchone()
    return _row(found) if found else None


_ONE = f"SELECT {_NAMES} FROM llm_request r WHERE r.organization_id = %s AND r.id = %s"


def alias_owners(organization_id: int, rows: Sequence[RequestRow]) -> set[UUID]:
    """Which of the rows their client-chosen id names; a gateway retry repeats an id without being named by it."""
    chosen = [row.client_request_id for row in rows if row.client_request_id]
    if not chosen:
        return set()
    with reader() as cursor:
        cursor.execute(
            "SELECT id FROM request_alias WHERE organization_id = %s AND client_id = ANY(%s)",
            [organization_id, chosen],
        )
        return {identifier for (identifier,) in cursor.fetchall()}


def attempts(row: RequestRow) -> list[RequestRow]:
    """The calls made for a request whose answers were not passed on, oldest first."""
    with reader() as cursor:
        cursor.execute(
            f"SELECT {_NAMES} FROM llm_request r WHERE r.organization_id = %s AND r.requested_at >= %s "
            f"AND r.requested_at <= %s AND r.kind = '{ATTEMPT}' AND r.parent_span_id = %s "
            "ORDER BY r.requested_at, r.id LIMIT 200",
            [row.organization_id, row.requested_at, row.requested_at + went_on(row), row.id.bytes[8:].hex()],
        )
        return list(map(_row, cursor.fetchall()))


def body(row: RequestRow) -> BodyRow | None:
    """Both sides of one request as stored; None where none were kept."""
    return bodies([row]).get(row.id)


def bodies(rows: Sequence[RequestRow]) -> dict[UUID, BodyRow]:
    """Stored bodies of rows of one organisation, by id."""
    if not rows:
        return {}
    with reader() as cursor:
        cursor.execute(
            f"SELECT {', '.join(f'b.{name}' for name in BODY_COLUMNS)} FROM llm_request_body b "
            "JOIN unnest(%b::timestamptz[], %b::uuid[]) AS w (requested_at, id) USING (requested_at, id) "
            "WHERE b.organization_id = %s AND b.requested_at BETWEEN %s AND %s",
            [
                [row.requested_at for row in rows],
                [row.id for row in rows],
                rows[0].organization_id,
                min(row.requested_at for row in rows),
                max(row.requested_at for row in rows),
            ],
        )
        found = list(map(body_from, cursor.fetchall()))
    return {stored.id: stored for stored in found}
