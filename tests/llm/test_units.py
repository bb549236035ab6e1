"""Every unit a price list has is understood, and charged as the price list's own package charges it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import data
from genai_prices import types as theirs
from genai_prices.data_units import unit_data

from llm.exchange import Usage
from llm.pricing import PriceRow, bill, compiled, explain, total
from llm.units import UNITS, UNSUPPORTED, tally
from requests_app import prices
from tests.wire.exchanges import NOON

OURS = frozenset({"images"})
"""Units the package does not have."""
RICH = Usage(
    input_tokens=250_000, output_tokens=9_000, cache_read_tokens=120_000, cache_write_tokens=30_000,
    cache_write_1h_tokens=10_000, reasoning_tokens=2_000, input_audio_tokens=50_000, output_audio_tokens=3_000,
    input_image_tokens=20_000, output_image_tokens=1_000, web_searches=3, audio_ms=125_000, characters=1_200,
    search_units=2,
    sent={
        "promptTokensDetails": [{"modality": "VIDEO", "tokenCount": 700}],
        "candidatesTokensDetails": [{"modality": "VIDEO", "tokenCount": 70}],
        "input_tokens_details": {"cached_tokens_details": {"audio_tokens": 9_000, "image_tokens": 4_000}},
        "pages_processed": 12, "annotated_pages_processed": 2, "input_text_messages": 4,
        "server_side_tool_usage_details": {"file_search_calls": 2},
    },
)
THEIRS = {
    "input_tokens": 250_000, "output_tokens": 9_000, "cache_read_tokens": 120_000, "cache_write_tokens": 30_000,
    "cache_write_1h_tokens": 10_000, "output_reasoning_tokens": 2_000, "input_audio_tokens": 50_000,
    "output_audio_tokens": 3_000, "input_image_tokens": 20_000, "output_image_tokens": 1_000, "web_searches": 3,
    "audio_seconds": 125, "input_audio_seconds": 125, "input_characters": 1_200, "rerank_searches": 2,
    "input_video_tokens": 700, "output_video_tokens": 70, "cache_audio_read_tokens": 9_000,
    "cache_image_read_tokens": 4_000, "cache_video_read_tokens": 0,
    "input_document_pages": 12, "input_annotated_document_pages": 2, "input_text_messages": 4, "storage_searches": 2,
}
"""The same usage in the package's words."""
MOMENTS = [datetime(2026, 11, 21, 12, tzinfo=UTC), datetime(2026, 11, 21, 20, tzinfo=UTC),
           datetime(2025, 1, 5, 3, tzinfo=UTC)]
CONTEXTS = [{}, {"service_tier": "flex"}, {"service_tier": "priority"}, {"processing": "batch"}, {"speed": "fast"}]


def test_every_unit_of_the_price_list_is_understood_or_left_out_for_a_reason():
    known = {unit["price_key"] for unit in unit_data.values()}
    assert known == (UNITS.keys() - OURS) | UNSUPPORTED.keys()
    assert not UNITS.keys() & UNSUPPORTED.keys()
    assert all(UNSUPPORTED.values())


def test_no_seeded_price_is_for_a_unit_left_out():
    priced = {key for row in prices.bundled("any") for key in row.prices} - {"hours", "variants"}
    assert priced - UNITS.keys() == set()


def test_a_price_is_for_as_many_of_a_unit_as_the_price_list_says():
    for unit in unit_data.values():
        if (ours := UNITS.get(unit["price_key"])) is not None:
            assert ours.per == unit["per"] * (1000 if unit["dimensions"]["family"] == "durations" else 1)


def _theirs(provider, model, *, moment, context) -> Any:
    usage = theirs.Usage(**THEIRS)
    return model.calc_price(usage, provider, genai_request_timestamp=moment, price_context=context).total_price


WITH_AUDIO = {("openai", "gpt-4o-audio-preview"), ("openai", "gpt-4o-mini-audio-preview")}
"""Models whose audio the package has no price for, and we do."""


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_every_model_costs_what_the_price_lists_own_package_says(moment, context):
    rows = {}
    for row in prices.bundled("any"):
        span = PriceRow(0, row.provider, row.model_key, row.match, row.prices, starts_at=row.starts_at,
                        ends_at=row.ends_at)
        if span.is_active(moment):
            rows[row.provider, row.model_key] = compiled(row.prices)
    different = {}
    for provider in data.providers:
        for model in provider.models:
            found = bill(rows[provider.id, model.id].at(moment, context), RICH)
            expected = _theirs(provider, model, moment=moment, context=context)
            cost = sum((line.amount_nano_usd for line in found), Decimal(0)) / 10**9
            if abs(cost - expected) > Decimal("1e-12"):
                different[provider.id, model.id] = (cost, expected)
    assert different.keys() == WITH_AUDIO


