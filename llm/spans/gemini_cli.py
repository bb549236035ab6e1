"""Google's Gemini CLI and its fork Qwen Code: log events of a session, the counts in Gemini's words."""

from __future__ import annotations

from typing import Any, Final

from llm import usage as counts
from llm.exchange import Usage
from llm.spans.span import Span, number

ORDER = 7
MARKS: Final = frozenset({"gemini_cli", "qwen-code"})
_KINDS: Final = {
    "api_response": "llm", "api_error": "llm", "tool_call": "tool", "user_prompt": "event", "agent.finish": "agent",
}  # fmt: skip
_COUNTS: Final = {
    "promptTokenCount": "input_token_count", "candidatesTokenCount": "output_token_count",
    "cachedContentTokenCount": "cached_content_token_count", "thoughtsTokenCount": "thoughts_token_count",
    "toolUsePromptTokenCount": "tool_token_count",
}  # fmt: skip


def _event(span: Span) -> str | None:
    head, _, event = span.name.partition(".")
    return event if head in MARKS else None


def kind(span: Span) -> str | None:
    event = _event(span)
    return None if event is None else _KINDS.get(event, "span")


def asked(span: Span) -> Any:
    return None if _event(span) is None else span.value("function_args", "request_text", "prompt")


def answered(span: Span) -> Any:
    return None if _event(span) is None else span.value("response_text")


def usage(span: Span) -> Usage | None:
    """Thoughts and the prompts of tools come on top of what its counts say."""
    if _event(span) is None:
        return None
    told = {ours: n for ours, name in _COUNTS.items() if (n := number(span.attributes.get(name))) is not None}
    return counts.google(told) if told else None


def bodies(span: Span) -> tuple[Any, Any] | None:
    return None
