"""How long what is kept: the night's removal, and what it would free today.

A day ends at midnight UTC; a policy of N days keeps the last N whole days and today. Bodies go first, then rows, then
counts, each by days of their own. Removing ground takes nothing from what was counted of it: counts outlive rows.
A partition nobody needs any more is dropped whole; elsewhere rows go in slices with pauses, in key order, so that
the line never waits long nor in a circle. Pinned sessions keep their rows and bodies.

Deciding and dropping are one transaction under a lock on the parent, taken with a short timeout: a late row of
somebody who still keeps that week is either seen, and the partition stays, or finds no partition and makes it anew.
"""
# ruff: noqa: S608 - names put together here are partitions read from the catalogue and the tables below

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Any, Literal
from uuid import UUID

from psycopg import Connection, sql
from psycopg.errors import LockNotAvailable

Db = Connection[Any]
What = Literal["bodies", "requests", "counts"]

RUNS_AT = clock_time(3, 30)
"""UTC, every night."""
RUN_LOCK = 7703
SLICE = 2_000
PAUSE_SECONDS = 0.05
LOCK_TIMEOUT_MS = 1_500
LOCK_ATTEMPTS = 5
GROUND: tuple[tuple[What, str], ...] = (("bodies", "llm_request_body"), ("requests", "llm_request"))
COUNTED: Mapping[str, str] = {
    "usage_minute": "bucket", "usage_hour": "bucket", "usage_day": "bucket", "facet_day": "day", "facet_cap": "day",
    "session": "last_at",
}  # fmt: skip
"""Tables of counts and what dates their rows. One that is not there is passed over."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Days of an organisation; None keeps for ever. Bodies end with their rows, counts not before them."""

    body_days: int | None = None
    request_days: int | None = None
    count_days: int | None = None

    def days(self, what: What) -> int | None:
        if what == "bodies":
            return min((n for n in (self.body_days, self.request_days) if n is not None), default=None)
        if what == "requests":
            return self.request_days
        if self.request_days is None or self.count_days is None:
            return None
        return max(self.count_days, self.request_days)

    def cutoff(self, what: What, now: datetime) -> datetime | None:
        """What is older goes; None: nothing does."""
        days = self.days(what)
        return None if days is None else midnight(now) - timedelta(days=days)


FOR_EVER = Policy()


def midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class Removed:
    """Rows of one organisation that went, all older than `before_at`."""

    organization_id: int
    what: What
    before_at: datetime
    rows: int
    is_dropped: bool = False
    """With their whole partition."""


Announce = Callable[[int, datetime], None]
"""Told (organisation, moment) before its rows older than the moment go: from then on they cannot be counted again."""


# --- the night ------------------------------------------------------------------------------------------------------


def policies(connection: Db) -> dict[int, Policy]:
    rows = connection.execute("SELECT organization_id, body_days, request_days, count_days FROM retention_policy")
    return {organization_id: Policy(*days) for organization_id, *days in rows}


def pins(connection: Db) -> dict[int, list[str]]:
    rows = connection.execute("SELECT organization_id, array_agg(session_id) FROM session_pin GROUP BY 1")
    return {organization_id: sessions for organization_id, sessions in rows}


def apply(connection: Db, now: datetime, *, announce: Announce) -> Iterator[Removed]:
    """Removes all that is past its time, telling what went as it goes. `connection` is in autocommit.

    One run at a time; killed anywhere, the next one goes on. Yields nothing where another run is under way.
    """
    if connection.execute("SELECT pg_try_advisory_lock(%s)", (RUN_LOCK,)).fetchone() != (True,):
        return
    try:
        night = _Night(connection, now, policies(connection), pins(connection), announce)
        for what, table in GROUND:
            yield from night.clear_ground(what, table)
        night.clear_aliases()
        yield from night.clear_counts()
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (RUN_LOCK,))


@dataclass(frozen=True, slots=True)
class Partition:
    table: str
    name: str
    start: datetime
    end: datetime


