"""How a cost was reached, shown line by line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from requests_app.billing import bill
from requests_app.models import ModelPrice
from tests.requests_app import factories

pytestmark = pytest.mark.django_db
PRICES = {"input_mtok": "2.5", "cache_read_mtok": "1.25", "output_mtok": "10"}


def price(**values) -> ModelPrice:
    said = {"provider": "openai", "model_key": "gpt-4o", "match": {"equals": "gpt-4o"}, "prices": PRICES}
    return ModelPrice.objects.create(**{**said, "source": "genai-prices 1", **values})


def test_the_lines_of_a_bill_add_up_to_the_cost_of_the_row():
    row = factories.make_row(1, price_id=price().pk, input_tokens=1204, cache_read_tokens=812, output_tokens=310)
    found = bill(row)
    assert [(line.label, line.quantity) for line in found.lines] == [
        ("Input", 392),
        ("Cache reads", 812),
        ("Output", 310),
    ]
    assert sum(line.amount_nano_usd for line in found.lines) == 392 * 2500 + 812 * 1250 + 310 * 10_000


def test_a_replaced_price_row_still_explains_what_was_charged_at_it():
    old = price(is_current=False, starts_at=datetime(2026, 1, 1, tzinfo=UTC))
    found = bill(factories.make_row(1, price_id=old.pk))
    assert found.lines
    assert found.source == "gpt-4o (genai-prices 1, since 2026-01-01)"


def test_without_a_price_row_the_reason_stands_alone():
    assert bill(factories.make_row(1, cost_nano_usd=None, cost_reason="no_price")).words.startswith("no price is known")
    assert bill(factories.make_row(1, price_id=10**9)).lines == ()


def test_a_price_row_nobody_can_read_any_more_is_said_not_raised():
    broken = price(prices={"input_mtok": "much"})
    found = bill(factories.make_row(1, price_id=broken.pk))
    assert found.lines == ()
    assert "cannot be read any more" in found.words


def test_what_an_advisor_took_has_lines_of_its_own():
    own = price(provider="anthropic", model_key="sonnet", match={"equals": "sonnet"})
    opus = {"input_mtok": "5", "output_mtok": "25"}
    price(provider="anthropic", model_key="opus", match={"equals": "opus"}, prices=opus)
    runs = [{"type": "advisor_message", "model": "opus", "input_tokens": 100, "output_tokens": 20}]
    row = factories.make_row(1, provider="anthropic", price_id=own.pk, input_tokens=10, output_tokens=1,
                             cache_read_tokens=None, usage={"iterations": runs})
    lines = {line.label: line.amount_nano_usd for line in bill(row).lines}
    assert lines == {"Input": 25_000, "Output": 10_000, "Input, advisor opus": 500_000, "Output, advisor opus": 500_000}


SENT = {"prompt_tokens": 1204, "completion_tokens": 310, "prompt_tokens_details": {"cached_tokens": 812}}


def test_a_bill_tells_which_of_the_providers_numbers_each_count_came_from():
    row = factories.make_row(1, price_id=price().pk, cache_read_tokens=812, usage=SENT, service_tier="flex")
    found = bill(row)
    assert [(source.label, [term.path for term in source.terms]) for source in found.counts] == [
        ("Input tokens", ["prompt_tokens"]),
        ("of them read from cache", ["prompt_tokens_details.cached_tokens"]),
        ("Output tokens", ["completion_tokens"]),
    ]
    assert found.tiers == (("service tier", "flex"),)
    assert found.total == 392 * 2500 + 812 * 1250 + 310 * 10_000


@pytest.mark.parametrize(("reason", "advice"), [
    ("no_price", "Add a price"), ("no_model", "Helicone-Model-Override"), ("no_usage", "providerResponse"),
])
def test_an_unknown_cost_comes_with_what_to_do(reason, advice):
    assert advice in bill(factories.make_row(1, cost_nano_usd=None, cost_reason=reason)).advice


def test_a_stream_without_usage_says_how_to_ask_for_it():
    row = factories.make_row(1, cost_nano_usd=None, cost_reason="no_usage", is_stream=True)
    assert "include_usage" in bill(row).words
    assert "Helicone-Stream-Usage" in bill(row).advice


def test_a_known_cost_needs_no_advice():
    assert bill(factories.make_row(1, price_id=price().pk)).advice == ""
