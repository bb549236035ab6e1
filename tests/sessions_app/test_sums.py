"""What a session's row keeps, and that lists and sums from it are what its requests come to."""

from __future__ import annotations

import importlib
import random
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import connection

from requests_app.rows import Change
from sessions_app import queries, queries_groups, rollup
from sessions_app.models import Session
from tests.requests_app.factories import insert
from tests.sessions_app.scenes import call, keep

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RANGES = [
    (None, None), (NOON - 3 * HOUR, NOON + 7 * HOUR), (NOON + HOUR, None), (NOON + 2 * HOUR, NOON + 3 * HOUR),
]  # fmt: skip


def nearest_rank(values: list[int], part: float) -> int:
    return sorted(values)[max(-(-len(values) * int(part * 100) // 100) - 1, 0)]


def scattered(organization_id: int, *, count: int = 400, sessions: int = 40, seed: int = 5):
    """Sessions of one name each that lie across one another, tools among their steps."""
    dice = random.Random(seed)
    starts = [NOON + dice.random() * 8 * HOUR for _ in range(sessions)]
    rows = []
    for _ in range(count):
        one = dice.randrange(sessions)
        rows.append(call(
            organization_id, starts[one] + dice.random() ** 3 * 3 * HOUR, session=f"s-{one}",
            session_name=None if one % 5 == 0 else f"flow {one % 3}", kind=dice.choice(("llm", "llm", "tool")),
            duration_ms=dice.randrange(5_000), cost_nano_usd=dice.choice((None, 1_000, 250_000)),
        ))  # fmt: skip
    return keep(rows)


def row_of(organization_id: int, session_id: str = "s-1") -> queries.SessionRow:
    found = queries.session(organization_id, session_id)
    assert found
    return found


def test_percentiles_of_a_session_are_those_of_its_model_calls_within_one_percent(acme):
    dice = random.Random(1)
    lengths = [int(dice.lognormvariate(7, 1)) for _ in range(333)]
    rows = [call(acme.id, NOON + n * timedelta(seconds=1), duration_ms=ms) for n, ms in enumerate(lengths)]
    tools = [call(acme.id, NOON, kind="tool", duration_ms=900_000) for _ in range(400)]
    for start in range(0, 333, 50):
        keep(rows[start : start + 50])
    keep(tools)
    [shown] = queries.session_page(acme.id, queries.Question()).rows
    for found in (shown, row_of(acme.id)):
        assert found.duration_p50_ms == pytest.approx(nearest_rank(lengths, 0.5), rel=0.01)
        assert found.duration_p95_ms == pytest.approx(nearest_rank(lengths, 0.95), rel=0.01)


def test_a_session_without_a_duration_has_no_percentile(acme):
    keep([call(acme.id, NOON, duration_ms=None)])
    assert (row_of(acme.id).duration_p50_ms, row_of(acme.id).duration_p95_ms) == (None, None)


def test_what_leaves_a_session_leaves_its_percentiles(acme):
    short, long = keep([call(acme.id, NOON, duration_ms=100), call(acme.id, NOON, duration_ms=60_000)])
    rollup.apply(connection.connection, [Change(long, replace(long, session_id="s-2"))])
    assert row_of(acme.id).duration_p95_ms == pytest.approx(short.duration_ms, rel=0.01)
    assert row_of(acme.id, "s-2").duration_p50_ms == pytest.approx(60_000, rel=0.01)


def test_lengths_of_a_long_session_are_kept_short(acme, monkeypatch):
    monkeypatch.setattr(rollup, "LONGEST_HISTOGRAM", 60)
    for n in range(30):
        keep([call(acme.id, NOON + n * timedelta(seconds=1), duration_ms=10 * (n % 4))])
    kept = Session.objects.get(session_id="s-1").duration_hist
    assert len(bytes(kept)) <= 64
    assert row_of(acme.id).duration_p95_ms == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize(("sort", "index"), [
    ("newest", "session_newest"), ("cost", "session_costliest"), ("duration", "session_longest"),
    ("requests", "session_largest"), ("errors", "session_failing"),
])  # fmt: skip
@pytest.mark.parametrize("is_ascending", [True, False])
def test_every_order_of_the_list_is_read_from_an_index(acme, sort, index, is_ascending, monkeypatch):
    scattered(acme.id)
    asked = []
    ask = queries.ask
    monkeypatch.setattr(queries, "ask", lambda query, values: asked.append((query, values)) or ask(query, values))
    first = queries.session_page(acme.id, queries.Question(sort=sort, is_ascending=is_ascending, limit=7))
    rest = queries.session_page(acme.id, queries.Question(sort=sort, is_ascending=is_ascending, after=first.next))
    assert len({one.session_id for one in (*first.rows, *rest.rows)}) == 40
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {asked[0][0]}", asked[0][1])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert index in plan
    assert "Sort" not in plan


def test_figures_over_the_list_are_bounded_and_say_so(acme, monkeypatch):
    rows = scattered(acme.id)
    whole = queries.totals(acme.id, queries.Question())
    assert (whole.sessions, whole.is_whole) == (40, True)
    assert whole.requests == sum(one.kind == "llm" for one in rows)
    monkeypatch.setattr(queries, "MOST_SUMMED", 10)
    latest = queries.session_page(acme.id, queries.Question(limit=10)).rows
    some = queries.totals(acme.id, queries.Question())
    assert (some.sessions, some.is_whole) == (10, False)
    assert some.requests == sum(one.requests for one in latest)


@pytest.mark.parametrize(("since", "until"), RANGES)
@pytest.mark.parametrize(("limit", "offset"), [(1, 0), (5, 0), (3, 8), (200, 0)])
def test_a_page_of_groups_is_the_same_whether_all_requests_were_read_or_not(
    acme, since, until, limit, offset, monkeypatch
):
    scattered(acme.id)
    keep([call(acme.id, NOON + n * HOUR, session="renamed", session_name=f"name {n}") for n in range(7)])
    question = queries_groups.Question(since=since, until=until, limit=limit, offset=offset)
    narrowed = queries_groups.groups(acme.id, question)
    monkeypatch.setattr(queries_groups, "_newest", lambda *_: None)
    assert narrowed == queries_groups.groups(acme.id, question)


@pytest.mark.parametrize(("since", "until"), RANGES)
@pytest.mark.parametrize("most_cut", [0, 5_000])
def test_sums_over_sessions_are_those_over_their_requests(acme, since, until, most_cut, monkeypatch):
    scattered(acme.id)
    monkeypatch.setattr(queries_groups, "MOST_CUT", most_cut)
    question = queries_groups.Question(since=since, until=until)
    told = queries_groups.sums(acme.id, question)
    assert told.sessions
    assert told == queries_groups._grouped_sums(acme.id, question)


@pytest.mark.parametrize("pinned", [[], ["s-3", "s-4"]])
def test_sessions_whose_requests_retention_took_are_not_counted(acme, pinned):
    scattered(acme.id)
    kept_from = NOON + 4 * HOUR
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO counting_state VALUES (%s, %s)", [acme.id, kept_from])
        cursor.execute(
            "DELETE FROM llm_request WHERE requested_at < %s AND NOT session_id = ANY(%s)", [kept_from, pinned]
        )
        for session_id in pinned:
            cursor.execute("INSERT INTO session_pin VALUES (DEFAULT, %s, %s, NULL, now())", [acme.id, session_id])
    question = queries_groups.Question(since=NOON - 100 * HOUR)
    rollup.fold(connection.connection, acme.id)
    told = queries_groups.sums(acme.id, question)
    assert told == queries_groups._grouped_sums(acme.id, question)
    assert 0 < told.sessions < 40


def test_names_and_measures_are_those_of_the_requests(acme, monkeypatch):
    scattered(acme.id)
    question = queries_groups.Question(since=NOON - HOUR, limit=50)
    names, flow = queries_groups.names(acme.id, question), replace(question, name="flow 1")
    lengths = queries_groups.measures(acme.id, flow)
    monkeypatch.setattr(queries_groups, "_is_only_of_time", lambda _: False)
    read = queries_groups.names(acme.id, question)
    assert [(one.name, one.first_at, one.last_at, one.sessions) for one in names] == [
        (one.name, one.first_at, one.last_at, one.sessions) for one in read
    ]
    assert [one.average_ms for one in names] == pytest.approx([one.average_ms for one in read])
    assert sorted(lengths, key=str) == sorted(queries_groups.measures(acme.id, flow), key=str)


def spread(organization_id: int, *, seed: int, folds: bool):
    """Sessions over nine days, some for days and some at midnight; rows come late, change hands and go."""
    dice = random.Random(seed)
    starts = [NOON + timedelta(days=dice.randrange(9), hours=dice.choice((0, 12, 11.9, 5))) for _ in range(40)]
    rows = [
        call(
            organization_id, starts[one] + dice.random() ** 6 * timedelta(days=4), session=f"s-{one}",
            session_name=None if one % 5 == 0 else f"flow {one % 3}", duration_ms=dice.randrange(5_000),
        )
        for one in (dice.randrange(40) for _ in range(200))
    ]  # fmt: skip
    dice.shuffle(rows)
    for at in range(0, len(rows), 40):
        kept = keep(rows[at : at + 40])
        gone = dice.sample(kept, 3)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM llm_request WHERE id = ANY(%s)", [[row.id for row in gone]])
        rollup.apply(connection.connection, [Change(row, None) for row in gone])
        if folds and dice.random() < 0.6:
            rollup.fold(connection.connection, organization_id)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("folds", [True, False])
def test_over_days_sums_names_and_measures_are_those_of_the_requests(acme, seed, folds, monkeypatch):
    spread(acme.id, seed=seed, folds=folds)
    dice = random.Random(seed)
    for _ in range(6):
        days = sorted(dice.sample(range(-1, 14), 2))
        since, until = (NOON + timedelta(days=day, hours=dice.choice((-12, 0, 3.3))) for day in days)
        question = queries_groups.Question(since=dice.choice((since, None)), until=dice.choice((until, None)))
        assert queries_groups.sums(acme.id, question) == queries_groups._grouped_sums(acme.id, question)
    question = queries_groups.Question(since=NOON - 99 * HOUR, until=None)
    names = queries_groups.names(acme.id, question)
    lengths = queries_groups.measures(acme.id, replace(question, name="flow 2"))
    monkeypatch.setattr(queries_groups, "_is_only_of_time", lambda _: False)
    read = queries_groups.names(acme.id, question)
    assert [astuple(one)[:4] for one in names] == [astuple(one)[:4] for one in read]
    assert [one.average_ms for one in names] == pytest.approx([one.average_ms for one in read])
    again = queries_groups.measures(acme.id, replace(question, name="flow 2"))
    assert sorted(lengths, key=str) == sorted(again, key=str)


def of_rows(organization_id: int, since: datetime, until: datetime):
    """What `names` tells, from the sessions' own rows."""
    found: dict[str, list[Session]] = {}
    for one in Session.objects.filter(organization_id=organization_id, last_begun_at__gt=since, first_at__lt=until):
        found.setdefault(one.name or "", []).append(one)
    return sorted(
        (
            (name, min(one.first_at for one in some), max(one.last_begun_at for one in some), len(some))
            for name, some in found.items()
        ),
        key=lambda row: (-row[1].timestamp(), row[0]),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_names_in_part_of_the_time_are_those_of_the_sessions_it_touches(acme, seed):
    spread(acme.id, seed=seed, folds=True)
    dice = random.Random(seed)
    for _ in range(6):
        days = sorted(dice.sample(range(-1, 14), 2))
        since, until = (NOON + timedelta(days=day, hours=dice.choice((-12, 0, 3.3))) for day in days)
        told = queries_groups.names(acme.id, queries_groups.Question(since=since, until=until))
        assert [astuple(one)[:4] for one in told] == of_rows(acme.id, since, until)


def test_sessions_counted_by_day_are_the_sessions_there_are_whoever_writes_them(acme):
    spread(acme.id, seed=3, folds=True)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM session WHERE session_id LIKE 's-1%'")
        cursor.execute("UPDATE session SET name = 'another', cost_nano_usd = cost_nano_usd + 5 WHERE steps > 6")
        rollup.fold(connection.connection, acme.id)
        cursor.execute(
            "SELECT begun, ended, name, sessions, requests, steps, cost_nano_usd, duration_ms FROM session_day "
            "WHERE organization_id = %s ORDER BY 1, 2, 3", [acme.id],
        )  # fmt: skip
        told = cursor.fetchall()
        cursor.execute(
            "SELECT (first_at AT TIME ZONE 'UTC')::date, (last_begun_at AT TIME ZONE 'UTC')::date, coalesce(name, ''), "
            "count(*), sum(requests), sum(steps), sum(cost_nano_usd), sum(duration_ms) FROM session "
            "WHERE organization_id = %s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3", [acme.id],
        )  # fmt: skip
        assert told == cursor.fetchall()
        cursor.execute("SELECT count(*) FROM session_delta WHERE organization_id = %s", [acme.id])
        assert cursor.fetchone() == (0,)


def test_sessions_there_before_get_their_lengths_from_their_requests(acme):
    rows = scattered(acme.id)
    before = {one.session_id: one for one in queries.session_page(acme.id, queries.Question(limit=99)).rows}
    begun = dict(Session.objects.values_list("session_id", "last_begun_at"))
    Session.objects.update(duration_hist=b"", last_begun_at=NOON - 99 * HOUR)
    insert([call(acme.id + 1, NOON)])
    migration = importlib.import_module("sessions_app.migrations.0002_lengths")
    migration.count_lengths(None, SimpleNamespace(connection=connection))
    after = {one.session_id: one for one in queries.session_page(acme.id, queries.Question(limit=99)).rows}
    assert rows
    assert after == before
    assert dict(Session.objects.values_list("session_id", "last_begun_at")) == begun
