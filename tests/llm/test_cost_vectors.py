"""Costs that other projects' own tests expect: genai-prices' usage bodies and Helicone's cost and usage cases."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from llm.exchange import Exchange, Usage
from llm.parse import parse
from llm.pricing import PriceBook, PriceRow, total
from requests_app import prices
from tests.wire.exchanges import NOON, body, exchange

VECTORS = Path(settings.CORPUS_DIR) / "cost_vectors.jsonl.gz"
pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason="the cost vectors are not here (CORPUS_DIR)")

SLUGS = {"x-ai": "xai", "aws": "bedrock"}
CHAT = "https://api.example.com/v1/chat/completions"
URLS = {
    "anthropic": "https://api.anthropic.com/v1/messages", "responses": "https://api.openai.com/v1/responses",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/models/{model}:generateContent",
    "cohere": "https://api.cohere.com/v2/chat",
    "converse": "https://bedrock-runtime.us-east-1.amazonaws.com/model/{model}/converse",
}  # fmt: skip
HIDDEN_THINKING = "its total tells of tokens the list's package leaves out: thinking, which is charged as output"
FREE_OR_UNKNOWN = "the list has no price for it; the package says 0, we say unknown"
EXCEPTIONS = {
    ("google", "gemini-2.5-pro-preview-05-06"): HIDDEN_THINKING,
    ("cerebras", "qwen-3-coder-480b"): FREE_OR_UNKNOWN,
}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    rows = enumerate(prices.bundled("any"), start=1)
    return PriceBook(
        PriceRow(number, row.provider, row.model_key, row.match, row.prices, None, row.starts_at, row.ends_at,
                 row.priority, row.source)
        for number, row in rows
    )


def vectors(kind: str) -> Iterator[dict[str, Any]]:
    with gzip.open(VECTORS, "rt", encoding="utf-8") as lines:
        yield from (said for line in lines if (said := json.loads(line))["kind"] == kind)


# --- genai-prices -----------------------------------------------------------------------------------------------------


def flavor_of(raw: Mapping[str, Any]) -> str:
    """The API a body is of; a row of the dataset lists every API its numbers could be squeezed through."""
    usage = raw.get("usage") or {}
    if "usageMetadata" in raw:
        return "gemini"
    if "billed_units" in usage or "billed_units" in (raw.get("meta") or {}):
        return "cohere"
    if "inputTokens" in usage:
        return "converse"
    if "input_tokens_details" in usage:
        return "responses"
    if "prompt_tokens" in usage:
        return "chat"
    return "anthropic" if "cache_creation_input_tokens" in usage else "unclear"


FLAVORS = {
    "gemini": {("google", "default")}, "cohere": {("cohere", "default")}, "converse": {("aws", "default")},
    "responses": {("openai", "responses"), ("azure", "responses")},
    "anthropic": {("anthropic", "default"), ("aws", "anthropic"), ("azure", "anthropic"), ("google", "anthropic")},
    "chat": {(name, flavor) for name in (
        "anthropic", "azure", "cerebras", "deepseek", "google", "groq", "mistral", "openai", "openrouter",
        "perplexity", "x-ai", "zai") for flavor in ("chat", "default")},
}  # fmt: skip


def asked(raw: Mapping[str, Any], provider: str, model: str, *, flavor: str) -> Exchange:
    slug = "google-vertex" if (provider, flavor) == ("google", "anthropic") else SLUGS.get(provider, provider)
    url = URLS.get(flavor, CHAT).format(model=model)
    return exchange(provider=slug, url=url, response=body(raw), request=body({"model": model}))


def as_the_package_says_now(said: Mapping[str, Any], model: str) -> float | None:
    """The token cost by the installed package; prices of the day the dataset was made are not all today's."""
    tokens = {key: count for key, count in said["usage"].items() if key != "web_searches"}
    found = calc_price(TheirUsage(**tokens), model, provider_id=said["provider_id"], genai_request_timestamp=NOON)
    return float(found.input_price + found.output_price) * 1e9


def test_usage_bodies_cost_what_the_price_lists_own_dataset_says(book):
    compared, different = set(), {}
    for vector in vectors("cost"):
        raw, flavor = vector.get("raw") or {}, flavor_of(vector.get("raw") or {})
        for said in vector.get("expected", ()):
            source = (said["provider_id"], said["api_flavor"])
            if "input_price" not in said or source not in FLAVORS.get(flavor, ()):
                continue
            model = vector["model"]
            expected = (float(said["input_price"]) + float(said["output_price"])) * 1e9
            now = as_the_package_says_now(said, model)
            if now is None or abs(now - expected) > 1 or (source[0], model) in EXCEPTIONS:
                continue
            cost = token_cost(book, asked(raw, source[0], model, flavor=flavor))
            compared.add((*source, vector["cassette"], model))
            if cost is None or abs(cost - expected) > 1:
                different[*source, model, vector["cassette"]] = (cost, expected)
    assert len(compared) > 500
    assert different == {}


