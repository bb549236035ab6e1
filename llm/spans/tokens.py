"""Token counts of a span under the names of `llm.semconv`.

Conventions say that totals include cache and reasoning; who tells parts larger than their total told it without them
(`llm.usage.whole`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llm import semconv, usage
from llm.exchange import Usage
from llm.spans.span import Span, number

_FIELDS: Final[Mapping[str, semconv.Names]] = {
    "input_tokens": semconv.INPUT_TOKENS, "output_tokens": semconv.OUTPUT_TOKENS,
    "cache_read_tokens": semconv.CACHE_READ_TOKENS, "cache_write_tokens": semconv.CACHE_WRITE_TOKENS,
    "cache_write_1h_tokens": semconv.CACHE_WRITE_1H_TOKENS, "reasoning_tokens": semconv.REASONING_TOKENS,
    "input_audio_tokens": semconv.INPUT_AUDIO_TOKENS, "output_audio_tokens": semconv.OUTPUT_AUDIO_TOKENS,
    "input_image_tokens": semconv.INPUT_IMAGE_TOKENS, "output_image_tokens": semconv.OUTPUT_IMAGE_TOKENS,
}  # fmt: skip
_SENT_PREFIXES: Final = (
    "gen_ai.usage.", "gen_ai.aggregated_usage.", "llm.token_count.", "ai.usage.", "llm.usage.", "anthropic.usage.",
)  # fmt: skip


def read(span: Span) -> Usage | None:
    """None where the span tells no count at all."""
    found = {field: value for field, names in _FIELDS.items() if (value := span.count(names)) is not None}
    if not found:
        return None
    return usage.whole(Usage(**found, sent=sent(span)))


def sent(span: Span) -> dict[str, Any]:
    """What the span says of usage, in its own words."""
    return {
        key: value
        for key, value in span.attributes.items()
        if key.startswith(_SENT_PREFIXES) or key in _BARE
    }


_BARE: Final = frozenset({"input_tokens", "output_tokens", "cache_read_tokens", "cache_creation_tokens"})


def disjoint(told: Mapping[str, Any]) -> Usage:
    """Langfuse's usage_details, whose parts stand beside `input` and `output`: {"input", "input_cached_tokens", …}."""
    counts = {key: n for key, value in told.items() if (n := number(value)) is not None}
    inputs = {key: n for key, n in counts.items() if key == "input" or key.startswith(("input_", "cache_"))}
    outputs = {key: n for key, n in counts.items() if key == "output" or key.startswith("output_")}
    read_tokens = _sum(inputs, ("cached", "cache_read"))
    written = _sum(inputs, ("cache_creation", "cache_write"))
    return Usage(
        input_tokens=sum(inputs.values()) if inputs else None, output_tokens=sum(outputs.values()) if outputs else None,
        cache_read_tokens=read_tokens, cache_write_tokens=written, reasoning_tokens=_sum(outputs, ("reasoning",)),
        input_audio_tokens=_sum(inputs, ("audio",)), output_audio_tokens=_sum(outputs, ("audio",)), sent=dict(told),
    )  # fmt: skip


def _sum(counts: Mapping[str, int], words: tuple[str, ...]) -> int | None:
    found = [n for key, n in counts.items() if any(word in key for word in words)]
    return sum(found) if found else None
