"""The cache and rate limits as the real SDKs meet them."""

from __future__ import annotations

import anthropic
import openai
import pytest

from tests.journeys.stack import until
from tests.journeys.test_openai_client import ASKED, said

ALL_SPENT = "the cost of a call is taken from its limit"


def cached(journey, **more):
    return said(journey, **{"Helicone-Cache-Enabled": "true", "Helicone-Cache-Seed": journey, **more})


def test_openais_client_gets_the_same_chat_again_and_pays_once(stack, chat, journey):
    replies = []
    for _ in range(2):
        raw = chat.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=ASKED, extra_headers=cached(journey)
        )
        replies.append((raw.headers["helicone-cache"], raw.parse().model_dump()))
        stack.rows(journey, len(replies))
    (first, asked), (second, kept) = replies
    assert (first, second) == ("MISS", "HIT")
    assert asked == kept
    paid, free = stack.rows(journey, 2)
    assert paid["cost"] > 0
    assert (free["cost"], free["prompt_tokens"], free["completion_tokens"]) == (0, 0, 0)
    assert free["cache_reference_id"] == paid["request_id"]
    assert (paid["cache_enabled"], free["cache_enabled"]) == (False, True)


def test_openais_client_gets_the_same_stream_again(stack, chat, journey):
    texts = []
    for _ in range(2):
        with chat.chat.completions.stream(
            model="gpt-4.1-mini", messages=ASKED, stream_options={"include_usage": True}, extra_headers=cached(journey)
        ) as stream:
            texts.append(stream.get_final_completion().model_dump())
        stack.rows(journey, len(texts))
    assert texts[0] == texts[1]
    assert [row["cache_enabled"] for row in stack.rows(journey, 2)] == [False, True]


def test_anthropics_client_gets_the_same_message_again_streamed_and_not(stack, claude, journey):
    options = {
        "model": "claude-haiku-4-5", "max_tokens": 300, "messages": [{"role": "user", "content": "Where is it?"}],
        "extra_headers": cached(journey),
    }  # fmt: skip
    whole, streamed = [], []
    for _ in range(2):
        whole.append(claude.messages.create(**options).model_dump())
        with claude.messages.stream(**options) as stream:
            streamed.append(stream.get_final_message().model_dump())
        stack.rows(journey, len(whole) * 2)
    assert whole[0] == whole[1]
    assert streamed[0] == streamed[1]
    assert [row["cache_enabled"] for row in stack.rows(journey, 4)] == [False, False, True, True]


def test_openais_client_is_told_of_a_limit_in_its_own_words(stack, chat, journey):
    headers = said(journey, **{"Helicone-RateLimit-Policy": "1;w=3600;s=journey"})
    chat.chat.completions.create(model="gpt-4o-mini", messages=ASKED, extra_headers=headers)
    with pytest.raises(openai.RateLimitError) as told:
        chat.chat.completions.create(model="gpt-4o-mini", messages=ASKED, extra_headers=headers)
    assert told.value.code == "rate_limited"
    assert "1;w=3600;s=journey" in told.value.message
    assert 3590 <= int(told.value.response.headers["retry-after"]) <= 3600
    assert [row["response_status"] for row in stack.rows(journey, 2)] == [200, 429]


def test_anthropics_client_is_told_of_a_limit_in_its_own_words(stack, claude, journey):
    options = {
        "model": "claude-haiku-4-5", "max_tokens": 300, "messages": [{"role": "user", "content": "Hello"}],
        "extra_headers": said(journey, **{"Helicone-RateLimit-Policy": "1;w=3600;s=journey"}),
    }  # fmt: skip
    claude.messages.create(**options)
    with pytest.raises(anthropic.RateLimitError, match="1;w=3600;s=journey"):
        claude.messages.create(**options)


def test_a_limit_in_cents_is_used_up_by_what_calls_cost(stack, chat, journey):
    """The line takes the cost once it knows it; a thousandth of a cent is less than any call here costs."""
    headers = said(journey, **{"Helicone-RateLimit-Policy": "0.001;w=31536000;u=cents;s=journey"})
    first = chat.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=ASKED, extra_headers=headers)
    assert first.headers["helicone-ratelimit-policy"] == "0.001;w=31536000;u=cents;s=journey"

    def is_refused():
        try:
            chat.chat.completions.create(model="gpt-4o-mini", messages=ASKED, extra_headers=headers)
        except openai.RateLimitError:
            return True
        return False

    until(is_refused, what=ALL_SPENT)
