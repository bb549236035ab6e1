"""How long what is kept: the night's removal.

A day ends at midnight UTC; a policy of N days keeps the last N whole days and today. Bodies go first, then rows, then
counts, each by days of their own. Removing ground takes nothing from what was counted of it: counts outlive rows.
A partition nobody needs any more is dropped whole; elsewhere rows go in slices with pauses, in key order, so that
the line never waits long nor in a circle. Pinned sessions keep their rows and bodies.

Deciding and detaching are one transaction under a lock on the parent, taken with a short timeout: a late row of
somebody who still keeps that week is either seen, and the partition stays, or finds no partition and makes it anew.
Counting what was detached and dropping it hold up nobody; a run killed in between leaves that to the next one.
Whoever's first row comes there between the telling and the lock is told too, before anything of it goes.

Where Postgres gives us up for somebody else (a deadlock, a lock not had in time) we pause and ask again; what cannot be
had after ATTEMPTS is passed over until the next night, and said: the other parts go on.
"""
# ruff: noqa: S608 - names put together here are partitions read from the catalogue and the tables below

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from functools import partial
from typing import Any, Literal, TypeVar
from uuid import UUID

from psycopg import Connection, Cursor, sql
from psycopg.errors import DeadlockDetected, LockNotAvailable, SerializationFailure

Db = Connection[Any]
Answer = TypeVar("Answer")
What = Literal["bodies", "requests", "counts"]

RUNS_AT = clock_time(3, 30)
"""UTC, every night."""
RUN_LOCK = 7703
SLICE = 2_000
PAUSE_SECONDS = 0.05
LOCK_TIMEOUT_MS = 1_500
ATTEMPTS = 5
GIVEN_UP = (DeadlockDetected, LockNotAvailable, SerializationFailure)
"""What Postgres raises to let somebody else go on. Nothing was done; the same may be asked again."""
RETIRED = "retired_"
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


@dataclass(frozen=True, slots=True)
class Skipped:
    """Rows of one organisation that should have gone and stay until the next night, and why."""

    organization_id: int
    what: What
    before_at: datetime
    reason: str


Announce = Callable[[int, datetime], None]
"""Told (organisation, moment) before its rows older than the moment go: from then on they cannot be counted again."""


# --- the night ------------------------------------------------------------------------------------------------------


def policies(connection: Db) -> dict[int, Policy]:
    rows = connection.execute("SELECT organization_id, body_days, request_days, count_days FROM retention_policy")
    return {organization_id: Policy(*days) for organization_id, *days in rows}


def pins(connection: Db) -> dict[int, list[str]]:
    rows = connection.execute("SELECT organization_id, array_agg(session_id) FROM session_pin GROUP BY 1")
    return {organization_id: sessions for organization_id, sessions in rows}


