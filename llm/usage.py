"""Token counts as the OpenAI family and unknown providers send them, turned into totals with parts inside.

Which vendor says what is told by the keys it sends, not by its name, so a new vendor, or one behind a proxy, is
read by the same rules. Where keys alone cannot tell, the sums do (see `_hidden`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from llm import loose
from llm.exchange import Usage

INPUT_KEYS: Final = (
    "prompt_tokens", "input_tokens", "inputTokens", "prompt_token_count", "promptTokens", "prompt_eval_count",
    "inputTokenCount", "promptTokenCount", "inputTextTokenCount",
)
OUTPUT_KEYS: Final = (
    "completion_tokens", "output_tokens", "outputTokens", "generation_token_count", "completionTokens",
    "eval_count", "outputTokenCount", "candidatesTokenCount", "totalOutputTextTokenCount",
)
CACHE_READ_KEYS: Final = (
    "prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "prompt_cache_read_token_count",
    "cache_read_input_tokens", "cacheReadInputTokens", "cachedInputTokens",
)
CACHE_WRITE_KEYS: Final = ("prompt_cache_write_token_count", "cache_creation_input_tokens", "cacheWriteInputTokens")
SEARCH_KEYS: Final = ("num_search_queries", "num_sources_used")
_INPUT_DETAILS: Final = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details")
_OUTPUT_DETAILS: Final = ("completion_tokens_details", "output_tokens_details")


def first(sent: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        if key in sent and (value := loose.count(sent[key])) is not None:
            return value
    return None


def _details(sent: Mapping[str, Any], keys: tuple[str, ...]) -> Mapping[str, Any]:
    for key in keys:
        if isinstance(details := sent.get(key), dict):
            return details
    return {}


def openai(sent: Mapping[str, Any], *, web_searches: int | None = None) -> Usage:
    """Usage of the OpenAI family: `prompt_tokens`/`input_tokens` and friends, with their detail objects."""
    inputs, outputs = _details(sent, _INPUT_DETAILS), _details(sent, _OUTPUT_DETAILS)
    input_tokens, output_tokens = first(sent, INPUT_KEYS), first(sent, OUTPUT_KEYS)
    reasoning = loose.count(outputs.get("reasoning_tokens"))
    if output_tokens is not None:
        output_tokens += _hidden(sent, input_tokens or 0, output_tokens=output_tokens, reasoning=reasoning or 0)
    cache_read = loose.count(inputs.get("cached_tokens"))
    cache_write = loose.count(inputs.get("cache_write_tokens"))
    told = Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=first(sent, CACHE_READ_KEYS) if cache_read is None else cache_read,
        cache_write_tokens=first(sent, CACHE_WRITE_KEYS) if cache_write is None else cache_write,
        cache_write_1h_tokens=loose.count(loose.mapping(inputs.get("cache_write_details")).get("write_1h_tokens")),
        reasoning_tokens=reasoning,
        input_audio_tokens=loose.count(inputs.get("audio_tokens")),
        output_audio_tokens=loose.count(outputs.get("audio_tokens")),
        web_searches=searches(sent) if web_searches is None else web_searches,
        sent=sent,
    )
    return told if _is_confirmed(sent, told) else whole(told)


def _is_confirmed(sent: Mapping[str, Any], told: Usage) -> bool:
    """Whether the provider's own total says that its totals are totals, whatever its parts say."""
    total = loose.count(sent.get("total_tokens"))
    return total is not None and total == (told.input_tokens or 0) + (told.output_tokens or 0)


def _hidden(sent: Mapping[str, Any], input_tokens: int, *, output_tokens: int, reasoning: int) -> int:
    """Output tokens that `total_tokens` knows of and the output count does not.

    xAI leaves reasoning out of completion_tokens; Google's OpenAI door leaves thinking out and does not name it.
    A total below the sum says nothing.
    """
    total = loose.count(sent.get("total_tokens"))
    if total is None:
        return reasoning if reasoning > output_tokens else 0
    missing = total - input_tokens - output_tokens
    return missing if missing > 0 and (missing == reasoning or not reasoning) else 0


def searches(sent: Mapping[str, Any]) -> int | None:
    for key in ("server_tool_use", "server_tool_use_details"):
        if isinstance(tools := sent.get(key), dict):
            return loose.count(tools.get("web_search_requests"))
    return first(sent, SEARCH_KEYS)


