"""SDKs with a few names of their own: MLflow, LangWatch, Laminar, Genkit, LiveKit, Google ADK, LangSmith, LiteLLM,
Mastra, Spring AI, Braintrust."""

from __future__ import annotations

from typing import Any, Final

from llm import loose
from llm.exchange import Usage
from llm.spans import tokens
from llm.spans.span import Span, says

ORDER = 90
MARKS: Final[frozenset[str]] = frozenset()
_KIND_KEYS: Final = (
    "mlflow.spanType", "langwatch.span.type", "lmnr.span.type", "langsmith.span.kind", "genkit:metadata:subtype",
    "mastra.span.type", "spring.ai.kind", "span.type",
)  # fmt: skip
_KINDS: Final = {
    "llm": "llm", "chat_model": "llm", "generation": "llm", "model": "llm", "embedding": "embedding",
    "embeddings": "embedding", "embedder": "embedding", "agent": "agent", "tool": "tool", "retriever": "retriever",
    "rag": "retriever", "chain": "chain", "workflow": "workflow", "flow": "workflow", "reranker": "rerank",
    "guardrail": "guardrail", "evaluation": "evaluator", "evaluator": "evaluator", "task": "chain", "prompt": "chain",
    "executor": "chain", "parser": "chain", "module": "chain", "default": "span", "util": "chain",
    "agent_run": "agent", "model_generation": "llm", "llm_generation": "llm", "model_step": "llm",
    "model_inference": "llm", "model_chunk": "span", "llm_chunk": "span", "tool_call": "tool", "mcp_tool_call": "tool",
    "workflow_run": "workflow", "workflow_step": "chain", "processor_run": "chain", "generic": "span",
    "chat_client": "chain", "advisor": "chain", "vector_store": "retriever", "score": "evaluator", "eval": "evaluator",
}  # fmt: skip
_MASTRA: Final = ("agent_run", "workflow_run", "workflow_step", "tool_call", "mcp_tool_call", "model_generation",
                  "llm_generation", "model_step", "processor_run", "generic")  # fmt: skip
_LIVEKIT: Final = {"llm_request": "llm", "llm_node": "chain", "agent_turn": "agent", "function_tool": "tool"}
_ASKED: Final = (
    "mlflow.spanInputs", "langwatch.input", "lmnr.span.input", "genkit:input", "gcp.vertex.agent.llm_request",
    "gcp.vertex.agent.tool_call_args", "lk.user_transcript", "lk.chat_ctx", "lk.input_text", "lk.function_tool.args",
    *(f"mastra.{one}.input" for one in _MASTRA), "spring.ai.tool.call.arguments", "braintrust.input_json",
    "db.vector.query.content", "db.query.text", "db.statement", "input.value", "input",
)  # fmt: skip
_ANSWERED: Final = (
    "mlflow.spanOutputs", "langwatch.output", "lmnr.span.output", "genkit:output", "gcp.vertex.agent.llm_response",
    "gcp.vertex.agent.tool_response", "lk.response.text", "lk.function_tool.output",
    *(f"mastra.{one}.output" for one in _MASTRA), "spring.ai.tool.call.result", "braintrust.output_json",
    "db.vector.query.response.documents", "output.value", "output",
)  # fmt: skip
_CALLS: Final = ("lk.response.function_calls",)
_WHOLE: Final = (
    ("mlflow.spanInputs", "mlflow.spanOutputs"), ("gcp.vertex.agent.llm_request", "gcp.vertex.agent.llm_response"),
    ("lmnr.span.input", "lmnr.span.output"), ("input", "output"),
)  # fmt: skip
_EMPTY: Final = ("{}", "null", '""')
"""What Google's ADK writes where there is nothing."""


def kind(span: Span) -> str | None:
    said = span.text(_KIND_KEYS)
    said = said or loose.name(loose.mapping(span.value("braintrust.span_attributes")).get("type"))
    if said:
        return _KINDS.get(said.lower())
    if span.has("gcp.vertex.agent."):
        return _adk(span)
    if span.has("lk."):
        return _LIVEKIT.get(span.name)
    return "retriever" if span.first(("db.system", "db.system.name")) else None


