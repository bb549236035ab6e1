"""Counting again from the ground comes to what was counted batch by batch, with lines at work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection as django_connection

from lib.clock import now
from lib.postgres import conninfo
from metrics_app import fold, rollup
from metrics_app.queries_audit import Difference, differences
from metrics_app.rebuild import CannotRebuild, raise_ground_from, rebuild
from requests_app.rows import Change, RequestRow
from tests.metrics_app.counting import ORGANIZATION, TABLES, added, expected_tables, fold_all, folded_tables, row
from tests.requests_app.factories import insert

pytestmark = pytest.mark.django_db(transaction=True)

TODAY = now().replace(hour=0, minute=0, second=0, microsecond=0)
YESTERDAY = TODAY - timedelta(days=1)
OTHER = ORGANIZATION + 1


@pytest.fixture
def db(transactional_db: None) -> Iterator[rollup.Db]:
    with psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True) as connection:
        connection.execute(f"TRUNCATE {TABLES}")
        yield connection
        connection.execute(f"TRUNCATE {TABLES}")


def some(count: int, **values: object) -> list[RequestRow]:
    return [
        row(
            YESTERDAY + timedelta(minutes=17 * n), end_user_id=f"u-{n % 5}", model=f"m-{n % 3}", duration_ms=n * 100,
            time_to_first_token_ms=n if n % 2 else None, status=200 if n % 7 else 500,
            kind="llm" if n % 6 else "tool", properties={"env": f"e-{n % 4}"}, cached=n % 9 == 0,
            cache_read_tokens=n % 3 * 7, reasoning_tokens=n % 4 or None, cache_write_tokens=n if n % 10 == 0 else None,
            **values,
        )
        for n in range(count)
    ]  # fmt: skip


def store(connection: rollup.Db, rows: list[RequestRow]) -> None:
    insert(rows)
    rollup.write(connection, added(rows))


def again(connection: rollup.Db, first: date | None = None) -> int:
    first = first or YESTERDAY.date()
    return sum(done.rows for done in rebuild(connection, ORGANIZATION, first, last=TODAY.date()))


def audit(connection: rollup.Db) -> list[Difference]:
    return differences(connection, ORGANIZATION, since=YESTERDAY, until=TODAY + timedelta(days=1))


def test_counted_again_it_is_what_was_counted_batch_by_batch(db):
    rows = some(150)
    for start in range(0, 150, 40):
        store(db, rows[start : start + 40])
        fold_all(db)
    counted = folded_tables(db)
    assert counted == expected_tables(rows)
    assert again(db) == 150
    assert folded_tables(db) == counted
    assert audit(db) == []


def test_what_was_damaged_is_right_again_and_another_organisation_untouched(db):
    rows, others = some(60), some(20, organization_id=OTHER)
    store(db, rows + others)
    fold_all(db)
    fold_all(db, OTHER)
    db.execute("UPDATE usage_hour SET requests = requests + 3, duration_hist = '' WHERE status = 500")
    db.execute("DELETE FROM usage_day WHERE model = 'm-1' AND organization_id = %s", (ORGANIZATION,))
    db.execute("UPDATE usage_day SET input_tokens = 1 WHERE organization_id = %s", (OTHER,))
    db.execute("DELETE FROM facet_day WHERE val IN ('u-1', 'e-2') AND organization_id = %s", (ORGANIZATION,))
    db.execute("UPDATE facet_day SET requests = 9 WHERE dim = 'all' AND organization_id = %s", (ORGANIZATION,))
    db.execute("UPDATE facet_day SET cache_read_tokens = 0, cache_hits = 0, ttfts = 0 WHERE dim = 'user'")
    assert {found.surface for found in audit(db)} >= {"hour", "day", "all", "user"}
    again(db)
    assert audit(db) == []
    mine = {key: sums for key, sums in folded_tables(db).items() if key[1] == ORGANIZATION}
    assert mine == expected_tables(rows)
    query = "SELECT DISTINCT input_tokens FROM usage_day WHERE organization_id = %s"
    assert db.execute(query, (OTHER,)).fetchall() == [(1,)]


def test_deltas_not_folded_yet_are_counted_once(db):
    folded, fresh = some(40), some(30)
    store(db, folded)
    fold_all(db)
    store(db, fresh)
    assert audit(db) == []
    again(db)
    assert audit(db) == []
    fold_all(db)
    assert folded_tables(db) == expected_tables(folded + fresh)


def test_an_amendment_not_folded_yet_is_counted_once(db):
    before = row(YESTERDAY, end_user_id="anna", properties={"env": "prod"})
    rollup.write(db, added([before]))
    fold_all(db)
    after = row(YESTERDAY, id=before.id, end_user_id="anna", properties={"env": "dev"})
    insert([after])
    rollup.write(db, [Change(before, after)])
    again(db)
    fold_all(db)
    assert folded_tables(db) == expected_tables([after])


def test_a_days_admitted_values_stay_admitted(db):
    for start, caps in ((0, fold.Caps(users=2)), (1, fold.Caps(users=2))):
        store(db, some(30)[start::2])
        fold_all(db, caps=caps)
    query = "SELECT state, val, requests FROM facet_day WHERE dim = 'user' AND state = 0 ORDER BY 1, 2"
    admitted = db.execute(query).fetchall()
    again(db)
    found = dict((val, requests) for _, val, requests in db.execute(query).fetchall())
    assert {val: found[val] for _, val, _ in admitted} == {val: requests for _, val, requests in admitted}


def test_before_what_retention_has_left_it_refuses_and_says_from_when(db):
    store(db, some(10))
    fold_all(db)
    before = folded_tables(db)
    raise_ground_from(db, ORGANIZATION, YESTERDAY + timedelta(hours=5))
    raise_ground_from(db, ORGANIZATION, YESTERDAY - timedelta(days=9))
    with pytest.raises(CannotRebuild, match=f"Rebuild from {TODAY:%Y-%m-%d} on"):
        again(db)
    assert folded_tables(db) == before
    db.execute("DELETE FROM llm_request")
    assert audit(db) == []
    assert again(db, TODAY.date()) == 0


def test_after_a_refusal_folds_go_on(db):
    raise_ground_from(db, ORGANIZATION, TODAY)
    with pytest.raises(CannotRebuild):
        again(db)
    store(db, some(3))
    assert not fold.fold(db, ORGANIZATION).is_busy


def test_the_command_says_what_it_did_day_by_day(db, capsys):
    store(db, some(12))
    call_command("rebuild", organization=ORGANIZATION, first=YESTERDAY.date(), last=TODAY.date())
    said = capsys.readouterr().out.splitlines()
    assert said == [f"{YESTERDAY:%Y-%m-%d}  12 requests", f"{TODAY:%Y-%m-%d}  0 requests"]
    with pytest.raises(CommandError, match="Swap the two"):
        call_command("rebuild", organization=ORGANIZATION, first=TODAY.date(), last=YESTERDAY.date())
