"""What the real store answers, counted: a batch again, or an id again, counts nothing again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from django.db import connection as django_connection

from ingest_app import amendments
from ingest_app.records import Amendment
from lib.postgres import conninfo
from metrics_app import rollup
from requests_app import store
from requests_app.rows import RequestRow
from tests.faults import counting
from tests.metrics_app.counting import TABLES, expected_tables, fold_all, folded_tables

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def db(transactional_db: None) -> Iterator[rollup.Db]:
    with psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True) as connection:
        connection.execute(f"TRUNCATE {TABLES}")
        store.prepare(connection)
        starts = {store.partition_start(counting.start_of_today() + timedelta(days=n), 7) for n in range(-3, 2)}
        store.ensure_partitions(connection, starts, days=7)
        yield connection
        connection.execute(f"TRUNCATE {TABLES}")


def write(connection: rollup.Db, numbers: list[int]) -> None:
    with connection.transaction():
        stored = store.store(connection, [counting.exchange(number) for number in numbers])
        rollup.write(connection, stored.changes)


def amend(connection: rollup.Db, facts: list[Amendment]) -> None:
    with connection.transaction():
        rollup.write(connection, amendments.apply(connection, facts))


def ground(connection: rollup.Db) -> list[RequestRow]:
    rows = connection.execute(f"SELECT {', '.join(store.COLUMNS)} FROM llm_request").fetchall()
    return [store.row_from(dict(zip(store.COLUMNS, row, strict=True))) for row in rows]


def fold_both(connection: rollup.Db) -> None:
    for organization_id in counting.ORGANIZATIONS:
        fold_all(connection, organization_id)


def test_a_batch_written_twice_or_sharing_rows_with_another_counts_each_row_once(db):
    write(db, [*range(60), *range(20)])
    fold_both(db)
    write(db, list(range(60)))
    write(db, list(range(40, 80)))
    fold_both(db)
    assert len(ground(db)) == 80
    assert folded_tables(db) == expected_tables(ground(db))


def test_a_late_fact_moves_what_was_counted_and_said_again_moves_nothing(db):
    write(db, list(range(30)))
    facts = [
        Amendment(one.organization_id, one.id, one.requested_at, {"env": "changed", "team": "a\x00b"}, None)
        for one in (counting.exchange(number).exchange for number in range(0, 30, 2))
    ]
    for _ in range(2):
        amend(db, facts)
        fold_both(db)
        assert folded_tables(db) == expected_tables(ground(db))
    undone = [Amendment(f.organization_id, f.request_id, f.at + timedelta(1), {"team": None}, None) for f in facts]
    amend(db, undone)
    fold_both(db)
    assert folded_tables(db) == expected_tables(ground(db))