def row(**given) -> PriceRow:
    return PriceRow(1, "openai", "m", {"equals": "m"}, given)


def told(price_row: PriceRow, usage: Usage) -> list[tuple[str, int, int]]:
    return [(line.label, line.quantity, int(line.amount_nano_usd)) for line in explain(price_row, usage, at=NOON)]


def test_what_a_provider_says_it_bills_is_charged_instead_of_the_counts():
    usage = Usage(input_tokens=500, output_tokens=50, billed_input_tokens=20, billed_output_tokens=40)
    assert told(row(input_mtok="1", output_mtok="1"), usage) == [("Input", 20, 20_000), ("Output", 40, 40_000)]


def test_images_minutes_characters_and_searches_have_their_own_units():
    usage = Usage(images=2, audio_ms=90_000, characters=1_000, search_units=3)
    prices_row = row(images="0.04", audio_hours="0.36", input_mchars="15", rerank_searches_kcount="2")
    assert told(prices_row, usage) == [
        ("Images", 2, 80_000_000), ("Characters", 1000, 15_000_000), ("Audio", 90_000, 9_000_000),
        ("Rerank searches", 3, 6_000_000),
    ]  # fmt: skip


def test_citations_come_beside_the_output():
    usage = Usage(input_tokens=0, output_tokens=10, sent={"citation_tokens": 5})
    assert told(row(output_mtok="8", output_citation_mtok="2"), usage) == [
        ("Output", 10, 80_000), ("Citations", 5, 10_000),
    ]  # fmt: skip


@pytest.mark.parametrize(("reasoning", "output", "thought"), [(300, 100, 300), (80, 20, 80)])
def test_reasoning_beyond_all_output_comes_on_top_of_it(reasoning, output, thought):
    usage = Usage(input_tokens=0, output_tokens=100, reasoning_tokens=reasoning)
    assert told(row(output_mtok="8", output_reasoning_mtok="3"), usage) == [
        ("Output", output, 8_000 * output), ("Reasoning", thought, 3_000 * thought),
    ]  # fmt: skip
    assert told(row(output_mtok="8"), usage) == [("Output", 100, 800_000)]


def test_audio_of_the_first_models_that_spoke_is_not_charged_as_text():
    rows = [row for row in prices.bundled("any") if (row.provider, row.model_key) == ("openai", "gpt-4o-audio-preview")]
    assert [(row.prices["input_audio_mtok"], row.prices["output_audio_mtok"]) for row in rows] == [("40", "80")]


def test_a_least_quantity_is_charged_only_where_there_is_any():
    prices_row = row(audio_hours={"base": "0.36", "least": 10_000})
    assert told(prices_row, Usage(audio_ms=2_000)) == [("Audio", 10_000, 1_000_000)]
    assert told(prices_row, Usage(audio_ms=0)) == []


def test_a_fee_per_request_goes_by_how_the_request_was_made():
    fees = row(input_mtok="1", requests_kcount="12", variants=[
        {"when": {"search_context_size": "low"}, "prices": {"requests_kcount": "5"}}])
    for size, fee in (("low", 5_000_000), ("high", 12_000_000)):
        assert told(fees, Usage(sent={"search_context_size": size})) == [("Request", 1, fee)]


def test_a_batch_costs_what_batches_cost():
    batch = row(input_mtok="2", variants=[{"when": {"processing": "batch"}, "prices": {"input_mtok": "1"}}])
    usage = Usage(input_tokens=1000, output_tokens=0)
    assert total(explain(batch, usage, at=NOON, service_tier="batch")) == 1_000_000
    assert total(explain(batch, Usage(input_tokens=1000, sent={"service_tier": "batch"}), at=NOON)) == 1_000_000
    assert total(explain(batch, usage, at=NOON, service_tier="standard")) == 2_000_000


def test_parts_that_contradict_their_total_are_not_charged_twice():
    keys = {"input_mtok": "1", "cache_read_mtok": "1", "input_audio_mtok": "1"}
    usage = Usage(input_tokens=100, cache_read_tokens=80, input_audio_tokens=70)
    assert sum(tally(keys, usage).charged.values()) == 100
