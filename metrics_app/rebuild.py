"""Counts days again from the ground, while lines write: folded := counted(ground) - deltas not folded yet.

Right because only the holder of an organisation's lock changes its folded tables, and all of a snapshot's ground is in
that snapshot's folded tables or deltas. So: the lock first, for the session; then a REPEATABLE READ transaction a day.
The ground is counted by the function that counts batches, into temporary tables, and those are folded by the fold.

    CannotRebuild    the range begins before what retention has left of the ground, or ends before it begins
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import zip_longest
from typing import Any

from psycopg import IsolationLevel, sql
from psycopg.rows import namedtuple_row, tuple_row

from lib.clock import now
from metrics_app import fold, histogram
from metrics_app import rollup_statements as statements
from metrics_app.rollup import COUNTED, KEY, MEASURES, Db, Facet, Sums, Usage, aggregate, append

SLICE = 5_000
"""Rows of the ground counted at once."""
PASS = 20_000
FACET_PASS = 200


class CannotRebuild(ValueError):
    """Says what to ask for instead."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`rows` of the ground a day was counted from."""

    day: date
    rows: int


def rebuild(connection: Db, organization_id: int, first: date, *, last: date) -> Iterator[Rebuilt]:
    """Each UTC day from `first` to `last`, oldest first, committed one by one. Needs an autocommit connection.

    Waits for a fold that is running; folds of the organisation leave at once until this is done. Raises CannotRebuild.
    """
    with _locked(connection, organization_id):
        if last < first:
            raise CannotRebuild(f"The range ends on {last}, before it begins on {first}. Swap the two.")
        _refuse_without_ground(connection, organization_id, first)
        connection.execute(statements.RECOUNT_TABLES)
        day = first
        while day <= last:
            fold.make_month(connection, day)
            with _snapshot(connection):
                _refuse_without_ground(connection, organization_id, day)  # retention may have begun meanwhile
                rows = _recount(connection, organization_id, day)
                _replace(connection, organization_id, day)
            yield Rebuilt(day, rows)
            day += timedelta(days=1)


@contextmanager
def _locked(connection: Db, organization_id: int) -> Iterator[None]:
    """The organisation's lock for the session, before any snapshot is taken."""
    lock = (fold.LOCK_CLASS, organization_id % fold.SLOTS)
    connection.execute(statements.LOCK, lock)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute(statements.UNLOCK, lock)


@contextmanager
def _snapshot(connection: Db) -> Iterator[None]:
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            yield
    finally:
        if not connection.closed:
            connection.isolation_level = None


# --- how far back -------------------------------------------------------------------------------------------------


def ground_from(connection: Db, organization_id: int) -> datetime | None:
    """The oldest moment whose ground is whole; None where retention has taken nothing yet."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(statements.GROUND_FROM, (organization_id,)).fetchone()
    return found[0] if found else None


def raise_ground_from(connection: Db, organization_id: int, moment: datetime) -> None:
    """Retention says it before it removes the first row older than `moment`. It never goes back."""
    connection.execute(statements.RAISE_GROUND_FROM, (organization_id, moment))


def _refuse_without_ground(connection: Db, organization_id: int, day: date) -> None:
    oldest = ground_from(connection, organization_id)
    if oldest is not None and _midnight(day) < oldest:
        whole = (oldest.astimezone(UTC) + timedelta(days=1, microseconds=-1)).date()
        raise CannotRebuild(
            f"Requests before {oldest.astimezone(UTC):%Y-%m-%d %H:%M} UTC were removed by retention, and what was "
            f"counted of them is all that remains: a rebuild would forget it. Rebuild from {whole} on."
        )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


# --- one day ------------------------------------------------------------------------------------------------------


def _recount(connection: Db, organization_id: int, day: date) -> int:
    """Fills the temporary tables: the day's ground, less what deltas of it will still add. Answers its rows."""
    bounds = (organization_id, _midnight(day), _midnight(day + timedelta(days=1)))
    columns = sql.SQL(", ").join(map(sql.Identifier, COUNTED))
    rows = 0
    with connection.cursor("ground", row_factory=namedtuple_row) as ground:
        ground.execute(sql.SQL(statements.GROUND).format(columns=columns), bounds)
        while batch := ground.fetchmany(SLICE):
            counted: Sequence[Any] = batch
            _append(connection, aggregate((+1, one) for one in counted))
            rows += len(batch)
    _append(connection, _waiting(connection, organization_id, day))
    return rows


def _append(connection: Db, sums: Sums) -> None:
    append(connection, sums, usage_table="usage_recount", facet_table="facet_recount")


_KEYED = len(KEY) + 2


def _waiting(connection: Db, organization_id: int, day: date) -> Sums:
    """What the deltas of the day say, with its sign turned."""
    sums = Sums()
    bounds = (organization_id, _midnight(day), _midnight(day + timedelta(days=1)))
    with connection.cursor(row_factory=tuple_row) as cursor:
        for row in cursor.execute(statements.WAITING_USAGE, bounds):
            _take_away(sums.usage[row[:_KEYED]], row[_KEYED:-2], row[-2:])
        facets = sums.facets[organization_id, day]
        for arrays in cursor.execute(statements.WAITING_FACETS, (organization_id, day)):
            for dim, val, *amounts in zip_longest(*arrays, fillvalue=0):  # an array of zeros only is left empty
                facet: Facet = (dim, val)
                facets[facet].append([-amount for amount in amounts])
    return sums


def _take_away(usage: Usage, measures: Sequence[int], histograms: Sequence[bytes]) -> None:
    for place in range(len(MEASURES)):
        usage.measures[place] -= measures[place]
    for counts, blob in zip((usage.durations, usage.ttfts), histograms, strict=True):
        for bucket, count in histogram.unpack(blob).items():
            counts[bucket] = counts.get(bucket, 0) - count


def _replace(connection: Db, organization_id: int, day: date) -> None:
    """Empties the day in the folded tables and folds the recount into it. Values keep the rows they have."""
    _empty_tiers(connection, organization_id, day)
    values: dict[str, Any] = {"organization": organization_id, "day": day}
    connection.execute(statements.EMPTY_FACETS, values)
    connection.execute(statements.COUNT_ADMITTED, values)
    while fold.move_usage(connection, organization_id, "usage_recount", limit=PASS):
        pass
    while fold.move_facets(connection, organization_id, "facet_recount", limit=FACET_PASS):
        pass


def _empty_tiers(connection: Db, organization_id: int, day: date) -> None:
    """A tier is emptied as far back as it is folded into; what is older is about to be trimmed and never read."""
    start, end = _midnight(day), _midnight(day + timedelta(days=1))
    for tier in statements.TIERS:
        since = max(start, fold.oldest(tier, at=now() - fold.SLACK))
        query = sql.SQL(statements.EMPTY_TIER).format(table=sql.Identifier(tier.table))
        connection.execute(query, (organization_id, since, end))