def generic(body: Mapping[str, Any]) -> Usage | None:
    """Usage of a reply no dialect knows: a `usage`-like object, or counts at the root; None where there is none."""
    for key in ("usage", "usageMetadata", "usage_metadata", "amazon-bedrock-invocationMetrics"):
        if isinstance(sent := body.get(key), dict) and _tells(sent):
            return openai(sent)
    if not _tells(body):
        return None
    keys = {*INPUT_KEYS, *OUTPUT_KEYS, *CACHE_READ_KEYS, *CACHE_WRITE_KEYS}
    return openai({key: value for key, value in body.items() if key in keys})


def _tells(sent: Mapping[str, Any]) -> bool:
    return first(sent, INPUT_KEYS) is not None or first(sent, OUTPUT_KEYS) is not None


def whole(usage: Usage) -> Usage:
    """`usage` with totals that hold their parts: where parts exceed a total, the provider told it without them."""
    cache = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
    is_short_in = cache > (usage.input_tokens or 0) and usage.input_tokens is not None
    is_short_out = (usage.reasoning_tokens or 0) > (usage.output_tokens or 0) and usage.output_tokens is not None
    if not is_short_in and not is_short_out and not _has_loose_parts(usage):
        return usage
    return _raised(usage, is_short_in=is_short_in, is_short_out=is_short_out)


def is_odd(usage: Usage) -> bool:
    """Whether some part is larger than the total it belongs to."""
    return _has_loose_parts(usage) or (
        (usage.reasoning_tokens or 0) > (usage.output_tokens or 0)
        or (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0) > (usage.input_tokens or 0)
    )


def _has_loose_parts(usage: Usage) -> bool:
    return (
        (usage.cache_write_1h_tokens or 0) > (usage.cache_write_tokens or 0)
        or (usage.input_audio_tokens or 0) > (usage.input_tokens or 0)
        or (usage.output_audio_tokens or 0) > (usage.output_tokens or 0)
        or (usage.input_tokens is None and bool(usage.cache_read_tokens or usage.cache_write_tokens))
        or (usage.output_tokens is None and bool(usage.reasoning_tokens))
    )


def _raised(usage: Usage, *, is_short_in: bool, is_short_out: bool) -> Usage:
    cache_write = _at_least(usage.cache_write_tokens, usage.cache_write_1h_tokens)
    cache = (usage.cache_read_tokens or 0) + (cache_write or 0)
    input_tokens = (usage.input_tokens or 0) + cache if is_short_in else _at_least(usage.input_tokens, cache or None)
    output = (usage.output_tokens or 0) + (usage.reasoning_tokens or 0) if is_short_out else usage.output_tokens
    return Usage(
        input_tokens=_at_least(input_tokens, usage.input_audio_tokens),
        output_tokens=_at_least(_at_least(output, usage.reasoning_tokens), usage.output_audio_tokens),
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=cache_write,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        input_audio_tokens=usage.input_audio_tokens,
        output_audio_tokens=usage.output_audio_tokens,
        web_searches=usage.web_searches,
        sent=usage.sent,
    )


def _at_least(total: int | None, part: int | None) -> int | None:
    """`total` raised to `part`; a part of 0 says nothing about an untold total."""
    return total if not part else max(total or 0, part)


# --- cost the provider declares ---------------------------------------------------------------------------------------

_TICKS_PER_NANO_USD = Decimal(10)
_LARGEST_COST = Decimal(10) ** 15


def declared_cost(sent: Mapping[str, Any]) -> int | None:
    """Nano-USD the provider itself states: OpenRouter `cost`, Perplexity `cost.total_cost`, xAI `cost_in_usd_ticks`."""
    if (ticks := _decimal(sent.get("cost_in_usd_ticks"))) is not None:
        return _nano(ticks / _TICKS_PER_NANO_USD)
    cost = sent.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    usd = _decimal(cost)
    if not usd and (upstream := _decimal(loose.mapping(sent.get("cost_details")).get("upstream_inference_cost"))):
        usd = upstream
    return None if usd is None else _nano(usd * 10**9)


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < _LARGEST_COST else None


def _nano(amount: Decimal) -> int | None:
    return int(amount.to_integral_value()) if amount < _LARGEST_COST else None
