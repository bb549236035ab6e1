"""What a batch appends, and that no order of batches and folds matters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection as django_connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib.clock import now
from metrics_app import rollup
from requests_app import long_names
from requests_app.rows import Change
from tests.metrics_app.counting import ORGANIZATION, added, expected_tables, fold_all, folded_tables, row

pytestmark = pytest.mark.django_db


@pytest.fixture
def db(db: None) -> rollup.Db:
    django_connection.ensure_connection()
    return django_connection.connection  # type: ignore[no-any-return]


TODAY = now().replace(hour=0, minute=0, second=0, microsecond=0)
MOMENTS = st.sampled_from([TODAY - timedelta(days=1, seconds=s) for s in (0, 1, 59, 3_600, 90_000, 90_001)])
ROWS = st.builds(
    lambda at, values: row(at, **values),
    MOMENTS,
    st.fixed_dictionaries({
        "kind": st.sampled_from(["llm", "llm", "embedding", "tool"]),
        "model": st.sampled_from([None, "m-1", "m-2"]),
        "status": st.sampled_from([200, 200, 429, 500, -3]),
        "cached": st.booleans(),
        "duration_ms": st.sampled_from([None, 0, 7, 1_000, 2_000_000]),
        "time_to_first_token_ms": st.sampled_from([None, 12, 300]),
        "cost_nano_usd": st.sampled_from([None, 0, 10**9]),
        "input_tokens": st.sampled_from([None, 0, 10]),
        "cache_read_tokens": st.sampled_from([None, 4]),
        "cache_write_tokens": st.sampled_from([None, None, 5]),
        "reasoning_tokens": st.sampled_from([None, 0, 3]),
        "input_audio_tokens": st.sampled_from([None, None, None, 2]),
        "output_audio_tokens": st.sampled_from([None, None, None, 1]),
        "usage_parts": st.sampled_from([None, {"images": 2}, {"saved_ms": 9, "saved_input_tokens": 3},
                                        {"saved_nano_usd": 5, "saved_ms": 7, "saved_output_tokens": 2}]),
        "end_user_id": st.sampled_from([None, "anna", "bert"]),
        "api_key_id": st.sampled_from([None, 3]),
        "country_code": st.sampled_from([None, "CH"]),
        "session_name": st.sampled_from([None, "triage"]),
        "prompt_id": st.sampled_from([None, "p-1"]),
        "properties": st.dictionaries(st.sampled_from(["env", "team"]), st.sampled_from(["", "a", "b"]), max_size=2),
    }),
)
REPEATED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def emptied(connection: rollup.Db) -> None:
    for table in ("usage_delta", "usage_minute", "usage_hour", "usage_day", "facet_delta", "facet_day", "facet_cap"):
        connection.execute(f"DELETE FROM {table}")


@REPEATED
@given(st.lists(ROWS, max_size=12), st.data())
def test_any_order_split_and_interleaving_of_writes_and_folds_counts_the_same(db, rows, data):
    emptied(db)
    left = data.draw(st.permutations(rows))
    while left:
        size = data.draw(st.integers(1, len(left)))
        rollup.write(db, added(left[:size]))
        left = left[size:]
        if data.draw(st.booleans()):
            fold_all(db)
    fold_all(db)
    assert folded_tables(db) == expected_tables(rows)


@REPEATED
@given(st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=6), st.booleans())
def test_a_change_and_the_change_back_leave_the_counts_as_they_were(db, pairs, folds_between):
    emptied(db)
    changes = [(first, replace(second, requested_at=first.requested_at, id=first.id)) for first, second in pairs]
    rollup.write(db, added(first for first, _ in changes))
    fold_all(db)
    rollup.write(db, [Change(before, after) for before, after in changes])
    if folds_between:
        fold_all(db)
        assert folded_tables(db) == expected_tables([after for _, after in changes])
    rollup.write(db, [Change(after, before) for before, after in changes])
    fold_all(db)
    assert folded_tables(db) == expected_tables([before for before, _ in changes])


def test_a_row_changed_into_itself_appends_nothing(db):
    one = row(TODAY, end_user_id="anna", properties={"env": "prod"}, time_to_first_token_ms=5)
    rollup.write(db, [Change(one, replace(one, scores={"good": 1.0}))])
    assert db.execute("SELECT (SELECT count(*) FROM usage_delta), (SELECT count(*) FROM facet_delta)").fetchone() == (
        0, 0,
    )  # fmt: skip


def test_an_erased_row_leaves_nothing_behind(db):
    one = row(TODAY, end_user_id="anna", properties={"env": "prod"})
    rollup.write(db, [Change(None, one)])
    fold_all(db)
    rollup.write(db, [Change(one, None)])
    fold_all(db)
    assert folded_tables(db) == {}


def test_only_kinds_that_call_a_model_have_tokens_cost_and_facets(db):
    rollup.write(db, added([row(TODAY, kind="agent", end_user_id="anna", input_tokens=9, cost_nano_usd=9)]))
    fold_all(db)
    query = "SELECT kind, requests, priced, cost_nano_usd, input_tokens, durations FROM usage_day"
    assert db.execute(query).fetchall() == [("agent", 1, 0, 0, 0, 1)]
    assert db.execute("SELECT count(*) FROM facet_day").fetchone() == (0,)


def test_a_batch_appends_one_row_a_minute_and_key_and_one_of_facets_a_day(db):
    rows = [row(TODAY + timedelta(seconds=n), end_user_id=f"u-{n % 3}") for n in range(120)]
    rollup.write(db, added(rows))
    assert db.execute("SELECT count(*), sum(requests) FROM usage_delta").fetchone() == (2, 120)
    assert db.execute("SELECT dims, vals, requests FROM facet_delta").fetchall() == [
        (["all", "user", "user", "user"], ["", "u-0", "u-1", "u-2"], [120, 40, 40, 40])
    ]


def test_a_day_is_utcs_whatever_zone_a_row_was_read_in(db):
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    read = late.astimezone(ZoneInfo("Asia/Kathmandu"))
    rollup.write(db, [Change(row(late), None), Change(None, row(read))])
    assert db.execute("SELECT count(*) FROM usage_delta").fetchone() == (0,)


@pytest.mark.parametrize("value", ["x" * 201, "ä" * 5_000, "a\x00b" + "c" * 300, "\ud800" + "d" * 250])
def test_a_long_or_unfit_name_is_counted_by_its_beginning_and_a_digest(db, value):
    name = long_names.counted_name(value)
    assert len(name) == long_names.LONGEST
    assert long_names.counted_name(value + "!") != name or len(value) > 2_000
    rollup.write(db, added([row(TODAY, properties={value: value}, end_user_id=value, model=value, provider=value)]))
    fold_all(db)
    assert db.execute("SELECT val FROM facet_day WHERE dim = 'user'").fetchall() == [(name,)]
    assert db.execute("SELECT dim, val FROM facet_day WHERE dim LIKE 'p:%%'").fetchall() == [(f"p:{name}", name)]


def test_two_organisations_in_one_batch_are_counted_apart(db):
    other = ORGANIZATION + 1
    rollup.write(db, added([row(TODAY), row(TODAY, organization_id=other), row(TODAY, organization_id=other)]))
    fold_all(db)
    fold_all(db, other)
    query = "SELECT organization_id, requests FROM usage_day ORDER BY 1"
    assert db.execute(query).fetchall() == [(ORGANIZATION, 1), (other, 2)]


