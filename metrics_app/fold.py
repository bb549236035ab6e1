"""Moves deltas into the tiers and facets, one organisation at a time. Only this and `rebuild.py` write those.

A run takes the organisation's lock in a statement of its own (a lock taken by the statement that reads would be younger
than its snapshot), so that two folders never decide at once which values a day admits, and leaves if another has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg import sql
from psycopg.rows import tuple_row

from lib.clock import now
from metrics_app import histogram
from metrics_app import rollup_statements as statements
from metrics_app.rollup import Db
from metrics_app.rollup_statements import TIERS, Tier

LOCK_CLASS = 7701
MONTHS_LOCK = 7704
SLOTS = 2**31
USAGE_LIMIT = 5_000
FACET_LIMIT = 200
"""Deltas of one run. What is left waits for the next one: the lag costs reading time, never truth."""
TRIM_LIMIT = 10_000
SLACK = timedelta(hours=2)
"""Rows are folded and kept this much longer than they are answered from: clocks of machines differ."""


@dataclass(frozen=True, slots=True)
class Caps:
    """Values of a dimension that have rows of their own on a day; the rest is "other"."""

    users: int = 100_000
    property_keys: int = 30
    values: int = 1_000


CAPS = Caps()


@dataclass(frozen=True, slots=True)
class Folded:
    """Deltas moved. `is_busy`: somebody else had the organisation, nothing was done."""

    usage: int = 0
    facets: int = 0
    is_busy: bool = False

    def is_done(self) -> bool:
        """Whether nothing was left behind."""
        return not self.is_busy and self.usage < USAGE_LIMIT and self.facets < FACET_LIMIT


def waiting(connection: Db) -> list[int]:
    """Organisations with deltas, longest waiting first."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return [row[0] for row in cursor.execute(statements.WAITING)]


def fold(connection: Db, organization_id: int, *, caps: Caps = CAPS) -> Folded:
    """One bounded run, in one READ COMMITTED transaction. Raises psycopg's errors; then nothing has moved."""
    ensure_months(connection, organization_id, "facet_delta")
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        taken = cursor.execute(statements.TRY_LOCK, (LOCK_CLASS, organization_id % SLOTS)).fetchone()
        if taken != (True,):
            return Folded(is_busy=True)
        usage = move_usage(connection, organization_id, "usage_delta", limit=USAGE_LIMIT)
        facets = move_facets(connection, organization_id, "facet_delta", limit=FACET_LIMIT, caps=caps)
    return Folded(usage, facets)


def move_usage(connection: Db, organization_id: int, source: str, *, limit: int) -> int:
    """Deltas moved from `source` into the tiers. The caller has the lock and the transaction."""
    values = {"organization": organization_id, "limit": limit}
    values |= {f"{tier.name}_from": oldest(tier, at=now() - SLACK) for tier in TIERS}  # type: ignore[misc]
    with connection.cursor(row_factory=tuple_row) as cursor:
        rows: list[tuple[Any, ...]] = cursor.execute(statements.move_usage(source), values).fetchall()
        for _, tier, bucket, *key, durations, ttfts in rows:
            if tier is not None:
                shortened = (histogram.shorten(durations), histogram.shorten(ttfts))
                cursor.execute(statements.shorten(tier), (*shortened, organization_id, bucket, *key))
    return int(rows[0][0])


def move_facets(connection: Db, organization_id: int, source: str, *, limit: int, caps: Caps = CAPS) -> int:
    """Deltas moved from `source` into the facets. The caller has the lock and the transaction."""
    values = {
        "organization": organization_id, "limit": limit, "users": caps.users, "property_keys": caps.property_keys,
        "values": caps.values,
    }  # fmt: skip
    with connection.cursor(row_factory=tuple_row) as cursor:
        moved = cursor.execute(statements.move_facets(source), values).fetchone()
    return int(moved[0]) if moved else 0


def oldest(tier: Tier, *, at: datetime) -> datetime:
    """The oldest moment a tier answers for, at a time."""
    return datetime(1, 1, 1, tzinfo=UTC) if tier.kept is None else at - tier.kept


# --- months and trimming ------------------------------------------------------------------------------------------


def ensure_months(connection: Db, organization_id: int, source: str) -> None:
    """Makes the partitions of facet_day the deltas of an organisation need."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        query = sql.SQL(statements.MISSING_MONTHS).format(source=sql.Identifier(source))
        missing = [row[0] for row in cursor.execute(query, (organization_id,))]
    for month in missing:
        make_month(connection, month)


def make_month(connection: Db, first: date) -> None:
    """The partition of facet_day for the month of `first`, if it is not there. ATTACH lets readers go on."""
    start = first.replace(day=1)
    end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    name = f"facet_day_p{start:%Y%m}"
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(statements.LOCK_MONTHS, (MONTHS_LOCK,))
        if cursor.execute(statements.HAS_TABLE, (name,)).fetchone() == (True,):
            return
        cursor.execute(sql.SQL(statements.MAKE_MONTH).format(sql.Identifier(name)))
        bounds = (sql.Literal(start), sql.Literal(end))
        cursor.execute(sql.SQL(statements.ATTACH_MONTH).format(sql.Identifier(name), *bounds))


def trim(connection: Db) -> int:
    """Deletes rows older than their tier keeps, in bounded batches; answers how many."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        organizations = [row[0] for row in cursor.execute(statements.COUNTED_ORGANIZATIONS)]
    return sum(
        _trim(connection, organization_id, tier)
        for organization_id in organizations
        for tier in TIERS
        if tier.kept is not None
    )


def _trim(connection: Db, organization_id: int, tier: Tier) -> int:
    query = sql.SQL(statements.TRIM).format(table=sql.Identifier(tier.table))
    values = (organization_id, oldest(tier, at=now() - SLACK), TRIM_LIMIT)
    deleted = 0
    while gone := connection.execute(query, values).rowcount:
        deleted += gone
    return deleted
