"""Claude Code and its Agent SDK: spans of scope `com.anthropic.claude_code.tracing`, and the same as log events."""

from __future__ import annotations

from typing import Any, Final

from llm import usage as counts
from llm.exchange import Usage
from llm.spans import tokens
from llm.spans.span import Span

ORDER = 5
MARKS: Final = frozenset({"claude_code"})
_KINDS: Final = {
    "interaction": "agent", "llm_request": "llm", "api_request": "llm", "tool": "tool",
    "tool_result": "tool",
}  # fmt: skip


def _event(span: Span) -> str | None:
    """The last word of the name, for spans and events of Claude Code alone."""
    return span.name.removeprefix("claude_code.") if span.name.startswith("claude_code.") else None


def kind(span: Span) -> str | None:
    event = _event(span)
    return None if event is None else _KINDS.get(event, "span")


def asked(span: Span) -> Any:
    if _event(span) is None:
        return None
    return span.value("new_context", "user_prompt", "tool_input", "tool_parameters", "prompt", "system_prompt_preview")


def answered(span: Span) -> Any:
    if _event(span) is None:
        return None
    return span.value("response.model_output", "tool_result", "response") or span.event("tool.output").get("output")


def usage(span: Span) -> Usage | None:
    """Anthropic's way: `input_tokens` is without cache."""
    if _event(span) is None or span.count(("input_tokens", "output_tokens")) is None:
        return None
    fresh, read, written = (span.count((f"{name}_tokens",)) for name in ("input", "cache_read", "cache_creation"))
    return counts.whole(Usage(
        input_tokens=(fresh or 0) + (read or 0) + (written or 0), output_tokens=span.count(("output_tokens",)),
        cache_read_tokens=read, cache_write_tokens=written, sent=tokens.sent(span),
    ))  # fmt: skip


def bodies(span: Span) -> tuple[Any, Any] | None:
    return None
