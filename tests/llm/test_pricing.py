"""Costs are exact, come from whoever is to decide, and are never 0 for what is unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.exchange import Attribution, Reading, Usage
from llm.pricing import REASONS, BadPrice, PriceBook, PriceRow, compiled, explain, matcher, total
from tests.wire.exchanges import NOON, exchange

SEED = "genai-prices 1"
GPT = PriceRow(1, "openai", "gpt-4o", {"starts_with": "gpt-4o"},
               {"input_mtok": "2.5", "cache_read_mtok": "1.25", "output_mtok": "10"}, source=SEED)
CLAUDE = PriceRow(2, "anthropic", "sonnet", {"or": [{"equals": "claude-sonnet"}, {"regex": "^claude-sonnet-\\d+$"}]},
                  {"input_mtok": {"base": "3", "tiers": [{"start": 200000, "price": "6"}]}, "cache_read_mtok": "0.3",
                   "cache_write_mtok": "3.75", "cache_write_1h_mtok": "6", "output_mtok": "15",
                   "web_searches_kcount": "10"}, source=SEED)
BOOK = PriceBook([GPT, CLAUDE])


def reading(model: str = "gpt-4o", **given) -> Reading:
    usage = given.pop("usage", Usage(input_tokens=1000, output_tokens=100))
    return Reading(response_model=model, usage=usage, **given)


def test_tokens_are_charged_at_the_row_of_their_model():
    charge = BOOK.charge(exchange(), reading())
    assert (charge.nano_usd, charge.reason, charge.price_id) == (2_500_000 + 1_000_000, "price", 1)


def test_cached_tokens_are_taken_out_of_the_input_they_are_part_of():
    usage = Usage(input_tokens=1000, output_tokens=0, cache_read_tokens=400)
    assert BOOK.charge(exchange(), reading(usage=usage)).nano_usd == 600 * 2500 + 400 * 1250


def test_cache_writes_cost_by_how_long_they_are_kept():
    usage = Usage(input_tokens=1000, output_tokens=0, cache_write_tokens=300, cache_write_1h_tokens=200)
    charge = BOOK.charge(exchange(provider="anthropic"), reading("claude-sonnet", usage=usage))
    assert charge.nano_usd == 700 * 3000 + 100 * 3750 + 200 * 6000


@pytest.mark.parametrize(("tokens", "price"), [(200_000, 3000), (200_001, 6000)])
def test_above_a_threshold_all_tokens_cost_the_higher_price(tokens, price):
    usage = Usage(input_tokens=tokens, output_tokens=0)
    charge = BOOK.charge(exchange(provider="anthropic"), reading("claude-sonnet-4", usage=usage))
    assert charge.nano_usd == tokens * price


def test_searches_are_fees_beside_the_tokens():
    usage = Usage(input_tokens=10, output_tokens=0, web_searches=2)
    lines = explain(CLAUDE, usage, at=NOON)
    told = [(line.label, line.quantity, line.is_fee) for line in lines]
    assert told == [("Input", 10, False), ("Web searches", 2, True)]
    assert total(lines) == 30_000 + 20_000_000


OPUS = PriceRow(3, "anthropic", "opus", {"equals": "claude-opus"}, {"input_mtok": "5", "output_mtok": "25"},
                source=SEED)
RUNS = [
    {"type": "message", "input_tokens": 10, "output_tokens": 1},
    {"type": "advisor_message", "model": "claude-opus", "input_tokens": 100, "output_tokens": 20},
    {"type": "compaction", "input_tokens": 1000, "output_tokens": 30, "cache_read_input_tokens": 500},
    {"type": "advisor_message", "model": "claude-unheard-of", "input_tokens": 7, "output_tokens": 7},
]


def test_what_an_advisor_or_a_compaction_took_is_charged_beside_the_tokens_at_its_own_models_price():
    usage = Usage(input_tokens=10, output_tokens=1, sent={"iterations": RUNS})
    asked, told = exchange(provider="anthropic"), reading("claude-sonnet", usage=usage)
    book = PriceBook([CLAUDE, OPUS])
    own = 10 * 3000 + 15_000
    assert book.charge(asked, told).nano_usd == own + (500_000 + 500_000) + (3_000_000 + 500 * 300 + 30 * 15_000)
    assert total(explain(CLAUDE, usage, at=NOON)) == own
    assert [(line.label, line.quantity, line.is_fee) for line in book.beside(asked, told)] == [
        ("Input, advisor claude-opus", 100, True), ("Output, advisor claude-opus", 20, True),
        ("Input, compaction claude-sonnet", 1000, True), ("Cache reads, compaction claude-sonnet", 500, True),
        ("Output, compaction claude-sonnet", 30, True),
    ]  # fmt: skip


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.decimals(0, 1000, places=6), st.decimals(0, 1000, places=6))
def test_a_bill_is_exact_and_rounded_once(tokens_in, tokens_out, price_in, price_out):
    row = PriceRow(1, "openai", "m", {"equals": "m"}, {"input_mtok": str(price_in), "output_mtok": str(price_out)},
                   source=SEED)
    usage = Usage(input_tokens=tokens_in, output_tokens=tokens_out)
    charge = PriceBook([row]).charge(exchange(), reading("m", usage=usage))
    exact = (price_in * tokens_in + price_out * tokens_out) * 1000
    assert charge.nano_usd is not None
    assert abs(charge.nano_usd - exact) <= Decimal("0.5")


@pytest.mark.parametrize(("given_exchange", "given_reading", "reason"), [
    ({}, {"model": "llama-9"}, "no_price"),
    ({"provider": "nobody.example"}, {}, "no_price"),
    ({}, {"usage": Usage()}, "no_usage"),
    ({}, {"usage": Usage(input_tokens=5)}, "no_usage"),
    ({}, {"usage": Usage(), "error_message": "no"}, "failed"),
    ({"status": 500}, {}, "failed"),
    ({}, {"kind": "tool"}, "not_a_model_call"),
    ({}, {"kind": "count"}, "not_a_model_call"),
    ({}, {"model": ""}, "no_model"),
])
def test_an_unknown_cost_is_none_with_its_reason(given_exchange, given_reading, reason):
    charge = BOOK.charge(exchange(**given_exchange), reading(**given_reading))
    assert (charge.nano_usd, charge.reason, charge.price_id) == (None, reason, None)
    assert reason in REASONS


def test_a_model_with_a_price_for_one_side_only_is_not_priced_by_half():
    row = PriceRow(1, "openai", "e", {"equals": "e"}, {"input_mtok": "0.02"}, source=SEED)
    book = PriceBook([row])
    embedded = reading("e", usage=Usage(input_tokens=50), kind="embedding")
    assert book.charge(exchange(), embedded).nano_usd == 1000
    assert book.charge(exchange(), reading("e")).reason == "no_price"


def stated(**given) -> Attribution:
    return Attribution(**given)


@pytest.mark.parametrize(("told", "provider_cost", "expected"), [
    ({"declared_cost_nano_usd": 7}, 8, (7, "client")),
    ({"declared_cost_nano_usd": 0}, 8, (8, "provider")),
    ({"declared_cost_nano_usd": 0}, 0, (3_500_000, "price")),
    ({"input_nano_usd_per_token": 2.0, "output_nano_usd_per_token": 3.0}, 8, (2300, "client")),
    ({"input_nano_usd_per_token": 2.0}, 8, (8, "provider")),
    ({}, 8, (8, "provider")),
])
def test_who_decides_first(told, provider_cost, expected):
    charge = BOOK.charge(exchange(attribution=stated(**told)), reading(provider_cost_nano_usd=provider_cost))
    assert (charge.nano_usd, charge.reason) == expected


def test_a_cost_of_0_without_tokens_is_an_answer():
    told = exchange(attribution=stated(declared_cost_nano_usd=0))
    assert BOOK.charge(told, reading(usage=Usage())).nano_usd == 0


OWN = PriceRow(10, "openai", "deal", {"contains": "4o"}, {"input_mtok": "1", "output_mtok": "1"}, organization_id=1,
               source="operator", starts_at=NOON)
EVERYBODYS = PriceRow(11, "", "deal", {"contains": "4o"}, {"input_mtok": "2", "output_mtok": "2"}, source="operator")


def test_an_organisations_own_row_wins_over_everybodys_over_the_seed():
    book = PriceBook([GPT, OWN, EVERYBODYS])
    assert book.charge(exchange(), reading()).price_id == 10
    assert book.charge(exchange(organization_id=2), reading()).price_id == 11
    assert book.charge(exchange(requested_at=NOON - timedelta(seconds=1)), reading()).price_id == 11
    assert PriceBook([GPT, OWN]).charge(exchange(requested_at=NOON - timedelta(days=1)), reading()).price_id == 1


def test_a_dated_price_holds_from_its_day_to_the_next():
    day = datetime(2026, 6, 1, tzinfo=UTC)
    rows = [
        PriceRow(1, "openai", "m", {"equals": "m"}, {"input_mtok": "1"}, ends_at=day, source=SEED),
        PriceRow(2, "openai", "m", {"equals": "m"}, {"input_mtok": "2"}, starts_at=day, source=SEED),
    ]
    one = reading("m", usage=Usage(input_tokens=1, output_tokens=0))
    moments = (day - timedelta(microseconds=1), day)
    charged = [PriceBook(rows).charge(exchange(requested_at=moment), one).nano_usd for moment in moments]
    assert charged == [1000, 2000]


def test_hours_and_tiers_of_service_have_their_own_prices():
    prices = compiled({
        "input_mtok": "1", "output_mtok": "4",
        "hours": [{"start": "22:00:00", "end": "06:00:00", "prices": {"input_mtok": "0.5", "output_mtok": "2"}}],
        "variants": [{"when": {"service_tier": "flex"}, "starts_at": "2026-01-01", "prices": {"input_mtok": "0.1"}}],
    })

    def at(hour: int, year: int = 2026, **context: str) -> tuple[str, str]:
        found = prices.at(datetime(year, 5, 5, hour, tzinfo=UTC), context)
        return str(found["input_mtok"].base), str(found["output_mtok"].base)

    assert [at(21), at(22), at(5), at(6)] == [("1", "4"), ("0.5", "2"), ("0.5", "2"), ("1", "4")]
    assert at(12, service_tier="flex") == ("0.1", "4")
    assert at(12, 2025, service_tier="flex") == ("1", "4")


def test_at_a_log_door_only_the_models_the_reply_names_count():
    said = Reading(request_model="gpt-4o", response_model="mistral-x", usage=Usage(input_tokens=1, output_tokens=1))
    assert BOOK.charge(exchange(door="log"), said).reason == "no_price"
    assert BOOK.charge(exchange(door="gateway"), said).reason == "price"


def test_a_model_override_is_what_is_priced():
    told = exchange(attribution=stated(model_override="gpt-4o-mini"))
    assert BOOK.charge(told, reading("unheard-of")).price_id == 1


def test_a_compact_date_in_a_model_name_finds_the_written_out_one():
    row = PriceRow(1, "openai", "m", {"equals": "gpt-5-2025-08-07"}, {"input_mtok": "1"}, source=SEED)
    assert PriceBook([row]).find("openai", "GPT-5-20250807", at=NOON) == row


@pytest.mark.parametrize("model", ["models/gpt-4o", "openai/gpt-4o", "models/openai/gpt-4o"])
def test_what_clients_put_before_a_models_name_is_no_part_of_it(model):
    assert BOOK.find("openai", model, at=NOON) == GPT
    assert BOOK.find("openai", f"acme/{model}", at=NOON) is None


def test_azure_falls_back_to_the_lists_its_file_names():
    assert BOOK.find("azure", "gpt-4o", at=NOON) == GPT


def test_whom_the_end_of_a_models_name_says_to_run_it_has_a_price_list_of_its_own():
    row = PriceRow(1, "huggingface_novita", "m", {"equals": "acme/m"}, {"input_mtok": "1"}, source=SEED)
    own = PriceRow(2, "huggingface", "m", {"equals": "acme/m:groq"}, {"input_mtok": "2"}, source="operator")
    book = PriceBook([row, own])
    assert book.find("huggingface", "acme/M:Novita", at=NOON) == row
    assert book.find("huggingface", "acme/m:groq", at=NOON) == own
    for model in ("acme/m", "acme/m:fastest", "acme/m:", ":novita"):
        assert book.find("huggingface", model, at=NOON) is None
    assert book.find("openai", "acme/m:novita", at=NOON) is None


@pytest.mark.parametrize("match", [{}, {"equals": "a", "regex": "b"}, {"like": "a"}, {"regex": "("}, {"equals": 1}])
def test_a_match_that_cannot_be_understood_is_refused(match):
    with pytest.raises(BadPrice):
        matcher(match)


@pytest.mark.parametrize("prices", [{"input_mtok": "-1"}, {"input_mtok": "x"}, {"input_mtok": {"tiers": []}},
                                    {"hours": [{"start": "25:00"}]}])
def test_prices_that_cannot_be_understood_are_refused(prices):
    with pytest.raises(BadPrice):
        compiled(prices)


def test_a_broken_row_does_not_break_the_book():
    bad_match = PriceRow(5, "openai", "m", {"like": "m"}, {}, source=SEED)
    bad_price = PriceRow(6, "openai", "m", {"equals": "m"}, {"input_mtok": "free"}, source=SEED)
    book = PriceBook([bad_match, bad_price])
    assert book.charge(exchange(), reading("m")).reason == "no_price"
    assert book.unreadable.keys() == {5, 6}
