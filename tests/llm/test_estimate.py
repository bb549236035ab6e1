"""Where nobody told token counts they are guessed, apart from what is told and never charged."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.estimate import beside, text_tokens
from llm.exchange import STATUS_CANCELLED, Body, Estimate, Reading, Usage
from llm.parse import parse
from llm.pricing import PriceBook, PriceRow
from tests.wire.exchanges import body, exchange, sse

ASKED = {"model": "gpt-4o", "stream": True, "messages": [
    {"role": "system", "content": "Answer in one sentence. " * 10},
    {"role": "user", "content": "Why is the sky blue?"}]}
WORDS = ["Because ", "air scatters ", "blue light ", "more than ", "red light."] * 8
EVENTS = [{"id": "c1", "object": "chat.completion.chunk", "model": "gpt-4o",
           "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in WORDS]
END = {**EVENTS[0], "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
BOOK = PriceBook([PriceRow(1, "openai", "gpt-4o", {"equals": "gpt-4o"}, {"input_mtok": "2", "output_mtok": "8"})])


def streamed(*events, **given):
    return exchange(request=body(ASKED), response=body(sse(list(events), done=given.pop("done", True))), **given)


def test_a_stream_without_usage_keeps_its_counts_unknown_and_has_a_guess_beside_them():
    told = streamed(*EVENTS, END)
    reading = parse(told)
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (None, None)
    guess = reading.estimate
    assert guess is not None
    assert guess.method.startswith("characters by script")
    assert guess.input_tokens == 2 * 4 + text_tokens("Answer in one sentence. " * 10) + text_tokens(
        "Why is the sky blue?")
    assert guess.output_tokens == text_tokens("".join(WORDS))
    charge = BOOK.charge(told, reading)
    assert (charge.nano_usd, charge.reason, charge.price_id) == (None, "no_usage", None)
    assert charge.estimated_nano_usd == guess.input_tokens * 2000 + guess.output_tokens * 8000


def test_a_reply_that_broke_off_is_guessed_from_what_came():
    reading = parse(streamed(*EVENTS[:5], done=False, status=STATUS_CANCELLED))
    assert reading.estimate is not None
    assert reading.estimate.output_tokens == text_tokens("".join(WORDS[:5]))


def test_a_log_without_usage_is_guessed():
    answer = {"choices": [{"message": {"role": "assistant", "content": "Blue scatters most."}}], "model": "gpt-4o"}
    reading = parse(exchange(door="log", request=body(ASKED), response=body(answer)))
    assert reading.estimate is not None
    assert reading.estimate.output_tokens == text_tokens("Blue scatters most.")


def test_what_is_told_is_not_guessed():
    usage = {"prompt_tokens": 60, "completion_tokens": 70, "total_tokens": 130}
    assert parse(streamed(*EVENTS, {**END, "usage": usage})).estimate is None


def test_only_the_side_nobody_told_is_guessed_and_the_told_one_is_charged_as_told():
    told = streamed(*EVENTS, END)
    half = beside(told, replace(parse(told), usage=Usage(input_tokens=1000, cache_read_tokens=0), estimate=None))
    assert half.estimate is not None
    assert half.estimate.input_tokens is None
    charge = BOOK.charge(told, half)
    assert charge.nano_usd is None
    assert charge.estimated_nano_usd == 1000 * 2000 + half.estimate.output_tokens * 8000


@pytest.mark.parametrize("status", [400, 500, 429])
def test_a_refused_call_is_not_guessed(status):
    assert parse(streamed(*EVENTS, END, status=status)).estimate is None


def test_a_body_whose_middle_is_gone_gives_no_guess():
    told = streamed(*EVENTS, END)
    cut = replace(told, request=replace(told.request, state="truncated"))
    guess = beside(cut, replace(parse(told), estimate=None)).estimate
    assert guess is not None
    assert guess.input_tokens is None
    assert BOOK.charge(cut, replace(parse(told), estimate=guess)).estimated_nano_usd is None


def test_calls_that_are_no_text_are_not_guessed():
    assert beside(streamed(*EVENTS), Reading(dialect="openai_chat", kind="image")).estimate is None
    assert beside(streamed(*EVENTS), Reading(kind="llm")).estimate is None


@pytest.mark.parametrize(("text", "tokens"), [
    ("", 0), ("a", 1), ("word " * 80, 100), ("空が青いのはなぜ", 6), ("Почему небо синее?", 8), ("é" * 40, 10),
])
def test_every_script_has_its_own_characters_per_token(text, tokens):
    assert text_tokens(text) == pytest.approx(tokens, abs=1)


@given(st.text())
def test_any_text_can_be_counted(text):
    assert 0 <= text_tokens(text) <= len(text) + 1


def picture(width, height):
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(40)
    return f"data:image/png;base64,{base64.b64encode(head).decode()}"


def with_picture(url):
    asked = {"model": "gpt-4o", "messages": [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}
    return exchange(request=body(asked), response=body(sse([*EVENTS, END], done=True)))


def test_a_picture_costs_its_area_where_its_size_is_known():
    known, linked = parse(with_picture(picture(750, 100))), parse(with_picture("https://example.com/a.png"))
    assert known.estimate.input_tokens - 4 == 100
    assert linked.estimate.input_tokens == 4
    assert linked.estimate.method.endswith("1 image or audio left out: its size is not known")
    assert "left out" not in known.estimate.method


@given(st.binary(max_size=300))
def test_whatever_bytes_came_guessing_never_raises(data):
    told = exchange(request=Body(data), response=Body(data))
    found = beside(told, Reading(dialect="openai_chat")).estimate
    assert found is None or isinstance(found, Estimate)
