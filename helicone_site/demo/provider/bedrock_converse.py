"""Bedrock's Converse: one shape for every model; its events are messages of AWS's event stream."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from helicone_site.demo.provider.reply import (
    BadRequestError,
    Event,
    Json,
    Question,
    Reply,
    Tool,
    chunks,
    content_tokens,
    text_of,
    tokens,
)

STOP = {"end": "end_turn", "length": "max_tokens", "tools": "tool_use"}
LATENCY_MS = 412


def question(body: Json) -> Question:
    """What a request asks; `model` was put in from the path. Raises BadRequestError."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("The messages list must not be empty.")
    offered = body.get("toolConfig") or {}
    tools = tuple(_tools(offered))
    last = [part for part in messages[-1].get("content") or () if isinstance(part, dict)]
    return Question(
        model=body["model"],
        text=text_of(last),
        input_tokens=_input_tokens(body, messages),
        answers_tool=any("toolResult" in part for part in last),
        tools=tools,
        forced_tool=_forced(offered.get("toolChoice") or {}, tools),
        max_tokens=(body.get("inferenceConfig") or {}).get("maxTokens"),
        thinks="thinking" in (body.get("additionalModelRequestFields") or {}),
    )


def _input_tokens(body: Json, messages: list[Json]) -> int:
    said = sum(content_tokens(message.get("content")) + 4 for message in messages)
    listed = tokens(json.dumps(body["toolConfig"])) if body.get("toolConfig") else 0
    return said + listed + content_tokens(body.get("system") or [])


def _tools(offered: Json) -> Iterator[Tool]:
    for tool in offered.get("tools") or ():
        described = tool.get("toolSpec") or {}
        yield Tool(described.get("name", "tool"), (described.get("inputSchema") or {}).get("json") or {})


def _forced(choice: Json, tools: tuple[Tool, ...]) -> str | None:
    if "any" in choice and tools:
        return tools[0].name
    return str(choice["tool"].get("name")) if "tool" in choice else None


def reply_body(reply: Reply, body: Json) -> Json:
    """The whole reply."""
    return {
        "metrics": {"latencyMs": LATENCY_MS},
        "output": {"message": {"content": list(_blocks(reply)), "role": "assistant"}},
        "stopReason": STOP[reply.stop],
        "usage": usage(reply),
    }


def usage(reply: Reply) -> Json:
    return {
        "inputTokens": reply.input_tokens,
        "outputTokens": reply.output_tokens,
        "totalTokens": reply.input_tokens + reply.output_tokens,
        "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 0,
    }


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """The named events of a streamed reply."""
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(_blocks(reply)):
        if "toolUse" in block:
            started = {name: block["toolUse"][name] for name in ("toolUseId", "name")}
            yield "contentBlockStart", {"start": {"toolUse": started}, "contentBlockIndex": index}
        for delta in _deltas(block):
            yield "contentBlockDelta", {"delta": delta, "contentBlockIndex": index}
        yield "contentBlockStop", {"contentBlockIndex": index}
    yield "messageStop", {"stopReason": STOP[reply.stop]}
    yield "metadata", {"usage": usage(reply), "metrics": {"latencyMs": LATENCY_MS}}


def _blocks(reply: Reply) -> Iterator[Json]:
    if reply.thinking:
        signature = base64.b64encode(reply.seed.encode()).decode()
        yield {"reasoningContent": {"reasoningText": {"text": reply.thinking, "signature": signature}}}
    if reply.texts[0] or not reply.tool_calls:
        yield {"text": reply.texts[0]}
    for at, call in enumerate(reply.tool_calls):
        named = {"toolUseId": reply.identifier("tooluse_", at), "name": call.name}
        yield {"toolUse": named | {"input": dict(call.arguments)}}


def _deltas(block: Json) -> Iterator[Json]:
    if "text" in block:
        yield from ({"text": piece} for piece in chunks(block["text"]))
    elif "toolUse" in block:
        pieces = chunks(json.dumps(block["toolUse"]["input"], ensure_ascii=False))
        yield from ({"toolUse": {"input": piece}} for piece in pieces)
    else:
        thought = block["reasoningContent"]["reasoningText"]
        yield from ({"reasoningContent": {"text": piece}} for piece in chunks(thought["text"]))
        yield {"reasoningContent": {"signature": thought["signature"]}}


def own_error(status: int, message: str) -> Json:
    """An error as Bedrock answers it; its kind stands in the header `x-amzn-ErrorType`."""
    return {"message": message}


def error_kind(status: int) -> str:
    return _KINDS.get(status, "InternalServerException")


_KINDS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
