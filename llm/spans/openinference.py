"""OpenInference (Arize Phoenix): flattened lists, `input.value` and `output.value`.

https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
"""

from __future__ import annotations

from typing import Any, Final

from llm import semconv
from llm.exchange import Usage
from llm.spans.span import Span

ORDER = 30
MARKS: Final = frozenset({"openinference", "llm", "input", "output", "embedding", "reranker", "retrieval", "tool"})


def kind(span: Span) -> str | None:
    said = span.text(("openinference.span.kind",))
    return semconv.OPENINFERENCE_KINDS.get(said.upper(), "span") if said else None


def asked(span: Span) -> Any:
    said = span.family("llm.input_messages") or _texts(span.family("llm.prompts"), "prompt")
    if said:
        return said
    if (parameters := span.value("tool.parameters")) is not None and span.first(("input.value",)) is None:
        return parameters
    embedded = _texts(span.family("embedding.embeddings"), "embedding")
    return _value(span, "input") or embedded or span.value("reranker.query")


def answered(span: Span) -> Any:
    said = span.family("llm.output_messages") or _texts(span.family("llm.choices"), "completion")
    documents = span.family("retrieval.documents") or span.family("reranker.output_documents")
    return said or documents or _value(span, "output")


def _value(span: Span, side: str) -> Any:
    name = f"{side}.value"
    return span.attributes.get(name) if span.attributes.get(f"{side}.mime_type") == "text/plain" else span.value(name)


def _texts(found: Any, name: str) -> list[Any] | None:
    """[{"prompt": {"text": …}}, …] as texts."""
    if not isinstance(found, list):
        return None
    inner = [item.get(name, item) if isinstance(item, dict) else item for item in found]
    return [item.get("text", item) if isinstance(item, dict) else item for item in inner]


def usage(span: Span) -> Usage | None:
    return None


def bodies(span: Span) -> tuple[Any, Any] | None:
    reply = _value(span, "output")
    return (_value(span, "input"), reply) if isinstance(reply, dict) else None
