"""What AWS says of a call beside the vendor's own reply: token counts in headers and at the end of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lib.frozen import replace
from llm import loose, usage
from llm.call import Call
from llm.exchange import Usage

METRICS: Final = "amazon-bedrock-invocationMetrics"
_HEADER: Final = "x-amzn-bedrock-{}-token-count"
_NAMES: Final = (
    ("inputTokens", "input"), ("outputTokens", "output"),
    ("cacheReadInputTokens", "cache-read-input"), ("cacheWriteInputTokens", "cache-write-input"),
)
_ONE_HOUR: Final = "1h"


def told_beside(call: Call) -> Usage | None:
    """Counts of a call whose reply has none: of its headers, else of the stream's closing metrics."""
    sent = {key: int(text) for key, name in _NAMES if (text := _digits(call.response_headers, name))}
    if not sent:
        told = (event[METRICS] for event in (call.response, *reversed(call.events))
                if isinstance(event, dict) and METRICS in event)
        sent = _metrics(loose.mapping(next(told, None)))
    return counts(sent) if sent else None


def completed(told: Usage, call: Call) -> Usage:
    """`told` with a total it leaves out (a guardrail that stepped in tells only the input) from beside the reply."""
    beside = told_beside(call) if told.input_tokens is None or told.output_tokens is None else None
    if beside is None:
        return told
    input_tokens = beside.input_tokens if told.input_tokens is None else told.input_tokens
    output_tokens = beside.output_tokens if told.output_tokens is None else told.output_tokens
    return replace(told, input_tokens=input_tokens, output_tokens=output_tokens)


def _digits(headers: Mapping[str, str], name: str) -> str:
    text = headers.get(_HEADER.format(name), "")
    return text if text.isdecimal() and len(text) < 10 else ""


def _metrics(told: Mapping[str, Any]) -> dict[str, int]:
    """Invocation metrics by the names usage has elsewhere: `inputTokenCount` is `inputTokens`."""
    found = {key: loose.count(told.get(key.removesuffix("Tokens") + "TokenCount")) for key, _ in _NAMES}
    return {key: count for key, count in found.items() if count is not None}


def counts(sent: Mapping[str, Any]) -> Usage:
    """Converse's usage. Its `inputTokens` leaves the cache out, which stands beside it under two names."""
    read = usage.first(sent, ("cacheReadInputTokens", "cacheReadInputTokenCount"))
    write = usage.first(sent, ("cacheWriteInputTokens", "cacheWriteInputTokenCount"))
    own = loose.count(sent.get("inputTokens"))
    return usage.whole(Usage(
        input_tokens=None if own is None else own + (read or 0) + (write or 0),
        output_tokens=loose.count(sent.get("outputTokens")),
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=_lasting(sent.get("cacheDetails")),
        sent=sent,
    ))


def _lasting(details: Any) -> int | None:
    """Tokens kept for an hour, where the provider tells how long it keeps what."""
    kept = [loose.count(item.get("inputTokens")) for item in loose.mappings(details) if item.get("ttl") == _ONE_HOUR]
    return sum(count or 0 for count in kept) if kept else None
