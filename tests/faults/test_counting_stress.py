"""Whatever is killed and whenever one looks, what is counted is what is in the ground."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.db import connection as django_connection
from psycopg.rows import dict_row

from lib.postgres import conninfo
from metrics_app import histogram, rollup
from metrics_app.queries_audit import differences
from metrics_app.rebuild import rebuild
from requests_app import store
from tests.faults import counting
from tests.house.source import ROOT
from tests.metrics_app.counting import TABLES, expected_tables, fold_all, folded_tables

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SECONDS = 20.0
CAST = (("line", 1), ("line", 2), ("line", 3), ("fold", 0), ("fold", 0))


class Every:
    """Due once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def is_due(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._seconds
        return True


class Company:
    """Lines and folders at work; whoever is killed is started again."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._dice = random.Random(7)
        self.members = [self._start(*part) for part in CAST]
        self.killed = 0

    def _start(self, role: str, seed: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.faults.counting", role, self._address, str(seed)]
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)

    def kill_one(self) -> None:
        place = self._dice.randrange(len(self.members))
        self.members[place].kill()
        self.members[place].wait()
        self.members[place] = self._start(*CAST[place])
        self.killed += 1

    def restart_the_fallen(self) -> None:
        for place, member in enumerate(self.members):
            if member.poll() is not None:
                self.members[place] = self._start(*CAST[place])

    def stop(self) -> None:
        for member in self.members:
            member.kill()
            member.wait()


@pytest.fixture
def address(transactional_db: None) -> str:
    return conninfo(django_connection.settings_dict, application="test")


@pytest.fixture
def db(address: str) -> Iterator[rollup.Db]:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {TABLES}")
        today = counting.start_of_today()
        starts = {store.partition_start(today + timedelta(days=n), 7) for n in range(-3, 2)}
        store.ensure_partitions(connection, starts, days=7)
        yield connection
        connection.execute(f"TRUNCATE {TABLES}")


def wrong_sums(connection: rollup.Db) -> list[object]:
    """In one snapshot: totals of every surface, minutes only where they are kept."""
    today = counting.start_of_today()
    found: list[object] = []
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for organization_id in counting.ORGANIZATIONS:
            for days in (3, 2):
                since, until = today - timedelta(days=days), today + timedelta(days=1)
                found += differences(connection, organization_id, since=since, until=until)
            found += wrong_histograms(connection, organization_id)
    return found


def wrong_histograms(connection: rollup.Db, organization_id: int) -> list[object]:
    query = (
        "SELECT sum(durations), string_agg(duration_hist, ''::bytea), sum(ttfts), string_agg(ttft_hist, ''::bytea) "
        "FROM (SELECT durations, duration_hist, ttfts, ttft_hist FROM usage_day WHERE organization_id = %(one)s UNION "
        "ALL SELECT durations, duration_hist, ttfts, ttft_hist FROM usage_delta WHERE organization_id = %(one)s) q"
    )
    [row] = connection.execute(query, {"one": organization_id}).fetchall()
    found: list[object] = []
    for expected, blob in (row[:2], row[2:]):
        by_bucket = histogram.unpack(blob or b"")
        if sum(by_bucket.values()) != (expected or 0) or any(count < 0 for count in by_bucket.values()):
            found.append(("histogram", organization_id, expected, by_bucket))
    return found


def test_in_every_snapshot_counts_are_what_is_in_the_ground(db: rollup.Db, address: str) -> None:
    company = Company(address)
    snapshots, rebuilt = 0, 0
    kill, hang_up, damage = Every(0.7), Every(2.5), Every(4.0)
    started = time.monotonic()
    try:
        while time.monotonic() < started + SECONDS:
            assert wrong_sums(db) == []
            snapshots += 1
            if kill.is_due():
                company.kill_one()
            if hang_up.is_due():
                db.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stress' "
                    "ORDER BY random() LIMIT 1"
                )
            if damage.is_due():
                rebuilt += rebuilt_under_load(db)
            company.restart_the_fallen()
    finally:
        company.stop()
    print(f"{snapshots} snapshots, {company.killed} killed, {rebuilt} rows counted again under load")
    assert min(snapshots, company.killed, rebuilt) > 0
    at_rest(db)


def rebuilt_under_load(connection: rollup.Db) -> int:
    """Damages a day and has it counted again while everybody works."""
    one, today = counting.ORGANIZATIONS[0], counting.start_of_today()
    connection.execute("DELETE FROM usage_hour WHERE organization_id = %s AND status = 200", (one,))
    first, last = (today - timedelta(days=3)).date(), today.date()
    return sum(done.rows for done in rebuild(connection, one, first, last=last))


def at_rest(connection: rollup.Db) -> None:
    """Once all is folded, key by key."""
    for organization_id in counting.ORGANIZATIONS:
        while connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() != (0,):
            time.sleep(0.05)  # a killed client's statement goes on to its end
        fold_all(connection, organization_id)
    assert wrong_sums(connection) == []
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(f"SELECT {', '.join(store.COLUMNS)} FROM llm_request").fetchall()
    assert len(rows) > 0
    assert folded_tables(connection) == expected_tables([store.row_from(row) for row in rows])