class _Night:
    """One run over every partition and organisation."""

    def __init__(
        self, connection: Db, now: datetime, policies: Mapping[int, Policy], pins: Mapping[int, list[str]],
        announce: Announce,
    ) -> None:  # fmt: skip
        self._db = connection
        self._now = now
        self._policies = policies
        self._pins = pins
        self._announce = announce
        self._announced: set[int] = set()

    def _cutoff(self, what: What, organization_id: int) -> datetime | None:
        return self._policies.get(organization_id, FOR_EVER).cutoff(what, self._now)

    def clear_ground(self, what: What, table: str) -> Iterator[Removed]:
        latest = max((c for one in self._policies if (c := self._cutoff(what, one))), default=None)
        if latest is None:
            return
        for partition in partitions(self._db, table):
            if partition.start < latest:
                yield from self._clear_partition(what, partition)

    def _clear_partition(self, what: What, partition: Partition) -> Iterator[Removed]:
        there = _organizations(self._db, partition.name)
        leaving = {one: cutoff for one in there if (cutoff := self._cutoff(what, one)) and cutoff > partition.start}
        if what == "requests":
            self._tell(leaving)
        if self._is_free(what, partition, there):
            rows = _counts(self._db, partition.name)
            if self._drop(what, partition):
                for one, count in rows.items():
                    yield Removed(one, what, leaving[one], count, is_dropped=True)
                return
        for one, cutoff in leaving.items():
            if removed := self._delete(what, partition, one, min(cutoff, partition.end)):
                yield Removed(one, what, cutoff, removed)

    def _tell(self, leaving: Mapping[int, datetime]) -> None:
        for one, cutoff in leaving.items():
            if one not in self._announced:
                self._announce(one, cutoff)
                self._announced.add(one)

    def _is_free(self, what: What, partition: Partition, there: Sequence[int]) -> bool:
        """Whether every organisation with rows there has done with all of them, or, of an empty one, any would have.

        Cutoffs move by a day, so a week is mostly emptied row by row; its end is that it is dropped empty.
        """
        cutoffs = [self._cutoff(what, one) for one in (there or self._policies)]
        if not there:
            return any(cutoff is not None and cutoff >= partition.end for cutoff in cutoffs)
        if any(cutoff is None or cutoff < partition.end for cutoff in cutoffs):
            return False
        return not any(_has_pinned(self._db, partition, one, self._pins[one]) for one in there if one in self._pins)

    def _drop(self, what: What, partition: Partition) -> bool:
        """False where somebody's row came meanwhile, or a reader held the table too long: then rows go one by one."""
        for attempt in range(LOCK_ATTEMPTS):
            try:
                with self._db.transaction():
                    self._db.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                    self._db.execute(f"LOCK TABLE ONLY {partition.table} IN ACCESS EXCLUSIVE MODE")
                    if not self._is_free(what, partition, _organizations(self._db, partition.name)):
                        return False
                    self._db.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(partition.name)))
                return True
            except LockNotAvailable:
                time.sleep(PAUSE_SECONDS * 2**attempt)
        return False

    def _delete(self, what: What, partition: Partition, organization_id: int, before: datetime) -> int:
        pinned = self._pins.get(organization_id, [])
        condition = _UNPINNED_BODY if what == "bodies" else _UNPINNED_ROW
        return _in_slices(
            self._db, partition.name, organization_id, before=before, condition=condition if pinned else "",
            values=(pinned,) if pinned else (),
        )  # fmt: skip

    def clear_aliases(self) -> None:
        """Ids clients chose go with the rows they named."""
        for one in self._policies:
            if cutoff := self._cutoff("requests", one):
                _sliced(self._db, _ALIASES, {"org": one, "before": cutoff, "slice": SLICE})

    def clear_counts(self) -> Iterator[Removed]:
        tables = _present(self._db, COUNTED)
        for one in self._policies:
            cutoff = self._cutoff("counts", one)
            if cutoff is None:
                continue
            values = {"org": one, "before": cutoff, "slice": SLICE, "pins": self._pins.get(one, [])}
            rows = sum(_sliced(self._db, _count_slice(table), values) for table in tables)
            if rows:
                yield Removed(one, "counts", cutoff, rows)


# --- statements -----------------------------------------------------------------------------------------------------

_UNPINNED_ROW = " AND (t.session_id IS NULL OR t.session_id <> ALL(%s))"
_UNPINNED_BODY = """ AND NOT EXISTS (SELECT 1 FROM llm_request r WHERE r.organization_id = t.organization_id
    AND r.requested_at = t.requested_at AND r.id = t.id AND r.session_id = ANY(%s))"""
_ALIASES = """
DELETE FROM request_alias WHERE ctid = ANY(ARRAY(SELECT a.ctid FROM request_alias a
    WHERE a.organization_id = %(org)s AND a.requested_at < %(before)s AND NOT EXISTS (SELECT 1 FROM llm_request r
        WHERE r.organization_id = a.organization_id AND r.requested_at = a.requested_at AND r.id = a.id)
    LIMIT %(slice)s FOR UPDATE SKIP LOCKED))
"""


