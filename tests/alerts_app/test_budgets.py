"""Periods of calendars and rolling windows, segments, bounds: the parts `edge` uses, without anything around."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import redis
from django.conf import settings
from hypothesis import example, given
from hypothesis import strategies as st

from alerts_app.budgets import KNOWN, SLOTS, Budget, Period, digest, usd
from alerts_app.rules import SessionCaps
from alerts_app.segments import Facts, Segment
from gateway_app import scripts
from gateway_app.spending import draw_of

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia")
moments = st.integers(946_684_800, 4_102_444_800)


@given(moments, st.sampled_from(["day", "week", "month"]), st.sampled_from(ZONES))
@example(1_325_152_800, "day", "Pacific/Apia")  # the last hours before a day that was left out
def test_a_period_is_the_one_the_calendar_of_its_zone_says(at, span, zone):
    before, start, end, after = Period(span, 0, zone).edges(at)
    assert before < start <= at < end < after
    for edge in (before, start, end, after):
        local = datetime.fromtimestamp(edge, ZoneInfo(zone))
        assert span != "week" or local.weekday() == 0
        assert span != "month" or local.day == 1
    here = datetime.fromtimestamp(at, ZoneInfo(zone))
    assert datetime.fromtimestamp(start, ZoneInfo(zone)).date() <= here.date()
    assert Period(span, 0, zone).edges(end)[:2] == (start, end)


@given(moments, st.integers(1, 24 * 366))
def test_a_rolling_window_counts_at_least_its_length_and_little_more(at, hours):
    period = Period("rolling", hours)
    assert period.width * SLOTS == period.window
    covered = at - period.since(at)
    assert period.window <= covered < period.window + period.width
    assert period.ends(at) is None


def test_an_unknown_zone_is_utc():
    assert Period("day", 0, "Mars/Base").edges(86_400 * 5 + 7) == (86_400 * 4, 86_400 * 5, 86_400 * 6, 86_400 * 7)


def test_where_clocks_go_back_into_the_month_before_the_new_one_goes_on():
    at = 1_257_043_500  # 2009-10-31 23:15 for the second time, after midnight had been
    before, start, end, after = Period("month", 0, "America/St_Johns").edges(at)
    assert before < start <= at < end < after


@pytest.mark.parametrize(
    ("edges", "expected"),
    [((-2, -1, 1, 2), -1), ((-3, -2, -1, 1), -1), ((-2, 1, 2, 3), -2)],
)
def test_redis_own_clock_decides_which_period_it_is(edges, expected):
    """However far the clock of an edge is off, within a period: days before and after what it takes for now."""
    server = redis.Redis.from_url(settings.REDIS_URL)
    now = int(server.time()[0])
    around = [now + edge * 86_400 for edge in edges]
    budget = Budget(uuid.uuid4().int % 10**12, 1, 1, "b", 10**9, Period("day"), Segment())
    draw = draw_of(budget, "", 5)
    server.sadd(budget.values_key, KNOWN)
    server.hset(budget.spent_key(""), mapping={str(around[0] - 99): 7, str(now + expected * 86_400): 3})
    numbers = " ".join([*draw.numbers(now).split()[:5], *map(str, around)])
    args = scripts.before("call", budgets=[(numbers, "")])
    reply = server.register_script(scripts.BEFORE.text)(keys=[*draw.keys, "helicone:c:"], args=args)
    spent, _, frees_at, _ = scripts.read(reply).budgets
    following = around[around.index(now + expected * 86_400) + 1]
    assert (int(spent), int(frees_at)) == (3, following)
    (hold,) = server.hvals(budget.holds_key)
    assert int(hold.split()[1]) == now + expected * 86_400


FACTS = Facts(12, "ann", "s1", "gpt-4o", {"plan": "pro"})


@pytest.mark.parametrize(
    ("segment", "value", "words"),
    [
        (Segment(), "", "everybody together"),
        (Segment("key"), "12", "each API key"),
        (Segment("key", value="13"), None, "API key 13"),
        (Segment("user", value="ann"), "ann", "user ann"),
        (Segment("user", value="bob"), None, "user bob"),
        (Segment("property", "plan"), "pro", "each plan"),
        (Segment("property", "team"), None, "each team"),
        (Segment("session"), "s1", "each session"),
        (Segment("model", value="gpt-4o"), "gpt-4o", "model gpt-4o"),
    ],
)
def test_a_segment_knows_for_whom_a_request_counts(segment, value, words):
    assert segment.of(FACTS) == value
    assert segment.words == words
    assert segment.of(Facts()) == ("" if segment.by == "organization" else None)


caps = st.builds(SessionCaps, *[st.none() | st.integers(1, 9)] * 4)


@given(caps, caps)
def test_of_two_bounds_the_lower_holds(one, other):
    both = one.tightened(other)
    assert both == other.tightened(one)
    assert both.tightened(one) == both
    assert bool(both) == (bool(one) or bool(other))


@pytest.mark.parametrize(
    ("nano", "text"), [(5 * 10**9, "$5.00"), (12_300_000, "$0.0123"), (0, "$0.00"), (10**9 + 1, "$1.00")]
)
def test_money_in_words(nano, text):
    assert usd(nano) == text


def test_segments_lie_apart():
    assert len({digest(value) for value in ("", "a", "b", "all")}) == 4
    assert timedelta(seconds=Period("rolling", 48).window) == timedelta(days=2)
    assert Period("rolling", 48).words == "in any 2 days"
