"""Anthropic messages: blocks instead of choices, and an event for every block's start, pieces and end."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from helicone_site.demo.provider.openai_common import check_messages
from helicone_site.demo.provider.reply import (
    BadRequestError,
    Event,
    Json,
    Question,
    Reply,
    Tool,
    chunks,
    content_tokens,
    required,
    text_of,
    tokens,
)

STOP = {"end": "end_turn", "length": "max_tokens", "tools": "tool_use"}


def question(body: Json) -> Question:
    """What a request asks. Raises BadRequestError."""
    model, messages = required(body, "model", str), required(body, "messages", list)
    limit = required(body, "max_tokens", int)
    check_messages(messages)
    if messages[0].get("role") != "user":
        raise BadRequestError('messages: first message must use the "user" role')
    choice = body.get("tool_choice") or {}
    read, written, lasting = _cache(body)
    return Question(
        model=model,
        text=text_of(messages[-1].get("content")),
        input_tokens=input_tokens(body),
        answers_tool=_has(messages[-1], "tool_result"),
        tools=() if choice.get("type") == "none" else tuple(_tools(body)),
        forced_tool=_forced(choice, body),
        may_call_many=not choice.get("disable_parallel_tool_use"),
        max_tokens=limit,
        thinks=(body.get("thinking") or {}).get("type") in {"enabled", "adaptive"},
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=lasting,
    )


def input_tokens(body: Json) -> int:
    """Tokens of the system prompt, the messages and the tools."""
    said = sum(content_tokens(message.get("content")) + 4 for message in body.get("messages") or ())
    tools = tokens(json.dumps(body["tools"])) if body.get("tools") else 0
    return said + tools + tokens(text_of(body.get("system") or "")) + 3


def _tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools") or ():
        yield Tool(tool.get("name", "tool"), tool.get("input_schema") or {})


def _forced(choice: Mapping[str, Any], body: Json) -> str | None:
    if choice.get("type") == "any" and body.get("tools"):
        return str(body["tools"][0].get("name"))
    return choice.get("name") if choice.get("type") == "tool" else None


def _has(message: Json, kind: str) -> bool:
    content = message.get("content")
    return isinstance(content, list) and any(isinstance(part, dict) and part.get("type") == kind for part in content)


def _cache(body: Json) -> tuple[int, int, int]:
    """Cache tokens read, written, and written for an hour: what is marked is written first, then read."""
    system = body.get("system")
    marked = [part for part in (system if isinstance(system, list) else ()) if part.get("cache_control")]
    marked += [tool for tool in body.get("tools") or () if tool.get("cache_control")]
    length = sum(tokens(json.dumps(part)) if "name" in part else content_tokens([part]) for part in marked)
    if len(body["messages"]) > 1:
        return length, 0, 0
    lasting = any(part["cache_control"].get("ttl") == "1h" for part in marked)
    return 0, length, length if lasting else 0


def reply_body(reply: Reply, body: Json) -> Json:
    """The whole reply."""
    return _opened(reply) | {
        "content": list(_blocks(reply)),
        "stop_reason": STOP[reply.stop],
        "usage": _input_usage(reply) | _output_usage(reply),
    }


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """The named events of a streamed reply."""
    for event in _events(reply):
        yield event["type"], event


def _opened(reply: Reply) -> Json:
    return {
        "id": reply.identifier("msg_01"),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _input_usage(reply: Reply) -> Json:
    """Anthropic counts cached input apart from `input_tokens`."""
    written = reply.cache_write_tokens
    return {
        "input_tokens": reply.input_tokens - reply.cache_read_tokens - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": reply.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written - reply.cache_write_1h_tokens,
            "ephemeral_1h_input_tokens": reply.cache_write_1h_tokens,
        },
        "service_tier": "standard",
    }


def _output_usage(reply: Reply) -> Json:
    used: Json = {"output_tokens": reply.output_tokens}
    if reply.reasoning_tokens:
        used["output_tokens_details"] = {"thinking_tokens": reply.reasoning_tokens}
    return used


def _blocks(reply: Reply) -> Iterator[Json]:
    if reply.thinking:
        signature = base64.b64encode(reply.seed.encode() * 3).decode()
        yield {"type": "thinking", "thinking": reply.thinking, "signature": signature}
    if reply.texts[0] or not reply.tool_calls:
        yield {"type": "text", "text": reply.texts[0]}
    for at, call in enumerate(reply.tool_calls):
        yield {
            "type": "tool_use",
            "id": reply.identifier("toolu_01", at),
            "name": call.name,
            "input": dict(call.arguments),
        }


def _events(reply: Reply) -> Iterator[Json]:
    usage = _input_usage(reply) | {"output_tokens": 1}
    yield {"type": "message_start", "message": _opened(reply) | {"usage": usage}}
    for index, block in enumerate(_blocks(reply)):
        yield {"type": "content_block_start", "index": index, "content_block": block | _EMPTY[block["type"]]}
        if index == 0:
            yield {"type": "ping"}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": STOP[reply.stop], "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": _output_usage(reply)}
    yield {"type": "message_stop"}


_EMPTY: dict[str, Json] = {
    "thinking": {"thinking": "", "signature": ""},
    "text": {"text": ""},
    "tool_use": {"input": {}},
}


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in chunks(block["text"]))
    elif block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in chunks(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in chunks(json.dumps(block["input"], ensure_ascii=False)):
            yield {"type": "input_json_delta", "partial_json": piece}


def error(status: int, message: str) -> Json:
    """An error as Anthropic answers it."""
    return {
        "type": "error",
        "error": {"type": _KINDS.get(status, "api_error"), "message": message},
        "request_id": None,
    }


_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
