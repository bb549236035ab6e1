"""Recorded traffic of the OpenAI family and of Anthropic is read to the token and priced to the nano-dollar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from llm.exchange import Exchange, Reading
from llm.parse import parse
from llm.pricing import PriceBook, PriceRow, total
from requests_app import prices
from tests.wire.exchanges import of_record, recorded

CORPUS = Path(settings.CORPUS_DIR) / "open.jsonl.gz"
pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="recorded traffic is not here (CORPUS_DIR)")

ENDPOINTS = frozenset({
    "chat.completions", "completions", "responses", "responses.compact", "responses.retrieve",
    "responses.input_tokens", "messages", "messages.count_tokens", "embeddings",
})
FACTS = {
    "input_tokens": "prompt_tokens_total", "output_tokens": "completion_tokens_total",
    "cache_read_tokens": "cache_read_tokens", "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens", "reasoning_tokens": "reasoning_tokens",
    "input_audio_tokens": "audio_input_tokens", "output_audio_tokens": "audio_output_tokens",
}
BY_NATIVE_DIALECT = frozenset({"cohere"})
"""Providers whose embeddings are no OpenAI shape."""
KEY_IS_WRONG = frozenset({
    "azure-f3f74c4cb4e1",  # error_type 400: the key took `error.status`, a number, where `type` is null
})
NOT_BILLED_AGAIN = "responses.retrieve"
"""Looking a response up tells its usage once more; the call that made it was billed."""


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    found = [record for record in recorded(CORPUS) if record["endpoint"] in ENDPOINTS]
    return [record for record in found if record["provider"] not in BY_NATIVE_DIALECT]


@pytest.fixture(scope="module")
def book() -> PriceBook:
    rows = enumerate(prices.bundled("any"), start=1)
    return PriceBook(
        PriceRow(number, row.provider, row.model_key, row.match, row.prices, None, row.starts_at, row.ends_at,
                 row.priority, row.source)
        for number, row in rows
    )


def read_as(reading: Reading) -> dict[str, Any]:
    facts = {theirs: getattr(reading.usage, ours) for ours, theirs in FACTS.items()}
    return {
        **facts,
        "request_model": reading.request_model,
        "response_model": reading.response_model,
        "finish_reason": reading.finish_reason,
        "error_type": reading.error_type,
        "stream_truncated": any(problem.code == "stream_truncated" for problem in reading.problems),
    }


def said_by_key(truth: Mapping[str, Any]) -> dict[str, Any]:
    said = {theirs: truth[theirs] for theirs in FACTS.values()}
    return {
        **said,
        "request_model": truth["request_model"],
        "response_model": truth["response_model"] or None,
        "finish_reason": truth["finish_reason"],
        "error_type": truth["error_type"],
        "stream_truncated": bool(truth["stream_truncated"]),
    }


def test_recorded_calls_are_read_as_their_key_says(records):
    assert len(records) > 1000
    different = {}
    for record in records:
        ours, theirs = read_as(parse(of_record(record))), said_by_key(record["truth"])
        if ours != theirs and record["id"] not in KEY_IS_WRONG:
            different[record["id"]] = {key: (ours[key], theirs[key]) for key in ours if ours[key] != theirs[key]}
    assert different == {}


def test_recorded_calls_never_trip_the_reader(records):
    problems = {record["id"]: parse(of_record(record)).problems for record in records}
    assert {key for key, found in problems.items() if any(problem.code == "unreadable" for problem in found)} == set()


def token_cost(book: PriceBook, exchange: Exchange, reading: Reading) -> int | None:
    """Nano-USD of the tokens alone: without fees, and without a cost the provider declares."""
    charge = book.charge(exchange, replace(reading, provider_cost_nano_usd=None))
    if charge.price_id is None:
        return None
    lines = book.explain(
        charge.price_id, reading.usage, at=exchange.requested_at, service_tier=reading.service_tier
    )
    return total(line for line in lines if not line.is_fee)


def agreed(refs: Mapping[str, Any]) -> float | None:
    """The reference cost in nano-USD where both references say the same."""
    one, other = refs["litellm"], refs["genai_prices"]
    if one is None or other is None or abs(one - other) > 0.005 * max(one, other):
        return None
    return float(other) * 1e9


def test_recorded_calls_cost_what_both_references_say(records, book):
    different, compared = {}, 0
    for record in records:
        expected = agreed(record["cost_refs"])
        if expected is None or record["endpoint"] == NOT_BILLED_AGAIN:
            continue
        exchange = of_record(record)
        cost = token_cost(book, exchange, parse(exchange))
        compared += 1
        if cost is None or abs(cost - expected) > 1 + 1e-6 * expected:
            different[record["id"]] = (cost, expected)
    assert compared > 600
    assert different == {}


def test_costs_that_providers_declare_are_taken_from_them(records):
    declared = [record for record in records if record["truth"]["provider_cost_usd"]]
    assert declared
    for record in declared:
        expected = record["truth"]["provider_cost_usd"] * 1e9
        assert parse(of_record(record)).provider_cost_nano_usd == pytest.approx(expected, abs=1)
