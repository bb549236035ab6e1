"""Vercel's AI SDK, versions 4 to 7: an outer span for what was asked, an inner `.do…` span for the model call."""

from __future__ import annotations

from typing import Any, Final

from llm.exchange import Usage
from llm.spans.span import Span, unpacked

ORDER = 40
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
    return None
