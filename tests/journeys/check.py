"""What must be true of a stored row, counted from the outside: by what the client got and public prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from genai_prices import Usage, calc_price
from pytest import approx

NO_CACHE = "00000000-0000-0000-0000-000000000000"


def price(provider: str, model: str, **tokens: int) -> Decimal:
    """USD, by genai-prices itself."""
    return calc_price(Usage(**tokens), model, provider_id=provider).total_price


def openai_chat_row(row: dict[str, Any], reply, *, requested: str) -> None:
    """The row says what an OpenAI chat reply with usage says; its counts are Helicone's: parts apart."""
    usage = reply.usage
    cached, reasoned = usage.prompt_tokens_details.cached_tokens, usage.completion_tokens_details.reasoning_tokens
    assert row["provider"] == "OPENAI"
    assert row["model"] in {reply.model, requested}
    assert row["request_model"] == requested
    assert row["response_status"] == 200
    assert row["prompt_tokens"] + (row["prompt_cache_read_tokens"] or 0) == usage.prompt_tokens
    assert row["completion_tokens"] + (row["reasoning_tokens"] or 0) == usage.completion_tokens
    assert (row["prompt_cache_read_tokens"] or 0) == cached
    assert (row["reasoning_tokens"] or 0) == reasoned
    expected = price(
        "openai",
        reply.model,
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=cached,
        output_tokens=usage.completion_tokens,
    )
    assert row["cost"] == approx(float(expected), rel=1e-6)
    assert row["cost"] > 0


def anthropic_row(row: dict[str, Any], message, *, requested: str) -> None:
    """The row says what an Anthropic message says."""
    usage = message.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    assert row["provider"] == "ANTHROPIC"
    assert row["model"] in {message.model, requested}
    assert row["response_status"] == 200
    assert row["prompt_tokens"] == usage.input_tokens
    assert row["completion_tokens"] + (row["reasoning_tokens"] or 0) == usage.output_tokens
    assert (row["prompt_cache_read_tokens"] or 0) == read
    assert (row["prompt_cache_write_tokens"] or 0) == written
    expected = price(
        "anthropic",
        message.model,
        input_tokens=usage.input_tokens + read + written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=usage.output_tokens,
    )
    assert row["cost"] == approx(float(expected), rel=1e-6)
    assert row["cost"] > 0


def attribution(row: dict[str, Any], *, user: str, session: str, path: str, properties: dict[str, str]) -> None:
    """Who and what the call belongs to, as its client declared it."""
    assert row["request_user_id"] == user
    held = {name.lower(): value for name, value in row["request_properties"].items()}
    assert held["helicone-session-id"] == session
    assert held["helicone-session-path"] == path
    for name, value in properties.items():
        assert held[name.lower()] == value
