"""A stored row knows all that prices depend on: charged again by the same book it costs the same."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import connection

from lib import clock
from llm.exchange import Attribution, CacheHit, Charge, Estimate, PricedExchange, Reading, Usage
from llm.pricing import PriceBook, PriceRow
from requests_app import queries, store
from requests_app.columns import row_of, usage_of
from requests_app.recharge import charge_again, charge_of
from tests.wire.exchanges import NOON, exchange

GPT = PriceRow(
    1, "openai", "gpt-4o", {"starts_with": "gpt-4o"}, {"input_mtok": "2.5", "output_mtok": "10"},
    source="genai-prices 1",
)
DEAL = PriceRow(2, "openai", "deal", {"equals": "gpt-4o"}, {"input_mtok": "1", "output_mtok": "1"}, source="operator")
BOOK = PriceBook([GPT])
USAGE = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=10, images=2, audio_ms=7, billed_input_tokens=9,
              sent={"speed": "fast"})
READING = Reading(request_model="gpt-4o", response_model="gpt-4o", usage=USAGE, service_tier="flex")
SILENT = replace(READING, usage=Usage(), estimate=Estimate(100, 20, "characters"))


def stored(told, reading):
    return row_of(PricedExchange(told, reading, BOOK.charge(told, reading)))


@pytest.mark.parametrize(("given", "reading"), [
    ({}, READING),
    ({}, replace(READING, response_model="unheard-of", request_model=None)),
    ({"attribution": Attribution(model_override="gpt-4o-mini")}, replace(READING, response_model="unheard-of")),
    ({"door": "log"}, replace(READING, response_model="unheard-of")),
    ({"status": 500}, READING),
    ({}, replace(READING, usage=Usage(), error_message="no")),
    ({}, replace(READING, kind="tool")),
    ({}, replace(READING, request_model=None, response_model=None)),
    ({}, replace(READING, provider_cost_nano_usd=5)),
    ({"attribution": Attribution(declared_cost_nano_usd=7)}, READING),
    ({"attribution": Attribution(declared_cost_nano_usd=0)}, replace(READING, usage=Usage())),
    ({"attribution": Attribution(input_nano_usd_per_token=2.0, output_nano_usd_per_token=3.0)}, READING),
    ({}, SILENT),
])
def test_a_row_charged_again_by_the_same_book_costs_the_same(given, reading):
    row = stored(exchange(**given), reading)
    assert charge_again(row, BOOK) == charge_of(row)


def test_a_row_charged_again_takes_the_price_that_holds_now():
    row = stored(exchange(), READING)
    assert charge_again(row, PriceBook([GPT, DEAL])) == Charge(9 * 1000 + 100 * 1000, "price", 2)


def test_what_others_stated_is_theirs_whatever_the_prices():
    row = stored(exchange(), replace(READING, provider_cost_nano_usd=5))
    assert charge_again(row, PriceBook([GPT, DEAL])) == Charge(5, "provider")


def test_a_usage_comes_back_whole_from_its_row():
    assert usage_of(stored(exchange(), READING)) == USAGE
    assert stored(exchange(), replace(READING, usage=Usage(input_tokens=1))).usage_parts is None


@pytest.mark.parametrize(("waited", "saved"), [(2, 998), (400, 600), (1200, 0), (None, 1000)])
def test_an_answer_from_the_cache_saved_what_it_did_not_wait(waited, saved):
    hit = CacheHit(uuid4(), 1000)
    row = stored(exchange(duration_ms=waited, cache_hit=hit), READING)
    assert row.usage_parts == {
        "saved_nano_usd": stored(exchange(), READING).cost_nano_usd, "saved_ms": saved, "saved_input_tokens": 1000,
        "saved_output_tokens": 100,
    }  # fmt: skip
    assert (row.cost_nano_usd, row.input_tokens, row.cached_from) == (0, 0, hit.original)
    assert charge_again(row, PriceBook([DEAL])) == charge_of(row)


@pytest.mark.django_db
def test_what_prices_depend_on_survives_the_table():
    connection.ensure_connection()
    raw = connection.connection
    store.prepare(raw)
    told = [exchange(id=identifier) for identifier in sorted(clock.uuid7(NOON) for _ in range(2))]
    priced = [PricedExchange(one, reading, BOOK.charge(one, reading))
              for one, reading in zip(told, (READING, SILENT), strict=True)]
    store.ensure_partitions(raw, {store.partition_start(told[0].requested_at, 7)}, days=7)
    kept = [change.after for change in store.store(raw, priced).changes]
    found = [queries.one(row.organization_id, str(row.id)) for row in kept]
    assert found == kept
    assert [usage_of(row) for row in found] == [USAGE, Usage()]
    assert [charge_again(row, BOOK) for row in found] == [one.charge for one in priced]
    assert found[1].estimated_cost_nano_usd == 100 * 2500 + 20 * 10_000
