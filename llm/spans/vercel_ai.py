"""Vercel's AI SDK, versions 4 to 7: an outer span for what was asked, an inner `.do…` span for the model call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lib.frozen import replace
from llm import loose
from llm.exchange import Usage
from llm.spans import tokens
from llm.spans.span import Span, unpacked

ORDER = 40
MARKS: Final = frozenset({"ai", "operation"})
_CALLS: Final = (
    ("ai.embed.doEmbed", "embedding"), ("ai.embedMany.doEmbed", "embedding"), ("ai.rerank.doRerank", "rerank"),
    ("ai.generateImage.doGenerate", "image"), ("ai.generateText.doGenerate", "llm"), ("ai.streamText.doStream", "llm"),
    ("ai.generateObject.doGenerate", "llm"), ("ai.streamObject.doStream", "llm"), ("ai.toolCall", "tool"),
    ("ai.", "chain"),
)  # fmt: skip
"""Beginnings of an operation's id; the function's own id follows it after a space."""


def kind(span: Span) -> str | None:
    said = span.text(("ai.operationId", "operation.name")) or ""
    return next((kind for start, kind in _CALLS if said.startswith(start)), None)


def asked(span: Span) -> Any:
    if (arguments := span.value("ai.toolCall.args", "ai.toolCall.input")) is not None:
        return arguments
    said = span.value("ai.prompt.messages", "ai.prompt")
    if said is None:
        said = span.value("ai.values", "ai.value", "ai.documents")
        return [unpacked(item) for item in said] if isinstance(said, list) else said
    return said


def answered(span: Span) -> Any:
    if (result := span.value("ai.toolCall.result", "ai.toolCall.output")) is not None:
        return result
    text = span.text(("ai.response.text", "ai.result.text"))
    calls = span.value("ai.response.toolCalls", "ai.result.toolCalls")
    thoughts = span.text(("ai.response.reasoning",))
    if text or calls or thoughts:
        said = {"content": text, "tool_calls": calls, "reasoning": thoughts}
        return [{"role": "assistant", **{key: value for key, value in said.items() if value}}]
    return span.value("ai.response.object", "ai.result.object", "ai.ranking", "ai.embeddings", "ai.embedding")


def usage(span: Span) -> Usage | None:
    """Before version 6 input was told without cache where the provider tells it so; the metadata has its own words."""
    metadata = loose.mapping(span.value("ai.response.providerMetadata"))
    for told in metadata.values():
        words = loose.mapping(loose.mapping(told).get("usage"))
        if words and (found := tokens.provided(words)).input_tokens is not None:
            return found
    if not _is_exclusive(span) or (found_by_name := tokens.read(span)) is None:
        return None
    return _with_cache(found_by_name, span, metadata)


def _is_exclusive(span: Span) -> bool:
    provider = span.text(("ai.model.provider", "gen_ai.system", "gen_ai.provider.name")) or ""
    is_such = "anthropic" in provider or "bedrock" in provider
    return is_such and span.has("ai.usage.") and span.count(("ai.usage.inputTokenDetails.noCacheTokens",)) is None


def _with_cache(found: Usage, span: Span, metadata: Mapping[str, Any]) -> Usage:
    anthropic = loose.mapping(metadata.get("anthropic"))
    bedrock = loose.mapping(loose.mapping(metadata.get("bedrock")).get("usage"))
    read = _first(found.cache_read_tokens, anthropic.get("cacheReadInputTokens"), bedrock.get("cacheReadInputTokens"))
    written = _first(
        found.cache_write_tokens, anthropic.get("cacheCreationInputTokens"), bedrock.get("cacheWriteInputTokens")
    )
    own = span.count(("ai.usage.inputTokens", "ai.usage.promptTokens"))
    total = None if own is None else own + (read or 0) + (written or 0)
    return replace(found, input_tokens=total, cache_read_tokens=read, cache_write_tokens=written)


def _first(*told: Any) -> int | None:
    return next((count for value in told if (count := loose.count(value)) is not None), None)


def bodies(span: Span) -> tuple[Any, Any] | None:
    return None
