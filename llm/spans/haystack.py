"""deepset's Haystack: a span a component, named by its class; what went in and came out where content is traced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llm import loose
from llm.exchange import Usage
from llm.spans.span import Span

ORDER = 60
MARKS: Final = frozenset({"haystack"})
_KINDS: Final = (
    ("Generator", "llm"), ("Embedder", "embedding"), ("Retriever", "retriever"), ("Ranker", "rerank"),
    ("ToolInvoker", "tool"), ("Agent", "agent"), ("Evaluator", "evaluator"),
)  # fmt: skip
"""How a component's class ends."""


def kind(span: Span) -> str | None:
    said = span.text(("haystack.component.type",))
    if said is None:
        return "workflow" if span.name == "haystack.pipeline.run" else None
    return next((kind for end, kind in _KINDS if said.endswith(end)), "chain")


def asked(span: Span) -> Any:
    given = span.value("haystack.component.input", "haystack.tool.input", "haystack.pipeline.input_data")
    told = loose.mapping(given)
    return next((told[key] for key in ("messages", "prompt", "query", "text") if told.get(key)), given)


def answered(span: Span) -> Any:
    found = span.value("haystack.component.output", "haystack.tool.output", "haystack.pipeline.output_data")
    told = loose.mapping(found)
    return next((told[key] for key in ("replies", "documents", "messages") if told.get(key)), found)


def usage(span: Span) -> Usage | None:
    return None


def bodies(span: Span) -> tuple[Any, Any] | None:
    """As a chat completion, whose words the `meta` of replies has: model, finish reason, counts."""
    told = loose.mapping(span.value("haystack.component.output"))
    metas = _metas(told)
    if not metas:
        return None
    choices = [
        {"index": n, "message": {"role": "assistant"}, "finish_reason": meta.get("finish_reason")}
        for n, meta in enumerate(metas)
    ]
    reply = {"object": "chat.completion", "model": metas[0].get("model"), "choices": choices,
             "usage": metas[0].get("usage")}  # fmt: skip
    return {}, {key: value for key, value in reply.items() if value}


def _metas(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is told of every reply, in it or beside all."""
    inside = [loose.mapping(reply.get("meta")) for reply in loose.mappings(told.get("replies"))]
    return [meta for meta in (*inside, *loose.mappings(told.get("meta")), loose.mapping(told.get("meta"))) if meta]

