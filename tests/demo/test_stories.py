"""The demo's past: plausible, complete, and the same however often it is told."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import orjson
import pytest
from genai_prices import Usage, calc_price

from helicone_site.demo import cast, stories, wire
from helicone_site.demo.provider.reply import Reply

UNTIL = datetime(2026, 9, 18, 15, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def month():
    return list(stories.days(UNTIL, 30))


def test_a_month_is_a_few_thousand_calls_of_every_kind(month):
    assert 3_000 < len(month) < 12_000
    kinds = Counter((step.request.get("_type") or step.path) for step in month)
    assert set(kinds) == {
        "tool", "vector_db", "data", "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages",
    }  # fmt: skip
    assert {429, 500, 400} <= {step.failure.status for step in month if step.failure}
    assert len({step.meta["Helicone-Property-App"] for step in month}) == 4
    assert len({step.meta["Helicone-User-Id"] for step in month}) > 50
    assert any(step.reply and step.reply.cache_read_tokens for step in month)
    assert any(step.time_to_first_token_ms is not None for step in month)


def test_told_again_it_is_the_same_word_for_word(month):
    again = list(stories.days(UNTIL, 30))
    assert [wire.posting(step) for step in again] == [wire.posting(step) for step in month]


def test_told_a_day_later_it_goes_on_where_it_was(month):
    later = {step.id: step for step in stories.days(UNTIL + timedelta(days=1), 30)}
    shared = [step for step in month if step.id in later]
    assert len(shared) > len(month) * 0.9
    assert all(later[step.id] == step for step in shared)


def test_no_two_steps_share_an_id_and_none_is_in_the_future(month):
    assert len({step.id for step in month}) == len(month)
    assert max(step.at for step in month) < UNTIL


def test_sessions_have_paths_and_run_forward(month):
    for step in month:
        assert step.meta["Helicone-Session-Path"].startswith("/")
        assert step.duration_ms > 0
        assert step.time_to_first_token_ms is None or step.time_to_first_token_ms <= step.duration_ms


def test_days_are_busier_than_nights_and_weekdays_than_weekends(month):
    people = [step for step in month if step.meta["Helicone-Property-App"] == "support-bot"]
    hours = Counter(step.at.hour for step in people)
    assert sum(hours[h] for h in range(9, 17)) > 5 * sum(hours[h] for h in range(5))
    days = Counter(step.at.date() for step in people)
    weekend = [count for day, count in days.items() if day.weekday() >= 5]
    weekday = [count for day, count in days.items() if day.weekday() < 5]
    assert sum(weekday) / len(weekday) > 1.5 * sum(weekend) / len(weekend)


@pytest.mark.parametrize("start", [date(2026, 1, 1), date(2026, 6, 17)])
def test_every_thirty_days_hold_one_run_that_looped_and_cost_forty_dollars(start):
    days = [start + timedelta(days=n) for n in range(30)]
    [day] = [day for day in days if cast.has_runaway(day)]
    steps = [
        step for step in stories.day(day) if step.meta["Helicone-Session-Name"] == "Flaky test in the warehouse sync"
    ]
    assert 35 < sum(cost(step.reply) for step in steps if step.reply) < 45


def cost(reply: Reply) -> float:
    usage = Usage(
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        cache_read_tokens=reply.cache_read_tokens,
        cache_write_tokens=reply.cache_write_tokens,
    )
    return float(calc_price(usage, reply.model, provider_id="anthropic").total_price)


def test_counts_in_a_posting_add_up(month):
    for step in month:
        if step.path != "/v1/chat/completions" or step.failure or step.time_to_first_token_ms is not None:
            continue
        usage = orjson.loads(wire.posting(step))["providerResponse"]["json"]["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]
