"""Langfuse's SDKs 2 to 5: `langfuse.observation.*`, JSON packed into text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llm import loose, semconv
from llm.exchange import Usage
from llm.spans import tokens
from llm.spans.span import Span

ORDER = 10
MARKS: Final = frozenset({"langfuse"})
_OF_A_MODEL: Final = (
    "langfuse.observation.model.name", "langfuse.observation.model", "langfuse.observation.usage_details",
    "langfuse.observation.cost_details",
)  # fmt: skip
_ITEMS: Final = frozenset({"message", "reasoning", "function_call"})
"""Kinds of a Responses item, beside all that end in `_call`."""


def kind(span: Span) -> str | None:
    """SDKs up to 3.3 call a generation a span."""
    said = span.text(("langfuse.observation.type",))
    if said == "span" and span.first(_OF_A_MODEL) is not None:
        return "llm"
    return semconv.LANGFUSE_KINDS.get(said.lower(), "span") if said else None


def asked(span: Span) -> Any:
    return span.value("langfuse.observation.input", "langfuse.trace.input")


def answered(span: Span) -> Any:
    return _response(span) or span.value("langfuse.observation.output", "langfuse.trace.output")


def _response(span: Span) -> dict[str, Any] | None:
    """A reply of OpenAI's Responses, of which Langfuse keeps the output alone: its items, or the only one."""
    told = span.value("langfuse.observation.output")
    items = told if isinstance(told, list) else [told]
    if not items or not all(isinstance(item, dict) and _is_item(item) for item in items):
        return None
    told_status = span.first(("langfuse.observation.metadata.status",))
    status = told_status if span.first(("langfuse.observation.metadata.object",)) == "response" else None
    return {"object": "response", "status": status, "output": items}


def _is_item(item: Mapping[str, Any]) -> bool:
    kind = loose.text(item.get("type"))
    return kind in _ITEMS or (kind.endswith("_call") and ("call_id" in item or "status" in item))


def usage(span: Span) -> Usage | None:
    """Langfuse's own shape, whose parts stand beside each other, or what the provider sent."""
    told = span.value("langfuse.observation.usage_details", "langfuse.observation.usage")
    if not isinstance(told, dict) or not told:
        return None
    return tokens.disjoint(told) if told.keys() & {"input", "output"} else tokens.provided(told)


def bodies(span: Span) -> tuple[Any, Any] | None:
    asked_for = span.value("langfuse.observation.input")
    reply = _response(span) or span.value("langfuse.observation.output")
    return (asked_for, reply) if isinstance(reply, dict) else None