def partitions(connection: Db, table: str) -> list[Partition]:
    """Oldest first; bounds as Postgres has them, whatever width they were made with."""
    rows = connection.execute(
        "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i "
        "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass",
        (table,),
    )
    return sorted(
        (Partition(table, name, *_bounds(bounds)) for name, bounds in rows.fetchall()), key=lambda one: one.start
    )


def _bounds(text: str) -> tuple[datetime, datetime]:
    """FOR VALUES FROM ('2026-01-05 00:00:00+00') TO ('2026-01-12 00:00:00+00')"""
    start, end = text.split("'")[1::2]
    return datetime.fromisoformat(start), datetime.fromisoformat(end)


def _organizations(connection: Db, partition: str) -> list[int]:
    """Who has rows there: one step along the key for each, whatever their number of rows."""
    rows = connection.execute(
        f"WITH RECURSIVE seen AS (SELECT min(organization_id) AS one FROM {partition} UNION ALL "
        f"SELECT (SELECT min(organization_id) FROM {partition} WHERE organization_id > seen.one) FROM seen "
        "WHERE seen.one IS NOT NULL) SELECT one FROM seen WHERE one IS NOT NULL"
    )
    return [one for (one,) in rows.fetchall()]


def _counts(connection: Db, partition: str) -> dict[int, int]:
    return dict(connection.execute(f"SELECT organization_id, count(*) FROM {partition} GROUP BY 1").fetchall())


def _has_pinned(connection: Db, partition: Partition, organization_id: int, sessions: Sequence[str]) -> bool:
    """Whether a pinned session has a row there. A body's is its row's."""
    found = connection.execute(
        f"SELECT EXISTS (SELECT 1 FROM {partition.table} t JOIN llm_request r USING (organization_id, requested_at, id)"
        " WHERE r.organization_id = %s AND r.session_id = ANY(%s) AND r.requested_at >= %s AND r.requested_at < %s)",
        (organization_id, list(sessions), partition.start, partition.end),
    ).fetchone()
    return found == (True,)


_Place = tuple[datetime, UUID]
_LOWEST: _Place = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


def _in_slices(
    connection: Db, name: str, organization_id: int, *, before: datetime, condition: str, values: tuple[Any, ...]
) -> int:
    """Deletes in key order up to SLICE keys at a time; answers how many rows went."""
    place, removed = _LOWEST, 0
    while True:
        key = (organization_id, *place, before)
        end = connection.execute(
            f"SELECT requested_at, id FROM {name} WHERE organization_id = %s AND (requested_at, id) > (%s, %s) "
            f"AND requested_at < %s ORDER BY requested_at, id OFFSET {SLICE - 1} LIMIT 1",
            key,
        ).fetchone()
        rest = " AND (t.requested_at, t.id) <= (%s, %s)" if end else ""
        removed += connection.execute(
            f"DELETE FROM {name} t WHERE t.organization_id = %s AND (t.requested_at, t.id) > (%s, %s) "
            f"AND t.requested_at < %s{rest}{condition}",
            (*key, *(end or ()), *values),
        ).rowcount
        if end is None:
            return removed
        place = (end[0], end[1])
        time.sleep(PAUSE_SECONDS)


def _present(connection: Db, tables: Mapping[str, str]) -> list[str]:
    rows = connection.execute(
        "SELECT name FROM unnest(%s::text[]) WITH ORDINALITY AS w (name, place) "
        "WHERE to_regclass(name) IS NOT NULL ORDER BY place",
        (list(tables),),
    )
    return [name for (name,) in rows.fetchall()]


def _count_slice(table: str) -> str:
    """Rows somebody works on are left for the next night: a fold locks them in an order of its own.

    `tableoid` beside `ctid`, since a table of counts may be partitioned.
    """
    unpinned = " AND c.session_id <> ALL(%(pins)s)" if table == "session" else ""
    return (
        f"WITH gone AS MATERIALIZED (SELECT c.tableoid AS part, c.ctid AS place FROM {table} c "
        f"WHERE c.organization_id = %(org)s AND c.{COUNTED[table]} < %(before)s{unpinned} "
        f"LIMIT %(slice)s FOR UPDATE SKIP LOCKED) DELETE FROM {table} t USING gone "
        "WHERE t.ctid = gone.place AND t.tableoid = gone.part AND t.organization_id = %(org)s"
    )


def _sliced(connection: Db, statement: str, values: Mapping[str, Any]) -> int:
    removed = 0
    while rows := connection.execute(statement, values).rowcount:
        removed += rows
        time.sleep(PAUSE_SECONDS)
    return removed


