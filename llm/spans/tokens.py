"""Token counts of a span under the names of `llm.semconv`.

Conventions say that totals include cache and reasoning. Who tells a total of all that has room for the cache beside
them, or parts larger than their total, told it without them (`llm.usage.settled`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from lib.frozen import replace
from llm import dialects, semconv, usage
from llm.call import Call, Dialect
from llm.exchange import Usage
from llm.spans.span import Span, number

_FIELDS: Final[Mapping[str, semconv.Names]] = {
    "input_tokens": semconv.INPUT_TOKENS, "output_tokens": semconv.OUTPUT_TOKENS,
    "cache_read_tokens": semconv.CACHE_READ_TOKENS, "cache_write_tokens": semconv.CACHE_WRITE_TOKENS,
    "cache_write_1h_tokens": semconv.CACHE_WRITE_1H_TOKENS, "reasoning_tokens": semconv.REASONING_TOKENS,
    "input_audio_tokens": semconv.INPUT_AUDIO_TOKENS, "output_audio_tokens": semconv.OUTPUT_AUDIO_TOKENS,
    "input_image_tokens": semconv.INPUT_IMAGE_TOKENS, "output_image_tokens": semconv.OUTPUT_IMAGE_TOKENS,
    "web_searches": semconv.WEB_SEARCHES,
}  # fmt: skip
_OWN, _OF_CHILDREN = "gen_ai.usage.", "gen_ai.aggregated_usage."
_AGGREGATED: Final[Mapping[str, semconv.Names]] = {
    field: tuple(_OF_CHILDREN + name.removeprefix(_OWN) for name in names if name.startswith(_OWN))
    for field, names in _FIELDS.items()
}
_SENT_PREFIXES: Final = (
    _OWN, _OF_CHILDREN, "llm.token_count.", "ai.usage.", "llm.usage.", "anthropic.usage.", "langwatch.metrics.",
)
_BARE: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens")
_GOOGLE: Final = ("promptTokenCount", "prompt_token_count", "candidatesTokenCount", "candidates_token_count")
_ANTHROPIC: Final = frozenset({"cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"})
_BEDROCK: Final = frozenset({"cacheReadInputTokens", "cacheWriteInputTokens", "cacheReadInputTokenCount"})


def read(span: Span) -> Usage | None:
    """None where the span tells no count at all."""
    found = _counts(span, _FIELDS) or (_counts(span, _AGGREGATED) if span.has(_OF_CHILDREN) else {})
    if not found:
        return None
    return usage.settled(Usage(**found, sent=sent(span)), span.count(semconv.TOTAL_TOKENS))


def _counts(span: Span, fields: Mapping[str, semconv.Names]) -> dict[str, int]:
    return {field: value for field, names in fields.items() if (value := span.count(names)) is not None}


def sent(span: Span) -> dict[str, Any]:
    """What the span says of usage, in its own words."""
    names = (*(name for name, _ in span.shape.under(_SENT_PREFIXES)), *span.shape.present(_BARE))
    return {name: span.attributes[name] for name in names}


def provided(told: Mapping[str, Any]) -> Usage:
    """A provider's own usage object, whose keys say whose it is: with Anthropic and Bedrock, cache comes on top."""
    if told.keys() & set(_GOOGLE):
        return usage.google(told)
    if told.keys() & _ANTHROPIC and "prompt_tokens" not in told:
        return _anthropic().read(Call(response={"type": "message", "usage": told})).usage
    if told.keys() & _BEDROCK and "promptTokens" not in told:
        return _with_cache(usage.openai(told), told)
    return usage.openai(told)


@cache
def _anthropic() -> Dialect:
    found = dialects.by_name("anthropic_messages")
    assert found is not None, "llm/dialects/anthropic_messages.py is there"
    return found


def _with_cache(found: Usage, told: Mapping[str, Any]) -> Usage:
    own = usage.first(told, usage.INPUT_KEYS)
    cached = (found.cache_read_tokens or 0) + (found.cache_write_tokens or 0)
    return replace(found, input_tokens=None if own is None else own + cached)


def disjoint(told: Mapping[str, Any]) -> Usage:
    """Langfuse's usage_details, whose parts stand beside `input` and `output`: {"input", "input_cached_tokens", …}.

    Where its own total is that of `input` and `output` alone, the parts are inside of them all the same.
    """
    counts = {key: n for key, value in told.items() if (n := number(value)) is not None}
    inputs = {key: n for key, n in counts.items() if key == "input" or key.startswith(("input_", "cache_"))}
    outputs = {key: n for key, n in counts.items() if key == "output" or key.startswith("output_")}
    asked, answered = counts.get("input"), counts.get("output")
    if asked is None or counts.get("total") != asked + (answered or 0):
        asked = sum(inputs.values()) if inputs else None
        answered = sum(outputs.values()) if outputs else None
    return usage.whole(Usage(
        input_tokens=asked, output_tokens=answered, cache_read_tokens=_sum(inputs, ("cached", "cache_read")),
        cache_write_tokens=_sum(inputs, ("cache_creation", "cache_write")),
        reasoning_tokens=_sum(outputs, ("reasoning",)), input_audio_tokens=_sum(inputs, ("audio",)),
        output_audio_tokens=_sum(outputs, ("audio",)), sent=dict(told),
    ))  # fmt: skip


def _sum(counts: Mapping[str, int], words: tuple[str, ...]) -> int | None:
    found = [n for key, n in counts.items() if any(word in key for word in words)]
    return sum(found) if found else None