def _adk(span: Span) -> str | None:
    if span.attributes.get("gcp.vertex.agent.llm_request", "{}") not in _EMPTY:
        return "llm"
    is_tool = span.attributes.get("gcp.vertex.agent.tool_call_args", "{}") not in _EMPTY
    return "tool" if is_tool or span.name.startswith("execute_tool") else None


def asked(span: Span) -> Any:
    return _said(span, _ASKED)


def answered(span: Span) -> Any:
    said = _said(span, _ANSWERED)
    calls = span.value(*_CALLS)
    if isinstance(calls, list) and calls:
        return [{"role": "assistant", "content": said, "tool_calls": calls}]
    return said


def _said(span: Span, names: tuple[str, ...]) -> Any:
    for name in span.shape.present(names):
        if says(sent := span.attributes[name]) and sent not in _EMPTY:
            found = span.packed(name)
            return _unwrapped(found) if isinstance(found, dict) else found
    return None


def _unwrapped(value: dict[str, Any]) -> Any:
    """LangWatch's {"type", "value"}, Genkit's reply {"message", "finishReason", …}, LiveKit's {"items"}."""
    if value.keys() == {"type", "value"}:
        return value["value"]
    if isinstance(items := value.get("items"), list):
        return [item for item in items if not isinstance(item, dict) or item.get("type") != "agent_handoff"]
    return value["message"] if isinstance(value.get("message"), dict) and "finishReason" in value else value


def usage(span: Span) -> Usage | None:
    """MLflow's token usage, LangWatch's metrics, Genkit's and LangSmith's usage objects."""
    told = span.value("mlflow.chat.tokenUsage", "langsmith.usage_metadata", "langwatch.metrics", "braintrust.metrics")
    if not isinstance(told, dict):
        told = loose.mapping(loose.mapping(span.value("genkit:output")).get("usage"))
    found = tokens.provided(_plain(told)) if told else None
    return None if found is None or (found.input_tokens, found.output_tokens) == (None, None) else found


_OWN_WORDS: Final = {
    "cachedContentTokens": "cached_tokens", "thoughtsTokens": "reasoning_tokens",
    "prompt_cached_tokens": "cached_tokens", "prompt_cache_creation_tokens": "cache_creation_input_tokens",
    "completion_reasoning_tokens": "reasoning_tokens",
}  # fmt: skip
"""Genkit's and Braintrust's names of parts."""


def _plain(told: dict[str, Any] | Any) -> dict[str, Any]:
    """Parts by their usual names; a `value` around each count (LangWatch)."""
    bare = {key: value.get("value", value) if isinstance(value, dict) else value for key, value in told.items()}
    details = loose.mapping(told.get("input_token_details")), loose.mapping(told.get("output_token_details"))
    parts = {
        "cache_read_tokens": details[0].get("cache_read"), "cache_creation_tokens": details[0].get("cache_creation"),
        "reasoning": details[1].get("reasoning"),
    }  # fmt: skip
    named = {_OWN_WORDS.get(key, key): value for key, value in bare.items() if not isinstance(value, dict)}
    if any(count is not None for count in parts.values()):
        named |= {
            "input_tokens_details": {"cached_tokens": parts["cache_read_tokens"],
                                     "cache_creation_tokens": parts["cache_creation_tokens"]},
            "output_tokens_details": {"reasoning_tokens": parts["reasoning"]},
        }  # fmt: skip
    return {**{key: value for key, value in told.items() if isinstance(value, dict) and "value" not in value}, **named}


def bodies(span: Span) -> tuple[Any, Any] | None:
    for sent, came in _WHOLE:
        reply = span.packed(came)
        if isinstance(reply, dict):
            request = span.packed(sent)
            if came == "gcp.vertex.agent.llm_response":
                reply = _candidate(reply)
            return request, reply
    return None


def _candidate(reply: dict[str, Any]) -> dict[str, Any]:
    """ADK's reply has its only candidate at the root."""
    told = {"content": reply.get("content"), "finish_reason": reply.get("finish_reason")}
    rest = {key: value for key, value in reply.items() if key not in told}
    return {**rest, "candidates": [told]}
