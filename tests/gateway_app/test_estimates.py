"""What a call may cost at most: from its bytes, the bound it sets, and the price of its model."""

from __future__ import annotations

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app import sessions, spending
from llm.exchange import Attribution
from llm.pricing import PriceBook, PriceRow

NOBODY = Attribution()
URL = "https://api.openai.com/v1/chat/completions?x=1"
PRICES = PriceBook([
    PriceRow(1, "openai", "m", {"equals": "m"}, {"input_mtok": "2", "output_mtok": "10"}, source="genai-prices 1"),
    PriceRow(2, "", "m", {"equals": "m"}, {"input_mtok": "1", "output_mtok": "1"}, organization_id=7),
    PriceRow(3, "google", "t", {"starts_with": "t"}, {
        "input_mtok": {"base": "1", "tiers": [{"start": 200_000, "price": "4"}]}, "output_mtok": "8",
    }, source="genai-prices 1"),
])  # fmt: skip


def cost(body, *, url=URL, provider="openai", organization_id=1, told=NOBODY):
    sent = orjson.dumps(body)
    asking = spending.read(url, sent, told)
    found = spending.estimate(asking, PRICES, provider=provider, organization_id=organization_id, attribution=told)
    return found.nano_usd, -(-len(sent) // 4)


def test_tokens_in_and_out_at_the_models_price():
    found, sent = cost({"model": "m", "max_tokens": 50})
    assert found == sent * 2000 + 50 * 10_000


def test_an_organizations_own_price_wins():
    found, sent = cost({"model": "m", "max_tokens": 50}, organization_id=7)
    assert found == (sent + 50) * 1000


def test_the_clients_own_prices_win_over_all():
    told = Attribution(input_nano_usd_per_token=3.0, output_nano_usd_per_token=0.5)
    found, sent = cost({"model": "nobody's", "max_tokens": 50}, told=told)
    assert found == sent * 3 + 25


def test_of_tiers_the_dearest_counts():
    found, sent = cost({"model": "t1", "max_tokens": 1}, provider="google")
    assert found == sent * 4000 + 8000


def test_a_model_in_the_address_counts():
    url = "https://generativelanguage.googleapis.com/v1beta/models/t1:generateContent"
    found, sent = cost({"generationConfig": {"maxOutputTokens": 3}}, url=url, provider="google")
    assert found == sent * 4000 + 3 * 8000


@pytest.mark.parametrize("body", [{"model": "unheard"}, {"max_tokens": 1}, [1], "text", {"model": 5}])
def test_without_a_price_nothing_is_guessed(body):
    assert cost(body)[0] is None


@pytest.mark.parametrize(
    ("bound", "tokens"),
    [
        ({"max_completion_tokens": 9}, 9), ({"max_tokens": 9, "max_completion_tokens": 20}, 20),
        ({"max_output_tokens": 9}, 9), ({"inferenceConfig": {"maxTokens": 9}}, 9), ({"options": {"num_predict": 9}}, 9),
        ({"max_tokens": 9, "n": 3}, 27), ({"generationConfig": {"maxOutputTokens": 2, "candidateCount": 2}}, 4),
        ({}, 4096), ({"max_tokens": True}, 4096), ({"max_tokens": -1}, 4096), ({"options": {"num_predict": -1}}, 4096),
    ],
)  # fmt: skip
def test_the_bound_of_an_answer_is_found_in_every_dialect(bound, tokens):
    assert spending.output_tokens(bound) == tokens


def test_a_picture_is_no_text():
    picture = base64.b64encode(bytes(range(256)) * 4000)
    text = b'{"messages": "' + b"word " * 2000 + b'"}'
    assert spending.input_tokens(text + picture) == -(-len(text) // 4) + spending.PICTURE_TOKENS
    assert spending.input_tokens("漢字".encode() * 1000) == 2400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["messages", "input", "contents", "tool_calls", "function", "content", "parts", "type", "id",
                         "functionCall", "toolUse", "name", "arguments", "max_tokens", "n", "model", "metadata"]),
        inner, max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@given(json_values)
def test_whatever_a_body_says_it_can_be_read(value):
    asking = spending.read(URL, orjson.dumps(value), NOBODY)
    spending.estimate(asking, PRICES, provider="openai", organization_id=1, attribution=NOBODY)
    caps = sessions.SessionCaps(max_repeats=2, max_calls=3)
    found = sessions.bounded(1, "s", caps, path="//a/b/", body=asking.body, estimate=1)
    found.look()
    assert len(found.tools) == 2 * int(found.numbers.split()[5])
    assert found.depth == 2
