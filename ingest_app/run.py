"""The line's process: takes batches from one spool folder for as long as it lives, whatever Postgres does meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import psycopg

from ingest_app import ahead, forget, line, records
from ingest_app.ahead import Ahead, Batch
from ingest_app.records import Said
from ingest_app.settling import Settler
from ingest_app.spool import Entry, Reader
from lib.clock import now
from lib.frozen import dataclass, replace
from llm.exchange import Exchange, ParsedExchange, Problem, Reading
from llm.pricing import PriceBook
from requests_app import store

log = logging.getLogger("ingest.line")

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
        self._ahead = Ahead(reader)
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
        self._ahead.close()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._bench is not None:
            self._bench.connection.close()
            self._bench = None

    def step(self) -> int:
        """One batch; answers how many entries it took. Raises psycopg's OperationalError while Postgres is away."""
        bench = self._at_work()
        batch = self._ahead.take()
        if not batch.entries:
            batch = ahead.read(self._interrupted())
        if batch.entries:
            self._store(batch, bench)
        ordered = self._carry_out(bench)
        if self._is_due("promote", PROMOTE_EVERY_SECONDS):
            ordered += line.promote(bench)
        if self._is_due("tidy", TIDY_EVERY_SECONDS):
            self._reader.tidy()
        return len(batch.entries) + ordered

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
        self._ahead.begin_anew()
        self._disconnect()

    def _ensure_partitions(self, connection: store.Db, moments: set[datetime]) -> None:
        days = self._settings.partition_days
        starts = {store.partition_start(moment, days) for moment in moments}
        if missing := starts - self._partitions:
            store.ensure_partitions(connection, missing, days=days)
            self._partitions |= missing

    def _store(self, batch: Batch, bench: line.Bench) -> None:
        """All of it in one transaction; where that cannot be, its halves, down to the one entry at fault."""
        self.tally.items["parse"] += len(batch.work.exchanges)
        self.tally.seconds["parse"] += batch.seconds
        for entry, unread in batch.unreadable:
            self._bury(entry, "unreadable_record", unread)
        if not batch.said:
            return
        try:
            self._run(batch.work, bench, batch.parsed)
        except AWAY:
            raise
        except Exception as error:
            if len(batch.said) > 1:
                middle = len(batch.said) // 2
                for half in (batch.said[:middle], batch.said[middle:]):
                    self._store(ahead.read([entry for entry, _ in half]), bench)
                return
            self._store_bare(*batch.said[0], error, bench)
            return
        self._reader.remove([entry for entry, _ in batch.said])

    def _run(self, work: line.Work, bench: line.Bench, read: Sequence[ParsedExchange] | None = None) -> None:
        for is_last in (*(False,) * PARTITION_ATTEMPTS, True):
            self._ensure_partitions(bench.connection, work.moments())
            try:
                line.run(work, bench, read)
                return
            except psycopg.errors.CheckViolation:  # retention has dropped a partition since we looked
                if is_last:
                    raise
                self._partitions = store.existing_partitions(bench.connection)

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