def apply(connection: Db, now: datetime, *, announce: Announce) -> Iterator[Removed | Skipped]:
    """Removes all that is past its time, telling what went and what did not as it goes. `connection` is in autocommit.

    One run at a time; killed anywhere, the next one goes on. Yields nothing where another run is under way.
    """
    if connection.execute("SELECT pg_try_advisory_lock(%s)", (RUN_LOCK,)).fetchone() != (True,):
        return
    try:
        night = _Night(connection, now, policies(connection), pins(connection), announce)
        for what, table in GROUND:
            yield from night.clear_ground(what, table)
        yield from night.clear_aliases()
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

    def clear_ground(self, what: What, table: str) -> Iterator[Removed | Skipped]:
        yield from self._drop_retired(what, table)
        cutoffs = {one: cutoff for one in self._policies if (cutoff := self._cutoff(what, one))}
        for partition in partitions(self._db, table):
            leaving = {one: cutoff for one, cutoff in cutoffs.items() if cutoff > partition.start}
            if not leaving:
                continue
            try:
                yield from self._clear_partition(what, partition, leaving)
            except GIVEN_UP as error:
                yield from (_skipped(one, what, cutoff, error) for one, cutoff in leaving.items())

    def _clear_partition(
        self, what: What, partition: Partition, cutoffs: Mapping[int, datetime]
    ) -> Iterator[Removed | Skipped]:
        leaving: dict[int, datetime] = {}
        for attempt in range(ATTEMPTS):
            there = _organizations(self._db, partition.name)
            leaving = {one: cutoffs[one] for one in there if one in cutoffs}
            if what == "requests":
                self._tell(leaving)
            if not self._is_free(what, partition, there):
                break
            if self._detach(what, partition, leaving):
                yield from self._drop_retired(what, partition.table)
                return
            time.sleep(PAUSE_SECONDS * 2**attempt)
        yield from self._delete_all(what, partition, leaving)

    def _tell(self, leaving: Mapping[int, datetime]) -> None:
        for one, cutoff in leaving.items():
            if one not in self._announced:
                _patiently(partial(self._announce, one, cutoff))
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

    def _detach(self, what: What, partition: Partition, told: Mapping[int, datetime]) -> bool:
        """False where somebody's row came meanwhile, or a reader held the table too long."""
        try:
            with self._db.transaction():
                self._db.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                self._db.execute(f"LOCK TABLE ONLY {partition.table} IN ACCESS EXCLUSIVE MODE")
                there = _organizations(self._db, partition.name)
                if not (told.keys() >= set(there) and self._is_free(what, partition, there)):
                    return False
                _retire(self._db, partition)
                return True
        except GIVEN_UP:
            return False

    def _drop_retired(self, what: What, table: str) -> Iterator[Removed]:
        """Tables that are partitions no longer, of this run or of one that was killed."""
        for name in _retired(self._db, table):
            rows = _counts(self._db, name)
            _execute(self._db, sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
            for one, count in rows.items():
                yield Removed(one, what, self._cutoff(what, one) or self._now, count, is_dropped=True)

    def _delete_all(
        self, what: What, partition: Partition, leaving: Mapping[int, datetime]
    ) -> Iterator[Removed | Skipped]:
        for one, cutoff in leaving.items():
            try:
                removed = self._delete(what, partition, one, min(cutoff, partition.end))
            except GIVEN_UP as error:
                yield _skipped(one, what, cutoff, error)
                continue
            if removed:
                yield Removed(one, what, cutoff, removed)

    def _delete(self, what: What, partition: Partition, organization_id: int, before: datetime) -> int:
        pinned = self._pins.get(organization_id, [])
        condition = _UNPINNED_BODY if what == "bodies" else _UNPINNED_ROW
        return _in_slices(
            self._db, partition.name, organization_id, before=before, condition=condition if pinned else "",
            values=(pinned,) if pinned else (),
        )  # fmt: skip

    def clear_aliases(self) -> Iterator[Skipped]:
        """Ids clients chose go with the rows they named."""
        for one in self._policies:
            if cutoff := self._cutoff("requests", one):
                try:
                    _sliced(self._db, _ALIASES, {"org": one, "before": cutoff, "slice": SLICE})
                except GIVEN_UP as error:
                    yield _skipped(one, "requests", cutoff, error)

    def clear_counts(self) -> Iterator[Removed | Skipped]:
        tables = present(self._db, COUNTED)
        for one in self._policies:
            cutoff = self._cutoff("counts", one)
            if cutoff is None:
                continue
            values = {"org": one, "before": cutoff, "slice": SLICE, "pins": self._pins.get(one, [])}
            try:
                rows = sum(_sliced(self._db, _count_slice(table), values) for table in tables)
            except GIVEN_UP as error:
                yield _skipped(one, "counts", cutoff, error)
                continue
            if rows:
                yield Removed(one, "counts", cutoff, rows)


def _skipped(organization_id: int, what: What, before_at: datetime, error: Exception) -> Skipped:
    return Skipped(organization_id, what, before_at, f"{type(error).__name__}: {error}".partition("\n")[0])


# --- statements -----------------------------------------------------------------------------------------------------


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Asks up to ATTEMPTS times, with growing pauses. Raises one of GIVEN_UP in the end."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return ask()
        except GIVEN_UP:
            time.sleep(PAUSE_SECONDS * 2**attempt)
    return ask()


def _execute(connection: Db, statement: str | sql.Composed, values: Any = None) -> Cursor[Any]:
    """A statement that is a transaction of its own, so that it may be asked again."""
    return _patiently(lambda: connection.execute(statement, values))


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


def _retire(connection: Db, partition: Partition) -> None:
    """Partition no longer, under a name neither the line nor a reader asks for."""
    table, name = sql.Identifier(partition.table), sql.Identifier(partition.name)
    retired = sql.Identifier(f"{RETIRED}{partition.name}_{int(time.time())}")
    connection.execute(sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(table, name))
    connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(name, retired))


def _retired(connection: Db, table: str) -> list[str]:
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND starts_with(relname, %s) AND pg_table_is_visible(oid)",
        (f"{RETIRED}{table}_p",),
    )
    return [name for (name,) in rows.fetchall()]


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
        end = _execute(
            connection,
            f"SELECT requested_at, id FROM {name} WHERE organization_id = %s AND (requested_at, id) > (%s, %s) "
            f"AND requested_at < %s ORDER BY requested_at, id OFFSET {SLICE - 1} LIMIT 1",
            key,
        ).fetchone()
        rest = " AND (t.requested_at, t.id) <= (%s, %s)" if end else ""
        removed += _execute(
            connection,
            f"DELETE FROM {name} t WHERE t.organization_id = %s AND (t.requested_at, t.id) > (%s, %s) "
            f"AND t.requested_at < %s{rest}{condition}",
            (*key, *(end or ()), *values),
        ).rowcount
        if end is None:
            return removed
        place = (end[0], end[1])
        time.sleep(PAUSE_SECONDS)


def present(connection: Db, tables: Mapping[str, str]) -> list[str]:
    """Those of the tables that there are."""
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
    while rows := _execute(connection, statement, values).rowcount:
        removed += rows
        time.sleep(PAUSE_SECONDS)
    return removed
