"""Answers agree with the requests behind them, whichever table gives them."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from llm.exchange import MODEL_KINDS
from metrics_app import calendar, fold, queries, queries_list, rollup, sql
from metrics_app.catalog import DIMENSIONS, METRICS, OTHER, TIME
from metrics_app.question import BadQuestion, Question
from requests_app import long_names, queries_sums
from requests_app.asking import CALLS
from requests_app.filters import EVERYTHING, Leaf, join, leaf
from requests_app.models import RetentionRun
from requests_app.queries import Question as RequestsQuestion
from requests_app.rows import Change
from tests.metrics_app.counted import count, fold_all, random_row, raw, sown, tally
from tests.requests_app import factories

NOW = datetime(2026, 11, 20, 15, 37, 22, 123456, tzinfo=UTC)
NOON = datetime(2026, 11, 19, 12, 0, tzinfo=UTC)
ADDITIVE = tuple(key for key, metric in METRICS.items() if metric.is_additive)
BY = (*(key for key in DIMENSIONS if key != TIME), "property.env", "property.nobody")
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folding_at_that_time(monkeypatch):
    """What the fold keeps by the minute depends on how old it is; questions here are asked at NOW."""
    monkeypatch.setattr(fold, "now", lambda: NOW)


@pytest.fixture
def rows(cast):
    """Of Acme; as many of Umbrella lie beside them."""
    sown(cast.umbrella.pk, NOW, count_of=60, seed=7)
    return sown(cast.acme.pk, NOW)


def ask(cast, *metrics, by=(), **more):
    return queries.answer(Question(cast.acme.pk, metrics or ("requests",), tuple(by), **more), at=NOW)


def calls(rows, since=None, until=None):
    return [
        row for row in rows
        if row.kind in MODEL_KINDS and (not since or row.requested_at >= since)
        and (not until or row.requested_at < until)
    ]  # fmt: skip


RANGES = (
    (None, None),
    (NOW - timedelta(days=5, minutes=7, seconds=3), None),
    (NOW - timedelta(days=4, seconds=1), NOW - timedelta(days=1, microseconds=5)),
    (NOW - timedelta(hours=5), NOW - timedelta(minutes=3)),
)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(("since", "until"), RANGES)
def test_groups_add_up_to_the_total_whatever_is_asked(cast, rows, by, since, until):
    answer = ask(cast, *ADDITIVE, by=(by,), since=since, until=until)
    expected = len(calls(rows, since, until))
    assert answer.total["requests"] == expected
    for metric in ADDITIVE:
        assert sum(row[metric] or 0 for row in answer.rows) == (answer.total[metric] or 0), metric


@pytest.mark.parametrize(
    ("by", "of"),
    [
        ("model", lambda row: row.model), ("status", lambda row: row.status), ("cached", lambda row: row.cached),
        ("kind", lambda row: row.kind), ("user", lambda row: row.end_user_id),
        ("key", lambda row: row.api_key_id and str(row.api_key_id)), ("country", lambda row: row.country_code),
        ("session_name", lambda row: row.session_name), ("property.env", lambda row: row.properties.get("env")),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("since", "until"), RANGES)
@pytest.mark.parametrize("metric", ["requests", "cache_hits"])
def test_every_group_holds_its_requests(cast, rows, by, of, since, until, metric):
    answer = ask(cast, metric, "requests", by=(by,), since=since, until=until)
    assert {row.values[0]: row["requests"] for row in answer.rows} == tally(map(of, calls(rows, since, until)))


SIMPLE = ("model", "provider", "status", "cached", "user", "country", "property.env")


@pytest.mark.parametrize("by", [(), (TIME,), *((one,) for one in SIMPLE), ("model", "status"), ("kind", "provider")])
@pytest.mark.parametrize("since", [NOW - timedelta(days=5, seconds=9), NOW - timedelta(hours=9)])
def test_rollups_and_the_ground_answer_alike(cast, rows, by, since, monkeypatch):
    metrics = (*ADDITIVE, "duration_avg", "error_rate", "tokens_per_second", "cost_per_request", "requests_per_minute",
               *(f"{name}_p{part}" for name in ("duration", "ttft") for part in (50, 75, 90, 95, 99)))  # fmt: skip
    counted = ask(cast, *metrics, by=by, since=since)
    monkeypatch.setattr(queries, "_in_usage", lambda asked: False)
    monkeypatch.setattr(queries, "_facet_of", lambda asked: None)
    read = ask(cast, *metrics, by=by, since=since)
    assert read.source == ("llm_request",)
    as_set = [{(row.at, row.values): dict(row.numbers) for row in one.rows} for one in (counted, read)]
    assert as_set[0] == as_set[1]
    assert counted.total.numbers == read.total.numbers


BY_DAY = ("user", "key", "session_name", "prompt", "country", "property.env")


@pytest.mark.parametrize("by", [*((one,) for one in BY_DAY), *((TIME, one) for one in BY_DAY)])
@pytest.mark.parametrize("since", [None, NOW - timedelta(days=5, seconds=9)])
def test_counts_by_day_and_the_ground_answer_alike_whatever_is_summed(cast, rows, by, since, monkeypatch):
    metrics = (*ADDITIVE, "duration_avg", "ttft_avg", "cache_hit_rate", "tokens_per_second", "cost_per_request")
    counted = ask(cast, *metrics, by=by, since=since)
    assert set(counted.source) <= {"facet_day", "llm_request"}
    assert counted.source[0] == "facet_day"
    assert counted.grain in (None, "day")
    monkeypatch.setattr(queries, "_facet_of", lambda asked: None)
    read = ask(cast, *metrics, by=by, since=since, grain=counted.grain)
    assert read.source == ("llm_request",)
    as_set = [{(row.at, row.values): dict(row.numbers) for row in one.rows} for one in (counted, read)]
    assert as_set[0] == as_set[1]
    assert counted.total.numbers == read.total.numbers


def test_what_is_kept_by_day_is_drawn_in_days_of_utc_and_it_is_told(cast, rows):
    zone = ZoneInfo("Europe/Berlin")
    bobs = leaf("user", "=", "bob")
    answer = ask(cast, "requests", by=(TIME,), since=NOW - timedelta(days=4), filter=bobs, zone=zone)
    assert (answer.grain, answer.question.zone) == ("day", UTC)
    assert all(at.hour == 0 for at in answer.times)
    assert any("UTC" in note for note in answer.notes)
    hours = ask(cast, "requests", by=(TIME,), since=NOW - timedelta(hours=30), filter=bobs)
    assert (hours.grain, hours.source) == ("hour", ("llm_request",))


@pytest.mark.parametrize("by", [(TIME,), (TIME, "model"), ("provider",)])
def test_a_total_of_percentiles_is_that_of_all_requests(cast, rows, by):
    metrics = ("duration_p50", "ttft_p95", "requests", "errors", "cost")
    more = {"order": "-duration_p50"} if by == ("provider",) else {}
    divided, whole = ask(cast, *metrics, by=by, **more), ask(cast, *metrics)
    assert divided.total.numbers == whole.total.numbers
    assert len(divided.rows) == divided.groups
    assert [row.at for row in divided.rows] == sorted(row.at for row in divided.rows) if TIME in by else True


@pytest.mark.parametrize("tree", [
    EVERYTHING, leaf("kind", "=", "tool"), leaf("status", ">=", 400), leaf("user", "=", "bob"),
    join("and", [leaf("at", ">", NOW - timedelta(days=3, seconds=5)), leaf("provider", "=", "openai")]),
], ids=str)  # fmt: skip
@pytest.mark.parametrize(("since", "until"), RANGES)
@pytest.mark.parametrize("kept", [None, timedelta(days=2, hours=3, seconds=1)])
def test_rows_are_counted_without_reading_them_and_as_many(cast, rows, tree, since, until, kept, monkeypatch):
    if kept:  # retention goes on behind: some older rows are still there, none of them counts any more
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO counting_state VALUES (%s, %s)", [cast.acme.pk, NOW - kept])
            cursor.execute("DELETE FROM llm_request WHERE requested_at < %s AND status = 200", [NOW - kept])
    monkeypatch.setattr(queries, "now", lambda: NOW)
    question = RequestsQuestion(cast.acme.pk, tree, since, until)
    told = queries_list.counted(question)
    assert (told is None) == (tree == leaf("user", "=", "bob"))
    monkeypatch.setattr(queries_list, "FEW", 0)
    monkeypatch.setattr(queries_list, "now", lambda: NOW)
    summed = queries_list.summed(question, 48)
    assert (summed is None) == (not told)
    monkeypatch.setattr(queries_sums, "_COUNTERS", [])
    monkeypatch.setattr(queries_sums, "_SUMMERS", [])
    assert told in (None, queries_sums.count_all(question))
    if summed:
        read = queries_sums.summary(question)
        names = ("requests", "failed", "priced", "cost_nano_usd")
        assert [getattr(summed, name) for name in names] == [getattr(read, name) for name in names]
        assert sum(bucket.requests for bucket in summed.buckets) == summed.requests
        assert sum(bucket.failed for bucket in summed.buckets) == summed.failed
        assert len(summed.buckets) <= 48
        assert summed.duration_p95_ms == pytest.approx(read.duration_p95_ms, rel=0.01)


@pytest.mark.parametrize(
    "zone",
    [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), timezone(timedelta(hours=-3)),
     ZoneInfo("Asia/Kolkata"), ZoneInfo("Asia/Kathmandu"), timezone(timedelta(minutes=-210)), ZoneInfo("CET")],
)  # fmt: skip
@pytest.mark.parametrize("grain", ["hour", "6 hours", "day", "week", "month"])
def test_buckets_are_the_readers_own(cast, rows, zone, grain):
    answer = ask(cast, by=(TIME,), since=NOW - timedelta(days=5, minutes=3), grain=grain, zone=zone)
    meant = tally(
        calendar.start(row.requested_at, grain, zone) for row in calls(rows, NOW - timedelta(days=5, minutes=3))
    )
    assert {row.at: row["requests"] for row in answer.rows} == meant
    assert set(meant) <= set(answer.times)
    assert answer.times == tuple(calendar.starts(NOW - timedelta(days=5, minutes=3), NOW, grain, zone))


def test_days_of_a_zone_off_the_hour_are_rounded_and_it_is_told(cast, rows):
    zone = ZoneInfo("Asia/Kolkata")
    answer = ask(cast, by=(TIME,), grain="day", zone=zone)
    assert sum(row["requests"] for row in answer.rows) == len(calls(rows))
    assert any("hour" in note for note in answer.notes)
    for begun, ended in pairwise((*answer.times, NOW)):
        [found] = [row["requests"] for row in answer.rows if row.at == begun] or [0]
        assert found == len(calls(rows, begun, ended)), "a step and the requests behind it"


CLOCK_CHANGES = {
    "Europe/Berlin": datetime(2026, 10, 25, 1, tzinfo=UTC), "CET": datetime(2026, 3, 29, 1, tzinfo=UTC),
    "America/Havana": datetime(2026, 11, 1, 5, tzinfo=UTC), "Atlantic/Azores": datetime(2026, 10, 25, 1, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    "Africa/Cairo": datetime(2026, 4, 23, 22, tzinfo=UTC),
}  # fmt: skip


@pytest.mark.parametrize("zone", CLOCK_CHANGES)
@pytest.mark.parametrize("grain", ["6 hours", "day", "week", "month"])
def test_steps_begin_alike_in_python_and_in_postgres_when_clocks_change(zone, grain):
    place = ZoneInfo(zone)
    moments = [CLOCK_CHANGES[zone] + timedelta(minutes=30 * half) for half in range(-70, 71)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {sql.bucket('at', grain, place)} FROM unnest(%s::timestamptz[]) AS at", [moments]
        )
        begun = [found for (found,) in cursor.fetchall()]
    assert begun == [calendar.start(moment, grain, place) for moment in moments]
    starts = calendar.starts(moments[0], moments[-1] + timedelta(hours=1), grain, place)
    assert [calendar.start(moment, grain, place) for moment in starts] == starts
    assert set(begun) <= set(starts)


FILTERS = [
    EVERYTHING, leaf("model", "=", "gpt-4o"), leaf("model", "=", None), leaf("failed", "=", True),
    leaf("status", ">=", 400), leaf("user", "=", "bob"), leaf("property", "=", "prod", name="env"),
    join("and", [leaf("user", "=", "ann"), leaf("model", "~", "gpt")]),
    join("or", [leaf("cached", "=", True), leaf("country", "=", "DE")]),
    join("and", [leaf("at", ">", NOW - timedelta(days=3)), leaf("provider", "!=", "openai")]),
    join("or", [leaf("user", "=", "ann"), leaf("user", "=", "nobody")]), leaf("kind", "=", "tool"),
]  # fmt: skip


@pytest.mark.parametrize("tree", FILTERS, ids=str)
@pytest.mark.parametrize(("since", "until"), RANGES)
def test_a_page_that_counts_and_the_requests_table_agree(cast, rows, tree, since, until):
    is_of_kinds = tree == FILTERS[-1]
    answer = ask(cast, "requests", "errors", "cost", "priced", since=since, until=until, filter=tree,
                 kinds=None if is_of_kinds else MODEL_KINDS)  # fmt: skip
    narrowed = tree if is_of_kinds else join("and", (tree, CALLS))
    shown = queries_sums.summary(RequestsQuestion(cast.acme.pk, narrowed, since, until))
    assert (answer.total["requests"], answer.total["errors"], answer.total["priced"], answer.total["cost"] or 0) == (
        shown.requests, shown.failed, shown.priced, shown.cost_nano_usd)  # fmt: skip


def test_users_and_sessions_are_counted_once(cast, rows):
    answer = ask(cast, "requests", "users", "sessions")
    mine = calls(rows)
    assert answer.total["users"] == len({row.end_user_id for row in mine} - {None})
    assert answer.total["sessions"] == len({row.session_id for row in mine} - {None})
    assert ask(cast, "users").source[0] == "facet_day"
    by_day = ask(cast, "users", by=(TIME,), grain="day")
    users = defaultdict(set)
    for row in mine:
        users[calendar.start(row.requested_at, "day", UTC)].add(row.end_user_id)
    assert {row.at: row["users"] for row in by_day.rows} == {at: len(found - {None}) for at, found in users.items()}


@pytest.mark.parametrize("is_folded", [True, False])
def test_days_that_came_to_nothing_are_no_active_days(cast, is_folded):
    days = [NOON - timedelta(days=n) for n in range(4)]
    made = [factories.make_row(cast.acme.pk, at, end_user_id=user) for at in days for user in ("ann", None, None)]
    count(made)
    if is_folded:
        fold_all(cast.acme.pk)
    gone = [row for row in made if row.requested_at in (days[0], days[2])]
    rollup.write(raw(), [Change(row, None) for row in gone])
    found = ask(cast, "requests", "first_at", "last_at", "active_days", by=("user",))
    assert found.source == ("facet_day",)
    midnights = [at.replace(hour=0, minute=0) for at in days]
    assert {row.values[0]: tuple(row.numbers.values()) for row in found.rows} == {
        "ann": (2, midnights[3], midnights[1], 2), None: (4, midnights[3], midnights[1], 2),
    }  # fmt: skip


@pytest.mark.parametrize("by", [(), ("user",), ("property.env",), ("country",)])
@pytest.mark.parametrize(("since", "until"), RANGES)
@pytest.mark.parametrize("tree", [EVERYTHING, join("or", [leaf("user", "=", "ann"), leaf("user", "=", "bob")])])
def test_a_day_of_several_values_is_one_day_of_all(cast, rows, by, since, until, tree):
    answer = ask(cast, "active_days", "requests", by=by, since=since, until=until, filter=tree)
    meant = [row for row in calls(rows, since, until) if tree is EVERYTHING or row.end_user_id in ("ann", "bob")]
    assert answer.total["active_days"] == len({row.requested_at.date() for row in meant})
    for row in answer.rows:
        assert row["active_days"] <= answer.total["active_days"]


LONG = ("ü" * 250, "ü" * 250 + "!", "y" * 201, "y" * 200, "z" * 2_000)


def test_a_name_too_long_to_be_counted_whole_is_one_name_whichever_table_answers(cast):
    """Of a range that begins and ends within days: these are read from single requests, those between from counts."""
    long_ago = [
        factories.make_row(cast.acme.pk, NOW - timedelta(hours=9 * n), end_user_id=LONG[n % 5],
                           session_name=LONG[n % 5],
                           model=LONG[n % 5], properties={"env": LONG[n % 5]}) for n in range(20)
    ]  # fmt: skip
    count(long_ago)
    fold_all(cast.acme.pk)
    since = NOW - timedelta(days=6, hours=3)
    meant = tally(long_names.counted_name(row.end_user_id) for row in calls(long_ago, since))
    for by in ("user", "session_name", "property.env", "model"):
        answer = ask(cast, "requests", "users", by=(by,), since=since)
        assert {row.values[0]: row["requests"] for row in answer.rows} == meant, by
        assert answer.total["users"] == 5
    assert ask(cast, "users", since=since).total["users"] == 5
    for name, held in meant.items():
        for tree in (leaf("user", "=", name), leaf("model", "=", name), leaf("property", "=", name, name="env")):
            of_requests = join("and", [tree, leaf("at", ">=", since)])
            assert queries_sums.count_all(RequestsQuestion(cast.acme.pk, of_requests)) == held
            assert ask(cast, filter=tree, since=since).total["requests"] == held


def test_a_list_has_pages_and_its_total_is_of_all(cast, rows):
    every = ask(cast, "requests", "cost", by=("user",), order="-requests")
    pages = [ask(cast, "requests", "cost", by=("user",), order="-requests", limit=2, offset=o) for o in (0, 2)]
    assert [row.values for page in pages for row in page.rows] == [row.values for row in every.rows]
    assert {page.total["requests"] for page in pages} == {len(calls(rows))}
    assert {page.groups for page in pages} == {4}


def test_the_rest_stands_for_what_a_limit_leaves_out(cast, rows):
    answer = ask(cast, by=("status",), limit=2, has_rest=True)
    assert len(answer.rows) == 3
    assert answer.rows[-1].values == (OTHER,) or OTHER in {row.values[0] for row in answer.rows}
    assert sum(row["requests"] for row in answer.rows) == len(calls(rows))
    slow = ask(cast, "duration_p95", "requests", by=("status",), limit=2, has_rest=True)
    assert [OTHER in row.values for row in slow.rows] == [False, False, True]
    assert sum(row["requests"] for row in slow.rows) == len(calls(rows))
    series = ask(cast, by=(TIME, "model"), limit=1, grain="day")
    assert {row.values[0] for row in series.rows} <= {
        OTHER,
        *(model for _, model in (("", "gpt-4o"), ("", "gpt-4o-mini"), ("", "claude"), ("", None))),
    }
    assert len({row.values[0] for row in series.rows}) == 2
    assert sum(row["requests"] for row in series.rows) == len(calls(rows))


def test_one_organisation_sees_nothing_of_another(cast, rows):
    before = {by: ask(cast, by=(by,)).rows for by in BY}
    count([random_row(cast.umbrella.pk, NOW - timedelta(days=1), random.Random(3)) for _ in range(40)])
    fold_all(cast.umbrella.pk)
    assert {by: ask(cast, by=(by,)).rows for by in BY} == before


def test_where_no_price_is_known_the_cost_is_unknown(cast):
    count([factories.make_row(cast.acme.pk, NOW - timedelta(hours=1), cost_nano_usd=None)])
    assert ask(cast, "cost", "cost_per_request").total.numbers == {"cost": None, "cost_per_request": None}


def test_where_there_is_nothing_all_is_nought(cast):
    answer = ask(cast, *METRICS)
    assert answer.rows == ()
    assert (answer.total["requests"], answer.total["cost"], answer.total["error_rate"]) == (0, 0, None)


def test_what_only_the_ground_can_tell_is_bounded_and_says_so(cast, rows, monkeypatch):
    monkeypatch.setattr(queries, "MOST_GROUND_ROWS", 40)
    answer = ask(cast, by=("user", "model"))
    assert answer.is_partial
    assert answer.since is not None
    assert 0 < answer.total["requests"] <= 40
    assert answer.total["requests"] == len(calls(rows, answer.since))
    assert any("Only requests since" in note for note in answer.notes)


def test_where_the_ground_is_gone_the_range_is_rounded_and_it_is_told(cast, rows):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO counting_state VALUES (%s, %s)", [cast.acme.pk, NOW - timedelta(days=1)])
        cursor.execute("DELETE FROM llm_request WHERE requested_at < %s", [NOW - timedelta(days=1)])
    since = NOW - timedelta(days=5)
    answer = ask(cast, since=since)
    assert answer.total["requests"] == len(calls(rows, calendar.floor(since, timedelta(hours=1))))
    assert any("rounded" in note for note in answer.notes)


def test_what_counts_cannot_answer_is_partial_where_retention_has_removed_requests(cast, rows):
    kept = NOW - timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO counting_state VALUES (%s, %s)", [cast.acme.pk, kept])
        cursor.execute("DELETE FROM llm_request WHERE requested_at < %s", [kept])
    for tree in (leaf("duration", ">=", 0), join("and", [leaf("user", "=", "bob"), leaf("duration", ">=", 0)])):
        for since in (None, NOW - timedelta(days=5)):
            answer = ask(cast, since=since, filter=tree)
            assert answer.is_partial and any("retention" in note for note in answer.notes)
        answer = ask(cast, since=kept, filter=tree)
        assert not answer.is_partial and answer.notes == ()
    two_hours = {"since": NOW - timedelta(days=5, hours=2), "until": NOW - timedelta(days=5)}
    assert ask(cast, by=(TIME,), grain="minute", **two_hours).is_partial
    assert not ask(cast, by=(TIME,), grain="hour", **two_hours).is_partial


def test_where_retention_has_removed_counts_it_is_told(cast, rows):
    before = (NOW - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
    RetentionRun.objects.create(organization_id=cast.acme.pk, what="counts", before_at=before, removed=7)
    for by in ((), ("user",)):
        told = [note for note in ask(cast, "requests", "users", by=by).notes if "removed the counts" in note]
        assert len(told) == 1 and f"{before:%Y-%m-%d}" in told[0]
        assert ask(cast, "requests", "users", by=by, since=before).notes == ()
    other = queries.answer(Question(cast.umbrella.pk, ("requests",)), at=NOW)
    assert other.notes == ()


def test_the_period_before_is_as_long_and_ends_where_this_one_begins(cast, rows):
    since = NOW - timedelta(days=2)
    now, before = queries.compared(Question(cast.acme.pk, ("requests",), since=since), at=NOW)
    assert now.total["requests"] == len(calls(rows, since))
    assert before.total["requests"] == len(calls(rows, since - timedelta(days=2), since))


def test_what_cannot_be_asked_is_refused_in_a_sentence(cast):
    for more in ({"metrics": ("love",)}, {"metrics": ()}, {"dimensions": ("moon",)}, {"order": "cost"}, {"limit": 0}):
        with pytest.raises(BadQuestion, match=r"\."):
            Question(cast.acme.pk, **{"metrics": ("requests",), **more})
    with pytest.raises(BadQuestion, match="dimension"):
        Question(cast.acme.pk, ("requests",), ("property.\x00",))
    with pytest.raises(BadQuestion, match="points"):
        ask(cast, by=(TIME,), since=NOW - timedelta(days=100), grain="minute")


LONG_AGO, FAR_AHEAD = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("by", [(), (TIME,), ("user",)])
@pytest.mark.parametrize("zone", [ZoneInfo("Asia/Kolkata"), timezone(timedelta(hours=-23))])
def test_a_range_may_reach_from_the_first_to_the_last_of_all_times(cast, rows, by, zone):
    grain = "year" if by == (TIME,) else None
    every = ask(cast, "requests", "users", by=by, since=LONG_AGO, until=FAR_AHEAD, grain=grain, zone=zone)
    assert every.total["requests"] == len(calls(rows))
    tree = join("and", [leaf("at", ">=", LONG_AGO), leaf("at", "<=", FAR_AHEAD)])
    assert ask(cast, filter=tree, by=by, grain=grain, zone=zone).total["requests"] == len(calls(rows))
    assert ask(cast, since=FAR_AHEAD, by=by, grain=grain, zone=zone).total["requests"] == 0
    first, before = queries.compared(Question(cast.acme.pk, ("requests",), since=LONG_AGO), at=NOW)
    assert (first.total["requests"], before.total["requests"]) == (len(calls(rows)), 0)
    for ahead in (FAR_AHEAD, NOW + timedelta(days=3)):
        both = queries.compared(Question(cast.acme.pk, ("requests",), since=ahead), at=NOW)
        assert [one.total["requests"] for one in both] == [0, 0]


def test_a_filter_by_name_takes_the_facets_where_they_know_all_names(cast, rows):
    by_name = Leaf("user", "=", "bob")
    answer = ask(cast, "requests", "cost", filter=by_name)
    assert answer.source == ("facet_day",)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE facet_day SET state = 1, val = '' WHERE dim = 'user' AND val = 'eve'")
    assert ask(cast, "requests", "cost", filter=by_name).source == ("llm_request",)
