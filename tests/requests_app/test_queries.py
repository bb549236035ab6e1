"""Questions to the ground: their pages have no gaps, their sums no strangers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lib import clock
from requests_app import queries, queries_sums
from requests_app.filters import EVERYTHING, FilterError, Leaf
from requests_app.queries import Question, Sort, TooSlow
from requests_app.rows import RequestRow
from tests.requests_app import factories

pytestmark = pytest.mark.django_db
START = datetime(2026, 9, 1, tzinfo=UTC)
MINE, THEIRS = 910_001, 910_002
"""Ids no organisation of another test has, were its rows left behind."""


def many(organization_id: int, count: int, **values):
    """Rows spread over ten weeks, some at the very same moment."""
    rows = [
        factories.make_row(organization_id, START + timedelta(days=(i * i) % 70, hours=i % 3), **values)
        for i in range(count)
    ]
    factories.insert(rows)
    return sorted(rows, key=lambda row: (row.requested_at, row.id), reverse=True)


def walk_older(question: Question, size: int):
    found: list[RequestRow] = []
    older = None
    while True:
        page = queries.page(question, size=size, older=older)
        found += page.rows
        if not page.has_older:
            return found
        older = queries.cursor_of(page.rows[-1])


@pytest.mark.parametrize("model", ["gpt-4o", "mine", None])
@pytest.mark.parametrize("tools", [(), ("search",)])
def test_a_row_comes_back_as_it_was_and_is_found_by_the_models_it_names(model, tools):
    row = factories.make_request(
        MINE, START, model=model, request_model="gpt-4o", response_model=model, tool_calls=tools, problems=tools
    )
    assert queries.one(MINE, str(row.id)) == row
    for leaf, is_found in (
        (Leaf("request_model", "=", "gpt-4o"), True), (Leaf("request_model", "=", ""), False),
        (Leaf("response_model", "=", "gpt-4o"), model == "gpt-4o"), (Leaf("response_model", "=", None), model is None),
        (Leaf("response_model", "~", "min"), model == "mine"), (Leaf("tool", "=", "search"), bool(tools)),
        (Leaf("tool", "!=", "search"), not tools),
    ):  # fmt: skip
        assert bool(queries.page(Question(MINE, leaf), size=5).rows) == is_found, leaf


def test_a_name_stands_once_in_a_row_and_rows_that_have_it_twice_are_read_alike():
    row = factories.make_request(MINE, START, model="gpt-4o", request_model="gpt-4o", response_model="gpt-4o")
    with connection.cursor() as cursor:
        cursor.execute("SELECT request_model, response_model, tool_calls, problems FROM llm_request")
        assert cursor.fetchall() == [("", "", None, None)]
        cursor.execute("UPDATE llm_request SET request_model = 'gpt-4o', tool_calls = '{}', problems = '{}'")
    assert queries.one(MINE, str(row.id)) == row
    assert queries.page(Question(MINE, Leaf("request_model", "=", "gpt-4o")), size=5).rows == (row,)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_pages_backwards_have_every_row_once_newest_first(size):
    rows = many(MINE, 60)
    many(THEIRS, 20)
    assert [row.id for row in walk_older(Question(MINE), size)] == [row.id for row in rows]


def test_pages_forwards_come_back_the_same_way():
    rows = many(MINE, 45)
    newer, found = queries.cursor_of(rows[-1]), [rows[-1]]
    while True:
        page = queries.page(Question(MINE), size=8, newer=newer)
        found = [*page.rows, *found]
        if not page.has_newer:
            break
        newer = queries.cursor_of(page.rows[0])
    assert [row.id for row in found] == [row.id for row in rows]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    offsets=st.lists(st.integers(0, 60 * 24 * 5), max_size=30),
    size=st.integers(1, 9),
    span=st.integers(1, 60 * 24 * 5),
)
def test_a_bounded_range_has_exactly_its_rows(offsets, size, span):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM llm_request")
    rows = [factories.make_row(MINE, START + timedelta(hours=hours / 4)) for hours in offsets]
    factories.insert(rows)
    since, until = START + timedelta(hours=5), START + timedelta(hours=5 + span / 4)
    found = walk_older(Question(MINE, EVERYTHING, since, until), size)
    assert {row.id for row in found} == {row.id for row in rows if since <= row.requested_at < until}
    assert len(found) == len({row.id for row in found})


def walk_newer(question: Question, size: int, oldest: RequestRow):
    found = [oldest]
    while True:
        page = queries.page(question, size=size, newer=queries.cursor_of(found[0]))
        found = [*page.rows, *found]
        if not page.has_newer:
            return found


@pytest.mark.parametrize(("key", "column"), [("user", "end_user_id"), ("model", "model")])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    placed=st.lists(st.tuples(st.integers(0, 60 * 24 * 9), st.sampled_from("ab")), min_size=1, max_size=30),
    size=st.integers(1, 9),
    since=st.integers(0, 60 * 24 * 9),
)
def test_pages_of_one_user_or_model_are_in_order_of_time_both_ways(key, column, placed, size, since):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM llm_request")
    rows = [
        factories.make_row(MINE, START + timedelta(minutes=minutes), **{column: name}) for minutes, name in placed
    ]
    factories.insert(rows)
    from_then = START + timedelta(minutes=since)
    wanted = sorted(
        (row for row in rows if getattr(row, column) == "a" and row.requested_at >= from_then),
        key=lambda row: (row.requested_at, row.id), reverse=True,
    )  # fmt: skip
    question = Question(MINE, Leaf(key, "=", "a"), from_then)
    assert walk_older(question, size) == wanted
    assert not wanted or walk_newer(question, size, wanted[-1]) == wanted
    assert queries.ordered(question, sort=Sort(), limit=40, offset=0) == wanted


def test_what_is_stored_comes_back_field_for_field():
    row = factories.make_request(
        MINE, START, properties={"env": "prod", "n": "ü"}, scores={"tone": 0.5}, tool_calls=("a", "b"),
        problems=("x: y",), usage={"prompt_tokens": 3}, client_request_id="mine",
    )  # fmt: skip
    assert queries.page(Question(MINE), size=5).rows == (row,)


def test_a_statement_that_takes_too_long_says_so():
    many(MINE, 3)
    short = override_settings(READER_TIMEOUT_MS=1)
    with short, pytest.raises(TooSlow, match="shorter time range"), queries.reader() as cursor:
        cursor.execute("SELECT pg_sleep(1)")


def test_counting_stops_where_it_is_told(monkeypatch):
    monkeypatch.setattr(queries_sums, "_COUNTERS", [])
    many(MINE, 30)
    assert queries_sums.count(Question(MINE)) == queries_sums.Count(30, is_exact=True)
    assert queries_sums.count(Question(MINE), most=10) == queries_sums.Count(10, is_exact=False)


def test_a_summary_sums_what_is_known_and_counts_the_rest_apart():
    calls = [(200, 500, 100), (200, None, 300), (429, None, None), (-3, 700, 200)]
    for minute, (status, cost, took) in enumerate(calls):
        factories.make_request(
            MINE, START + timedelta(minutes=minute), status=status, cost_nano_usd=cost, duration_ms=took
        )
    factories.make_request(THEIRS, START, cost_nano_usd=9)
    found = queries_sums.summary(Question(MINE, EVERYTHING, START, START + timedelta(minutes=4)), buckets=4)
    assert (found.requests, found.failed, found.priced, found.cost_nano_usd) == (4, 2, 2, 1200)
    assert found.duration_p95_ms == 300
    assert found.failed_share == 0.5
    assert [(b.requests, b.failed) for b in found.buckets] == [(1, 0), (1, 0), (1, 1), (1, 1)]
    assert found.buckets[1].since == START + timedelta(minutes=1)


def test_a_summary_of_all_time_begins_with_the_oldest_row():
    many(MINE, 5)
    assert sum(bucket.requests for bucket in queries_sums.summary(Question(MINE)).buckets) == 5


def test_nothing_is_summed_to_nothing_not_to_zero_percent():
    assert queries_sums.summary(Question(MINE)).failed_share is None


def test_problems_are_suggested_by_their_codes():
    at = clock.now() - timedelta(minutes=1)
    for problems in (("fell_back: to b", "redacted"), ("fell_back: to c",), ()):
        factories.make_request(MINE, at, problems=problems)
    assert queries_sums.suggestions(MINE, "problem") == ["fell_back", "redacted"]


def test_suggestions_are_the_commonest_lately_of_this_organization():
    now = clock.now()
    for model, times in [("b", 2), ("a", 3), ("100%", 1)]:
        for _ in range(times):
            factories.make_request(MINE, now, model=model, properties={"env": model})
    factories.make_request(THEIRS, now, model="theirs", properties={"secret": "x"})
    assert queries_sums.suggestions(MINE, "model") == ["a", "b", "100%"]
    assert queries_sums.suggestions(MINE, "model", term="%") == ["100%"]
    assert queries_sums.suggestions(MINE, "property", name="env", term="A") == ["a"]
    assert queries_sums.property_keys(MINE) == ["env"]
    assert queries_sums.suggestions(MINE, "status") == ["200"]
    with pytest.raises(FilterError):
        queries_sums.suggestions(MINE, "cost")


def test_one_request_is_found_by_our_id_and_by_its_clients():
    chosen = "11111111-2222-4333-8444-555555555555"
    row = factories.make_request(MINE, START, client_request_id=chosen)
    assert queries.one(MINE, str(row.id)) == row
    assert queries.one(MINE, chosen) == row
    assert queries.one(MINE, chosen.upper()) == row
    assert queries.one(THEIRS, str(row.id)) is None
    assert queries.one(THEIRS, chosen) is None
    assert queries.one(MINE, "no\x00thing") is None


def test_only_the_first_of_a_repeated_id_is_named_by_it():
    first = factories.make_request(MINE, START, client_request_id="again")
    retry = factories.make_request(MINE, START + timedelta(seconds=1), client_request_id="again")
    assert queries.alias_owners(MINE, [first, retry]) == {first.id}


def test_bodies_are_read_of_the_rows_asked_for_only():
    row = factories.make_request(MINE, START, request={"a": 1}, response={"b": 2})
    other = factories.make_request(MINE, START, request={"c": 3}, response=None)
    bare = factories.make_request(MINE, START)
    found = queries.bodies([row, bare])
    assert set(found) == {row.id}
    assert queries.body(other).request is not None
    assert queries.body(bare) is None


@pytest.mark.parametrize("key", sorted(queries.SORTS))
def test_every_order_answers(key):
    rows = many(MINE, 6)
    found = queries.ordered(Question(MINE), sort=Sort(key, "asc", name="env"), limit=10, offset=0)
    assert {row.id for row in found} == {row.id for row in rows}


def test_the_unknown_comes_last_in_either_direction():
    for cost in (5, None, 7):
        factories.make_request(MINE, START, cost_nano_usd=cost)
    for direction, order in (("asc", [5, 7, None]), ("desc", [7, 5, None])):
        found = queries.ordered(Question(MINE), sort=Sort("cost", direction), limit=10, offset=0)
        assert [row.cost_nano_usd for row in found] == order


def test_every_question_asks_for_its_organization_only():
    row = factories.make_request(THEIRS, START, request={"a": 1}, end_user_id="u")
    mine = Question(MINE, Leaf("organization", "=", str(THEIRS)))
    assert queries.page(mine, size=5).rows == ()
    assert queries.ordered(mine, sort=Sort(), limit=5, offset=0) == []
    assert queries_sums.count_all(mine) == 0
    assert queries_sums.summary(Question(MINE)).requests == 0
    assert queries.has_any(MINE) is False
    assert queries.has_any(THEIRS) is True
    assert list(queries.batches(Question(MINE))) == []
    assert queries.neighbours(Question(MINE), row) == (None, None)