def token_cost(book: PriceBook, told: Exchange) -> int | None:
    reading = replace(parse(told), kind="llm", provider_cost_nano_usd=None)
    charge = book.charge(told, reading)
    if charge.price_id is None:
        return None
    return total(line for line in book.explain(charge.price_id, reading.usage, at=NOON) if not line.is_fee)


# --- Helicone ---------------------------------------------------------------------------------------------------------


HELICONE_SLUGS = {"google-ai-studio": "google", "vertex": "google-vertex", "unknown": "custom"}
THEIR_OWN_PRICE = {
    ("xai", "webSearchCost"): "25 USD per 1,000 sources of Live Search, which is no more; the list has tool calls",
    ("openrouter", "image.outputCost"): "Helicone adds OpenRouter's fee of 5.5 % to the price",
    ("openrouter", "inputCost"): "a line of another test", ("openrouter", "outputCost"): "a line of another test",
    ("openrouter", "cachedInputCost"): "a line of another test",
    ("openrouter", "cacheWrite5mCost"): "a line of another test",
    ("openrouter", "webSearchCost"): "a line of another test",
}  # fmt: skip
LABELS = {"inputCost": "Input", "cachedInputCost": "Cache reads", "outputCost": "Output",
          "image.outputCost": "Image output", "webSearchCost": "Web searches"}  # fmt: skip


def from_helicone(said: Mapping[str, Any]) -> Usage:
    """Their counts are disjoint, ours are totals."""
    cached, image = said.get("cacheDetails", {}).get("cachedInput", 0), said.get("image", {}).get("output", 0)
    return Usage(input_tokens=said["input"] + cached, output_tokens=said["output"] + image,
                 cache_read_tokens=cached, output_image_tokens=image, web_searches=said.get("web_search"))


def test_helicones_cost_cases_cost_the_same_here(book):
    different, compared = {}, 0
    for vector in vectors("cost"):
        if "usage_helicone_shape" not in vector:
            continue
        slug = HELICONE_SLUGS.get(vector["provider"], vector["provider"])
        usage = from_helicone(vector["usage_helicone_shape"])
        row = book.find(slug, vector["model"], at=NOON)
        if "result" in vector["expected_usd"]:
            assert row is None
            continue
        assert row is not None, vector
        lines = book.explain(row.id, usage, at=NOON)
        for name, usd in vector["expected_usd"].items():
            if (vector["provider"], name) in THEIR_OWN_PRICE:
                continue
            cost = total(line for line in lines if name == "totalCost" or line.label == LABELS[name])
            compared += 1
            if abs(cost - usd * 1e9) > 1:
                different[vector["test"], name] = (cost, usd * 1e9)
    assert compared >= 6
    assert different == {}


def test_helicones_usage_cases_are_read_the_same_here():
    compared, different = 0, {}
    for vector in vectors("usage"):
        name = vector["source_path"].rpartition("/")[2]
        url = URLS["anthropic"] if name.startswith("anthropic") else CHAT
        usage = parse(exchange(url=url, response=body(vector["response_body"]))).usage
        ours, theirs = in_helicones_words(usage), said_by(vector["expected_helicone_usage"])
        compared += 1
        if ours != theirs and name not in READ_OTHERWISE:
            different[name] = (ours, theirs)
    assert compared == 12
    assert different == {}


READ_OTHERWISE = {
    "xai-response-reasoning.snapshot": "its total shows that the reasoning is within completion_tokens, not on top",
}


def in_helicones_words(usage: Usage) -> dict[str, int]:
    cached, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    return {
        "input": (usage.input_tokens or 0) - cached - written,
        "output": (usage.output_tokens or 0) - (usage.reasoning_tokens or 0),
        "cached": cached, "written": written, "thinking": usage.reasoning_tokens or 0,
        "web_search": usage.web_searches or 0,
    }  # fmt: skip


def said_by(expected: Mapping[str, Any]) -> dict[str, int]:
    cache = expected.get("cacheDetails", {})
    return {
        "input": expected["input"], "output": expected["output"], "cached": cache.get("cachedInput", 0),
        "written": cache.get("write5m", 0) + cache.get("write1h", 0), "thinking": expected.get("thinking", 0),
        "web_search": expected.get("web_search", 0),
    }  # fmt: skip
