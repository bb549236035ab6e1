"""Stored rate limits, budgets and the session guard as the real SDKs meet them, set by the API."""

from __future__ import annotations

import anthropic
import openai
import pytest

from tests.journeys.stack import until
from tests.journeys.test_openai_client import ASKED, said


def made(stack, path, **body):
    status, answer = stack.post(path, body)
    assert status == 201, answer
    return answer["data"]


def ask(chat, journey, **more):
    headers = said(journey, **more)
    return chat.chat.completions.create(model="gpt-4o-mini", messages=ASKED, max_tokens=200, extra_headers=headers)


def refusal(chat, journey, **more):
    """The error of a call that is refused, None of one that passes: the gateway learns of changes in its own time."""
    try:
        ask(chat, journey, **more)
    except openai.RateLimitError as error:
        return error
    return None


def test_a_stored_rate_limit_reaches_the_gateway_and_openais_client(stack, chat, journey):
    made(stack, "/v1/rate-limits", name="calm", quota=2, window_seconds=31_536_000, unit="request", by="property",
         property="journey", value=journey)  # fmt: skip
    error = until(lambda: refusal(chat, journey), what="the rate limit to hold")
    assert error.code == "rate_limited"
    assert "rule “calm”" in error.message
    assert ask(chat, f"not-{journey}").choices


def test_a_budget_warns_refuses_and_tells_what_was_spent(stack, chat, journey):
    budget = made(stack, "/v1/budgets", name="team", limitUsd="0.0005", period="month", by="property",
                  property="journey", value=journey, warnPercents=[1])  # fmt: skip
    def used_up():
        error = refusal(chat, journey)
        return error if error and error.response.headers.get("x-should-retry") == "false" else None

    error = until(used_up, what="the budget to be used up")
    assert error.code == "budget_exceeded"
    assert "The budget “team”" in error.message
    details = error.body["details"]
    assert details["limit_usd"] == 0.0005
    assert details["spent_usd"] + details["reserved_usd"] + details["estimate_usd"] > 0.0005
    assert int(error.response.headers["retry-after"]) > 0

    def looked_at():
        status, answer = stack.get(f"/v1/budgets/{budget['id']}")
        assert status == 200, answer
        (segment,) = answer["data"]["segments"] or [None]
        return segment if segment and segment["spentUsd"] and not segment["reservedUsd"] else None

    segment = until(looked_at, what="the budget to be compared with the requests", seconds=120)
    assert segment["value"] == journey
    assert 0 < segment["spentUsd"] < 0.0005
    assert segment["unpriced"] <= segment["requests"]


def test_a_warning_comes_with_the_answer(stack, chat, journey):
    made(stack, "/v1/budgets", name="soft", limitUsd="0.00001", period="day", by="property", property="journey",
         value=journey, warnPercents=[50], isHard=False)  # fmt: skip

    def warned():
        raw = chat.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=ASKED, max_tokens=200, extra_headers=said(journey)
        )
        return raw.headers.get("helicone-budget-warning")

    assert until(warned, what="a warning").startswith("soft: ")


def test_a_runaway_agent_is_stopped_in_openais_words(stack, chat, journey):
    call = {"type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}}
    turns = [{"role": "assistant", "tool_calls": [{"id": f"c{n}", **call}]} for n in range(3)]
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": "nothing"} for n in range(3)]
    messages = [*ASKED, *(part for pair in zip(turns, results, strict=True) for part in pair)]
    headers = said(journey, **{"Helicone-Session-Id": journey, "Helicone-Session-Max-Repeats": "2"})
    with pytest.raises(openai.RateLimitError) as told:
        chat.chat.completions.create(model="gpt-4o-mini", messages=messages, extra_headers=headers)
    assert told.value.code == "session_stopped"
    assert told.value.body["details"] == {"reason": "repeats", "limit": 2}
    assert "the tool look was called 3 times" in told.value.message
    row = stack.row(journey)
    assert row["response_status"] == 429


@pytest.mark.parametrize(
    ("bound", "path", "reason"),
    [({"Helicone-Session-Max-Calls": "1"}, "/a", "calls"),
     ({"Helicone-Session-Max-Cost-Usd": "0.0000001"}, "/a", "cost"),
     ({"Helicone-Session-Max-Depth": "2"}, "/a/b/c", "depth")],
)  # fmt: skip
def test_anthropics_client_is_told_of_a_sessions_bounds(stack, claude, journey, bound, path, reason):
    options = {
        "model": "claude-haiku-4-5", "max_tokens": 300, "messages": [{"role": "user", "content": "Hello"}],
        "extra_headers": said(
            journey, **{"Helicone-Session-Id": journey, "Helicone-Session-Path": path, **bound}
        ),
    }  # fmt: skip
    with pytest.raises(anthropic.RateLimitError) as told:
        for _ in range(2):
            claude.messages.create(**options)
    assert told.value.body["error"]["details"]["reason"] == reason


def test_a_stream_under_a_bound_tells_its_cost_and_not_to_a_client_who_did_not_ask(stack, chat, journey):
    bounded = {"Helicone-Session-Id": journey, "Helicone-Session-Max-Cost-Usd": "1"}
    stream = chat.chat.completions.create(
        model="gpt-4o-mini", messages=ASKED, max_tokens=200, stream=True, extra_headers=said(journey, **bounded)
    )
    chunks = list(stream)
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    row = stack.row(journey)
    assert row["prompt_tokens"] > 0 and row["completion_tokens"] > 0 and row["cost"] > 0