# --- what it would free -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """What one organisation has stored of one day (UTC). Bytes are its part of the partition's, indexes included."""

    day: date
    requests: int = 0
    request_bytes: int = 0
    bodies: int = 0
    body_bytes: int = 0
    pinned: int = 0
    pinned_bodies: int = 0


@dataclass(frozen=True, slots=True)
class Freed:
    rows: int
    bytes: int


def storage(connection: Db, organization_id: int) -> tuple[Day, ...]:
    """By day, oldest first. Reads the key's index, not the rows."""
    requests = _by_day(connection, "llm_request", organization_id)
    bodies = _by_day(connection, "llm_request_body", organization_id)
    pinned = _pinned_by_day(connection, organization_id)
    return tuple(
        Day(day, *requests.get(day, (0, 0)), *bodies.get(day, (0, 0)), *pinned.get(day, (0, 0)))
        for day in sorted({*requests, *bodies})
    )


def _by_day(connection: Db, table: str, organization_id: int) -> dict[date, tuple[int, int]]:
    """Rows and bytes. A partition's bytes are shared out by rows."""
    found: dict[date, tuple[int, int]] = {}
    for partition in partitions(connection, table):
        rows = connection.execute(
            f"SELECT (requested_at AT TIME ZONE 'UTC')::date, count(*) FROM {partition.name} "
            "WHERE organization_id = %s GROUP BY 1",
            (organization_id,),
        ).fetchall()
        if not rows:
            continue
        width = _bytes_per_row(connection, partition.name, at_least=sum(count for _, count in rows))
        for day, count in rows:
            before = found.get(day, (0, 0))
            found[day] = (before[0] + count, before[1] + int(count * width))
    return found


def _bytes_per_row(connection: Db, name: str, *, at_least: int) -> float:
    size, rows = connection.execute(
        "SELECT pg_total_relation_size(c.oid), greatest(c.reltuples, s.n_live_tup, 0) FROM pg_class c "
        "LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.oid = %s::regclass",
        (name,),
    ).fetchone() or (0, 0)
    return float(size) / max(float(rows), at_least, 1.0)


def _pinned_by_day(connection: Db, organization_id: int) -> dict[date, tuple[int, int]]:
    rows = connection.execute(
        "SELECT (r.requested_at AT TIME ZONE 'UTC')::date, count(*), count(b.id) FROM session_pin p "
        "JOIN llm_request r ON r.organization_id = p.organization_id AND r.session_id = p.session_id "
        "LEFT JOIN llm_request_body b ON b.organization_id = r.organization_id "
        "AND b.requested_at = r.requested_at AND b.id = r.id WHERE p.organization_id = %s GROUP BY 1",
        (organization_id,),
    )
    return {day: (requests, bodies) for day, requests, bodies in rows.fetchall()}


def counts_by_day(connection: Db, organization_id: int) -> dict[date, int]:
    """Rows of counts by the day they are of."""
    found: dict[date, int] = {}
    for table in _present(connection, COUNTED):
        dated = COUNTED[table]
        day = dated if dated == "day" else f"({dated} AT TIME ZONE 'UTC')::date"
        unpinned = (
            " AND NOT EXISTS (SELECT 1 FROM session_pin p WHERE p.organization_id = c.organization_id"
            " AND p.session_id = c.session_id)" if table == "session" else ""
        )  # fmt: skip
        rows = connection.execute(
            f"SELECT {day}, count(*) FROM {table} c WHERE organization_id = %s{unpinned} GROUP BY 1", (organization_id,)
        )
        for when, count in rows.fetchall():
            found[when] = found.get(when, 0) + count
    return found


def plan(days: Sequence[Day], policy: Policy, now: datetime) -> dict[What, Freed]:
    """What bodies and requests a policy would free if it were applied now."""
    bodies, requests = policy.cutoff("bodies", now), policy.cutoff("requests", now)
    old_bodies = [day for day in days if bodies and day.day < bodies.date()]
    old_requests = [day for day in days if requests and day.day < requests.date()]
    return {
        "bodies": _freed([(d.bodies, d.pinned_bodies, d.body_bytes) for d in old_bodies]),
        "requests": _freed([(d.requests, d.pinned, d.request_bytes) for d in old_requests]),
    }


def _freed(parts: Sequence[tuple[int, int, int]]) -> Freed:
    rows = sum(stored - pinned for stored, pinned, _ in parts)
    size = sum(size * (stored - pinned) // stored for stored, pinned, size in parts if stored)
    return Freed(rows, size)
