"""Langfuse's SDKs 2 to 5: `langfuse.observation.*`, JSON packed into text."""

from __future__ import annotations

from typing import Any, Final

from llm import semconv
from llm import usage as counts
from llm.exchange import Usage
from llm.spans import tokens
from llm.spans.span import Span

ORDER = 10
_OF_A_MODEL: Final = (
    "langfuse.observation.model.name", "langfuse.observation.model", "langfuse.observation.usage_details",
    "langfuse.observation.cost_details",
)  # fmt: skip


def kind(span: Span) -> str | None:
    """SDKs up to 3.3 call a generation a span."""
    said = span.text(("langfuse.observation.type",))
    if said == "span" and span.first(_OF_A_MODEL) is not None:
        return "llm"
    return semconv.LANGFUSE_KINDS.get(said.lower(), "span") if said else None


def asked(span: Span) -> Any:
    return span.value("langfuse.observation.input", "langfuse.trace.input")


def answered(span: Span) -> Any:
    return span.value("langfuse.observation.output", "langfuse.trace.output")


def usage(span: Span) -> Usage | None:
    """Langfuse's own shape, whose parts stand beside each other, or what the provider sent."""
    told = span.value("langfuse.observation.usage_details", "langfuse.observation.usage")
    if not isinstance(told, dict) or not told:
        return None
    return tokens.disjoint(told) if told.keys() & {"input", "output"} else counts.openai(told)
