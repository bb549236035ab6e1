"""`manage.py line`: moves this machine's spool into Postgres until told to stop."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand

from ingest_app.ahead import BATCH
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader
from lib import collector, heartbeat
from lib.postgres import conninfo
from llm.pricing import PriceBook
from requests_app import prices, store

BEAT_SECONDS = 1.0


class Command(BaseCommand):
    help = "Stores what the spool folder holds, batch by batch, until SIGTERM."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: stopping.set())
        reader = Reader(settings.SPOOL_DIR)
        line = Line(
            reader,
            connect=_connect,
            load_prices=_Prices().load,
            settings=Settings(partition_days=settings.PARTITION_DAYS, redis_url=settings.REDIS_URL),
        )
        collector.spare()
        try:
            line.run(is_stopping=stopping.is_set, beat=_Beat(line, reader))
        finally:
            line.close()
            reader.close()


def _connect() -> store.Db:
    return psycopg.connect(conninfo(settings.DATABASES["default"], application="line"), autocommit=True)


class _Prices:
    """The price book, read again only when prices have changed."""

    def __init__(self) -> None:
        self._stamp: prices.Stamp | None = None
        self._book = PriceBook(())

    def load(self, connection: store.Db) -> PriceBook:
        stamp = prices.stamp(connection)
        if stamp != self._stamp:
            self._book, self._stamp = prices.load_book(connection), stamp
        return self._book


class _Beat:
    """Tells the health page how the line is, once a second."""

    def __init__(self, line: Line, reader: Reader) -> None:
        self._line = line
        self._reader = reader
        self._due = 0.0
        self._caught_up = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + BEAT_SECONDS
        ready, under_way, buried = self._reader.depth()
        tally = self._line.tally
        if ready < BATCH:
            self._caught_up = time.monotonic()
        heartbeat.write(
            settings.HEALTH_DIR,
            "line",
            is_ready=self._line.is_at_work,
            detail={
                "waits_for": self._line.waits_for,
                "behind_seconds": round(time.monotonic() - self._caught_up, 1),
                "spool": {"ready": ready, "under_way": under_way, "buried": buried},
                "items": dict(tally.items),
                "seconds": {name: round(spent, 3) for name, spent in tally.seconds.items()},
                "drops": dict(tally.drops),
            },
        )
