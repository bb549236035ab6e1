"""The line's process: takes batches from one spool folder for as long as it lives, whatever Postgres does meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import psycopg

from ingest_app import forget, line, records
from ingest_app.records import Amendment, Forget, LateBodies, Said
from ingest_app.settling import Settler
from ingest_app.spool import Entry, Reader
from lib.clock import now
from llm.exchange import Exchange, Problem, Reading
from llm.pricing import PriceBook
from requests_app import store

log = logging.getLogger("ingest.line")

BATCH = 1000
IDLE_SECONDS = 0.05
INTERRUPTED_EVERY_SECONDS = 2.0
PRICES_EVERY_SECONDS = 5.0
TIDY_EVERY_SECONDS = 0.5
PROMOTE_EVERY_SECONDS = 15.0
PARTITION_ATTEMPTS = 5
SHORTEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.2, 5.0

AWAY = (psycopg.OperationalError, psycopg.InterfaceError)
"""Postgres is not there, or gave up on us: the batch waits and is tried again whole."""


@dataclass(frozen=True, slots=True)
class Settings:
    partition_days: int
    redis_url: str = ""
    """Where limits are kept; empty: nowhere."""


class Line:
    """One spool folder's line. `connect` opens an autocommit connection, `load_prices` reads the price book."""

    def __init__(
        self, reader: Reader, *, connect: Callable[[], store.Db], load_prices: Callable[[store.Db], PriceBook],
        settings: Settings,
    ) -> None:
        self.tally = line.Tally()
        self.waits_for = ""
        """Why nothing moves, for the health page; empty when it does."""
        self._reader = reader
        self._connect = connect
        self._load_prices = load_prices
        self._settings = settings
        self._bench: line.Bench | None = None
        self._settler = Settler(settings.redis_url) if settings.redis_url else None
        self._partitions: set[datetime] = set()
        self._place = forget.START
        """How far the order under way has come; one cut short begins anew."""
        self._due = {"interrupted": 0.0, "prices": 0.0, "promote": 0.0, "tidy": 0.0}

    @property
    def is_at_work(self) -> bool:
        return self._bench is not None and not self.waits_for

    def run(self, *, is_stopping: Callable[[], bool], beat: Callable[[], None]) -> None:
        """Until told to stop; then what is ready is still stored, if Postgres is there."""
        wait = SHORTEST_WAIT_SECONDS
        while True:
            beat()
            try:
                moved = self.step()
                self.waits_for, wait = "", SHORTEST_WAIT_SECONDS
            except AWAY as error:
                self._hang_up(error)
                if is_stopping():
                    return
                time.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
                continue
            if not moved:
                if is_stopping():
                    return
                time.sleep(IDLE_SECONDS)

    def close(self) -> None:
        if self._bench is not None:
            self._bench.connection.close()
            self._bench = None

    def step(self) -> int:
        """One batch; answers how many entries it took. Raises psycopg's OperationalError while Postgres is away."""
        bench = self._at_work()
        entries = self._reader.take(limit=BATCH) or self._interrupted()
        if entries:
            self._store(entries, bench)
        ordered = self._carry_out(bench)
        if self._is_due("promote", PROMOTE_EVERY_SECONDS):
            ordered += line.promote(bench)
        if self._is_due("tidy", TIDY_EVERY_SECONDS):
            self._reader.tidy()
        return len(entries) + ordered

    def _carry_out(self, bench: line.Bench) -> int:
        """A slice of the oldest order over many rows, between two batches; answers how many orders there were."""
        entry = self._reader.order()
        if entry is None:
            return 0
        try:
            place = line.carry_out(records.read_order(entry), bench, after=self._place)
        except AWAY:
            raise
        except Exception as error:
            self._place = forget.START
            self._bury(entry, "unreadable_record", error)
            return 1
        self._place = place or forget.START
        if place is None:
            self._reader.remove([entry])
        return 1

    def _interrupted(self) -> list[Entry]:
        return self._reader.interrupted() if self._is_due("interrupted", INTERRUPTED_EVERY_SECONDS) else []

    def _is_due(self, what: str, every: float) -> bool:
        if time.monotonic() < self._due[what]:
            return False
        self._due[what] = time.monotonic() + every
        return True

    def _at_work(self) -> line.Bench:
        """The connection and prices to work with, made or renewed where needed."""
        if self._bench is None:
            connection = self._connect()
            store.prepare(connection)
            self._partitions = set(store.existing_partitions(connection))
            self._ensure_partitions(connection, {now() + timedelta(weeks=n) for n in range(store.WEEKS_AHEAD)})
            self._due["prices"] = 0.0
            self._bench = line.Bench(connection, PriceBook(()), self.tally)
            if self._settler is not None:
                self._bench = replace(self._bench, settle=self._settler.settle)
        if self._is_due("prices", PRICES_EVERY_SECONDS):
            self._bench = replace(self._bench, prices=self._load_prices(self._bench.connection))
        return self._bench

    def _hang_up(self, error: Exception) -> None:
        self._place = forget.START
        if not self.waits_for:
            log.warning("line waits reason=%s", str(error).strip().partition("\n")[0])
        self.waits_for = "Postgres"
        self.close()

    def _ensure_partitions(self, connection: store.Db, moments: set[datetime]) -> None:
        days = self._settings.partition_days
        starts = {store.partition_start(moment, days) for moment in moments}
        if missing := starts - self._partitions:
            store.ensure_partitions(connection, missing, days=days)
            self._partitions |= missing

    def _store(self, entries: Sequence[Entry], bench: line.Bench) -> None:
        """All of it in one transaction; where that cannot be, its halves, down to the one entry at fault."""
        read = [(entry, said) for entry in entries if (said := self._read(entry)) is not None]
        if not read:
            return
        work = _work([said for _, said in read])
        try:
            self._run(work, bench)
        except AWAY:
            raise
        except Exception as error:
            if len(read) > 1:
                middle = len(read) // 2
                self._store([entry for entry, _ in read[:middle]], bench)
                self._store([entry for entry, _ in read[middle:]], bench)
                return
            self._store_bare(read[0][0], read[0][1], error, bench)
            return
        self._reader.remove([entry for entry, _ in read])

    def _run(self, work: line.Work, bench: line.Bench) -> None:
        for is_last in (*(False,) * PARTITION_ATTEMPTS, True):
            self._ensure_partitions(bench.connection, work.moments())
            try:
                line.run(work, bench)
                return
            except psycopg.errors.CheckViolation:  # retention has dropped a partition since we looked
                if is_last:
                    raise
                self._partitions = store.existing_partitions(bench.connection)

    def _read(self, entry: Entry) -> Said | None:
        try:
            return records.read(entry)
        except (ValueError, KeyError, TypeError) as error:
            self._bury(entry, "unreadable_record", error)
            return None

    def _store_bare(
        self, entry: Entry, said: Said, error: Exception, bench: line.Bench
    ) -> None:
        """An exchange whose reading cannot be stored is kept without it, its bytes and the reason beside it."""
        if isinstance(said, Exchange):
            problem = Problem("unstorable", f"{type(error).__name__}: {error}"[:300])
            bare = replace(said, reading=Reading(problems=(problem,)))
            try:
                self._run(line.Work(exchanges=[bare]), bench)
            except AWAY:
                raise
            except Exception as second:
                self._bury(entry, "unstorable", second)
            else:
                log.error("stored bare id=%s error=%s", said.id, type(error).__name__)
                self._reader.remove([entry])
            return
        self._bury(entry, "unstorable", error)

    def _bury(self, entry: Entry, reason: line.DropReason, error: Exception) -> None:
        log.error("buried seq=%s reason=%s error=%s", entry.seqs[-1], reason, type(error).__name__)
        self.tally.drops[reason] += 1
        self._reader.bury(entry, f"{reason}: {type(error).__name__}: {error}")


def _work(said: Sequence[Said]) -> line.Work:
    return line.Work(
        exchanges=[one for one in said if isinstance(one, Exchange)],
        amendments=[one for one in said if isinstance(one, Amendment)],
        bodies=[one for one in said if isinstance(one, LateBodies)],
        forgets=[one for one in said if isinstance(one, Forget)],
    )
