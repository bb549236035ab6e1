"""OpenAI's Codex: a turn with its token usage, and log events of a conversation."""

from __future__ import annotations

from typing import Any, Final

from llm import usage as counts
from llm.exchange import Usage
from llm.spans.span import Span, number

ORDER = 6
MARKS: Final = frozenset({"codex"})
_USAGE: Final = "codex.turn.token_usage."
_KINDS: Final = {
    "codex.sse_event": "llm", "codex.api_request": "span", "codex.tool_result": "tool",
    "codex.user_prompt": "event",
}  # fmt: skip


def kind(span: Span) -> str | None:
    if span.has(_USAGE):
        return "llm"
    if span.name == "codex.sse_event" and span.first(("input_token_count",)) is None:
        return "event"
    return _KINDS.get(span.name, "span") if span.name.startswith("codex.") else None


def asked(span: Span) -> Any:
    return span.value("prompt", "arguments") if span.name.startswith("codex.") else None


def answered(span: Span) -> Any:
    return span.value("output") if span.name.startswith("codex.") else None


def usage(span: Span) -> Usage | None:
    told = {key.removeprefix(_USAGE): n for key, value in span.attributes.items()
            if key.startswith(_USAGE) and (n := number(value)) is not None}
    if not told:
        told = {key.removesuffix("_token_count") + "_tokens": n for key, value in span.attributes.items()
                if key.endswith("_token_count") and (n := number(value)) is not None}
    if not told:
        return None
    return counts.whole(Usage(
        input_tokens=told.get("input_tokens"), output_tokens=told.get("output_tokens"),
        cache_read_tokens=told.get("cached_input_tokens", told.get("cached_tokens")),
        cache_write_tokens=told.get("cache_write_input_tokens"),
        reasoning_tokens=told.get("reasoning_output_tokens", told.get("reasoning_tokens")), sent=told,
    ))  # fmt: skip


def bodies(span: Span) -> tuple[Any, Any] | None:
    return None
