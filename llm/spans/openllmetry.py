"""OpenLLMetry (Traceloop, and Helicone's own async packages): indexed prompts, entities with JSON in and out."""

from __future__ import annotations

from typing import Any, Final

from llm import semconv
from llm.exchange import Usage
from llm.spans.span import Span

ORDER = 50
MARKS: Final = frozenset({"traceloop", "gen_ai", "llm", "db"})


def kind(span: Span) -> str | None:
    if said := span.text(("traceloop.span.kind",)):
        return semconv.TRACELOOP_KINDS.get(said.lower(), "span")
    if said := span.text(("llm.request.type",)):
        return semconv.REQUEST_TYPE_KINDS.get(said.lower())
    return "retriever" if span.first(("db.system", "db.system.name")) else None


def asked(span: Span) -> Any:
    said = span.family("gen_ai.prompt") or span.family("llm.prompts") or span.value("gen_ai.prompt")
    return said or _entity(span, "input")


def answered(span: Span) -> Any:
    said = span.family("gen_ai.completion") or span.family("llm.completions") or span.value("gen_ai.completion")
    return said or _entity(span, "output")


def _entity(span: Span, side: str) -> Any:
    """What a decorated function was called with, or gave: {"inputs"|"outputs": …} or {"args", "kwargs"}."""
    value = span.value(f"traceloop.entity.{side}")
    if isinstance(value, dict) and len(value) == 1:
        return next(iter(value.values()))
    return value


def usage(span: Span) -> Usage | None:
    return None


def bodies(span: Span) -> tuple[Any, Any] | None:
    return None
