"""Folding: what is admitted, what is other, what is absent; locks, limits and trimming."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.clock import now
from lib.postgres import conninfo
from metrics_app import fold, histogram, rollup, tasks
from metrics_app.rollup_statements import LOCK, UNLOCK
from requests_app.rows import Change, RequestRow
from tests.metrics_app.counting import FACETS_SUMMED, ORGANIZATION, added, facet_amounts, facets, fold_all, row

pytestmark = pytest.mark.django_db

TODAY = now().replace(hour=0, minute=0, second=0, microsecond=0)
CAPS = fold.Caps(users=3, property_keys=2, values=2)


@pytest.fixture
def db(db: None) -> rollup.Db:
    django_connection.ensure_connection()
    return django_connection.connection  # type: ignore[no-any-return]


@pytest.fixture
def other_session(db: rollup.Db) -> Iterator[rollup.Db]:
    with psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True) as connection:
        yield connection


def emptied(connection: rollup.Db) -> None:
    for table in ("usage_delta", "usage_minute", "usage_hour", "usage_day", "facet_delta", "facet_day", "facet_cap"):
        connection.execute(f"DELETE FROM {table}")


CAPPED_ROWS = st.builds(
    lambda user, properties: row(TODAY, end_user_id=user, properties=properties),
    st.sampled_from([None, *"abcdef"]),
    st.dictionaries(st.sampled_from(["k1", "k2", "k3", "k4"]), st.sampled_from("uvwxyz"), max_size=3),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(CAPPED_ROWS, min_size=1, max_size=4)),
        st.tuples(st.just("amend"), st.integers(0, 50), CAPPED_ROWS),
        st.tuples(st.just("forget"), st.integers(0, 50)),
        st.tuples(st.just("fold")),
    ),
    max_size=14,
)


def play(connection: rollup.Db, steps: list[tuple[Any, ...]]) -> list[RequestRow]:
    """What is in the ground after the steps."""
    ground: list[RequestRow] = []
    for step in steps:
        if step[0] == "write":
            ground += step[1]
            rollup.write(connection, added(step[1]))
        elif step[0] == "fold":
            fold_all(connection, caps=CAPS)
        elif ground and step[0] == "amend":
            place = step[1] % len(ground)
            rollup.write(connection, [Change(ground[place], step[2])])
            ground[place] = step[2]
        elif ground:
            rollup.write(connection, [Change(ground.pop(step[1] % len(ground)), None)])
    fold_all(connection, caps=CAPS)
    return ground


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_admitted_values_other_and_absent_are_exact_after_any_history(db, steps):
    emptied(db)
    ground = play(db, steps)
    query = "SELECT dim, state, val, requests, errors, cost_nano_usd, durations FROM facet_day"
    found = {tuple(values[:3]): values[3:] for values in db.execute(query).fetchall()}
    admitted: dict[str, set[str]] = {}
    for dim, state, val in found:
        if state == 0:
            admitted.setdefault(dim, set()).add(val)
    expected: dict[Any, Any] = {}
    for one in ground:
        amounts = facet_amounts(one)
        for dim, val in facets(one):
            if dim.startswith("p:") and dim[2:] not in admitted.get("p", ()):
                continue
            key = (dim, 0, val) if val in admitted.get(dim, ()) else (dim, 1, "")
            picked = (amounts[0], amounts[1], amounts[3], amounts[7])
            expected[key] = tuple(map(sum, zip(expected.get(key, (0, 0, 0, 0)), picked, strict=True)))
    assert {key: sums for key, sums in found.items() if any(sums)} == expected
    assert len(admitted.get("user", ())) <= 3
    assert len(admitted.get("p", ())) <= 2
    assert all(len(values) <= 2 for dim, values in admitted.items() if dim.startswith("p:"))
    caps = dict(db.execute("SELECT dim, admitted FROM facet_cap").fetchall())
    assert caps == {dim: len(values) for dim, values in admitted.items()}


def test_values_other_and_absent_of_every_dimension_come_to_the_total(db):
    rows = [
        row(
            TODAY + timedelta(minutes=n), end_user_id=None if n % 3 == 0 else f"u-{n % 7}",
            api_key_id=None if n % 2 else 1 + n % 4, country_code="CH" if n % 5 else None, prompt_id=None,
            session_name="triage" if n % 4 else None, properties={"env": f"e-{n % 5}"} if n % 3 else {},
            status=200 if n % 6 else 500,
        )
        for n in range(60)
    ]  # fmt: skip
    rollup.write(db, added(rows))
    fold_all(db, caps=CAPS)
    query = f"SELECT {FACETS_SUMMED} FROM facet_day WHERE dim = %s"
    [total] = db.execute(query, ("all",)).fetchall()
    assert total == tuple(map(sum, zip(*map(facet_amounts, rows), strict=True)))
    for dim in ("user", "key", "country", "session", "p:env", "prompt"):
        [told] = db.execute(query, (dim,)).fetchall()
        without = [facet_amounts(one) for one in rows if dim not in dict(facets(one))]
        absent = [sum(amounts[place] for amounts in without) for place in range(len(total))]
        assert [a - (b or 0) for a, b in zip(total, told, strict=True)] == absent


def test_the_first_values_of_a_day_are_admitted_and_stay(db):
    for user in "abcde":
        rollup.write(db, added([row(TODAY, end_user_id=user)]))
        fold_all(db, caps=CAPS)
    rollup.write(db, added([row(TODAY, end_user_id=user) for user in "edcba"]))
    fold_all(db, caps=CAPS)
    query = "SELECT state, val, requests FROM facet_day WHERE dim = 'user' ORDER BY 1, 2"
    assert db.execute(query).fetchall() == [(0, "a", 2), (0, "b", 2), (0, "c", 2), (1, "", 4)]


def test_who_comes_second_leaves_at_once_and_moves_nothing(db, other_session):
    rollup.write(db, added([row(TODAY)]))
    lock = (fold.LOCK_CLASS, ORGANIZATION)
    other_session.execute(LOCK, lock)
    assert fold.fold(db, ORGANIZATION) == fold.Folded(is_busy=True)
    assert db.execute("SELECT count(*) FROM usage_delta").fetchone() == (1,)
    other_session.execute(UNLOCK, lock)
    assert fold.fold(db, ORGANIZATION) == fold.Folded(usage=1, facets=1)


def test_a_run_is_bounded_and_says_that_something_is_left(db, monkeypatch):
    monkeypatch.setattr(fold, "USAGE_LIMIT", 2)
    rollup.write(db, added([row(TODAY + timedelta(minutes=n)) for n in range(3)]))
    first, second = fold.fold(db, ORGANIZATION), fold.fold(db, ORGANIZATION)
    assert (first.usage, first.is_done()) == (2, False)
    assert (second.usage, second.is_done()) == (1, True)


def test_a_histogram_grown_long_is_shortened_and_says_the_same(db):
    lengths = []
    for n in range(30):
        rows = [row(TODAY, duration_ms=1 + (n * 7 + m) * 13, time_to_first_token_ms=m) for m in range(100)]
        lengths += [one.duration_ms for one in rows]
        rollup.write(db, added(rows))
        fold_all(db)
    [(blob, ttfts)] = db.execute("SELECT duration_hist, ttft_hist FROM usage_day").fetchall()
    assert len(blob) <= 4096 + 400
    assert histogram.unpack(blob) == histogram.unpack(histogram.encode(lengths))
    assert sum(histogram.unpack(ttfts).values()) == 3_000


def test_minutes_older_than_they_are_kept_are_not_folded_and_old_ones_are_trimmed(db):
    old, new = TODAY - timedelta(days=10), now() - timedelta(hours=1)
    rollup.write(db, added([row(old), row(new)]))
    fold_all(db)
    counted = [db.execute(f"SELECT count(*) FROM usage_{tier}").fetchone()[0] for tier in ("minute", "hour", "day")]
    assert counted == [1, 2, 2]
    db.execute("UPDATE usage_minute SET bucket = bucket - interval '5 days'")
    assert fold.trim(db) == 1
    assert db.execute("SELECT count(*) FROM usage_minute").fetchone() == (0,)


def test_the_task_folds_whoever_waits_longest_waiting_first(db):
    rollup.write(db, added([row(TODAY, organization_id=9)]))
    rollup.write(db, added([row(TODAY, organization_id=4)]))
    assert fold.waiting(db) == [9, 4]
    tasks.fold()
    assert fold.waiting(db) == []
    assert db.execute("SELECT count(*) FROM usage_day").fetchone() == (2,)


def test_the_months_to_come_are_made_before_they_are_needed(db):
    tasks.trim()
    tasks.trim()
    for moment in (now(), now() + timedelta(days=31)):
        assert db.execute("SELECT to_regclass(%s)::text", (f"facet_day_p{moment:%Y%m}",)).fetchone() != (None,)


def test_an_organisation_that_cannot_be_folded_keeps_nobody_else_waiting(db, monkeypatch, caplog):
    rollup.write(db, added([row(TODAY, organization_id=4), row(TODAY, organization_id=9)]))
    fold_one = fold.fold

    def fails_for_four(connection, organization_id):
        if organization_id == 4:
            raise psycopg.errors.NumericValueOutOfRange("bigint out of range")
        return fold_one(connection, organization_id)

    monkeypatch.setattr(fold, "fold", fails_for_four)
    tasks.fold()
    assert fold.waiting(db) == [4]
    assert caplog.messages == ["fold failed organization=4 error=NumericValueOutOfRange"]
