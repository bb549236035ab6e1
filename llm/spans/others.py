"""SDKs with a few names of their own: MLflow, LangWatch, Laminar, Genkit, LiveKit, Google ADK, LangSmith, LiteLLM."""

from __future__ import annotations

from typing import Any, Final

from llm.exchange import Usage
from llm.spans.span import Span

ORDER = 90
_KIND_KEYS: Final = ("mlflow.spanType", "langwatch.span.type", "lmnr.span.type", "langsmith.span.kind", "span.type")
_KINDS: Final = {
    "llm": "llm", "chat_model": "llm", "generation": "llm", "embedding": "embedding", "embeddings": "embedding",
    "agent": "agent", "tool": "tool", "retriever": "retriever", "rag": "retriever", "chain": "chain",
    "workflow": "workflow", "reranker": "rerank", "guardrail": "guardrail", "evaluation": "evaluator",
    "evaluator": "evaluator", "task": "chain",
}  # fmt: skip
_ASKED: Final = (
    "mlflow.spanInputs", "langwatch.input", "lmnr.span.input", "genkit:input", "gcp.vertex.agent.llm_request",
    "gcp.vertex.agent.tool_call_args", "lk.user_transcript", "lk.chat_ctx", "lk.input_text", "db.query.text",
    "db.statement",
    "input.value", "input",
)  # fmt: skip
_ANSWERED: Final = (
    "mlflow.spanOutputs", "langwatch.output", "lmnr.span.output", "genkit:output", "gcp.vertex.agent.llm_response",
    "gcp.vertex.agent.tool_response", "lk.response.text", "lk.function_tool.output", "output.value", "output",
)  # fmt: skip
_EMPTY: Final = ("{}", "null")
"""What Google's ADK writes where there is nothing."""


def kind(span: Span) -> str | None:
    said = span.text(_KIND_KEYS)
    if said:
        return _KINDS.get(said.lower())
    return "retriever" if span.first(("db.system", "db.system.name")) else None


def asked(span: Span) -> Any:
    return _said(span, _ASKED)


def answered(span: Span) -> Any:
    return _said(span, _ANSWERED)


def _said(span: Span, names: tuple[str, ...]) -> Any:
    present = [name for name in names if span.attributes.get(name) not in _EMPTY]
    return span.value(*present)


def usage(span: Span) -> Usage | None:
    return None
