"""Cohere's chat, version 2: what is billed stands beside what was counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from helicone_site.demo.provider.openai_common import check_messages
from helicone_site.demo.provider.reply import (
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

FINISH = {"end": "COMPLETE", "length": "MAX_TOKENS", "tools": "TOOL_CALL"}
PREAMBLE_TOKENS = 61
"""Of Cohere's own words before the messages: counted, not billed."""


def question(body: Json) -> Question:
    """What a request asks. Raises BadRequestError."""
    model, messages = required(body, "model", str), required(body, "messages", list)
    check_messages(messages)
    tools = tuple(_tools(body))
    said = sum(content_tokens(message.get("content")) + 3 for message in messages)
    listed = tokens(json.dumps(body["tools"])) if tools else 0
    return Question(
        model=model,
        text=text_of(messages[-1].get("content")),
        input_tokens=said + listed + PREAMBLE_TOKENS,
        answers_tool=messages[-1].get("role") == "tool",
        tools=() if body.get("tool_choice") == "NONE" else tools,
        forced_tool=tools[0].name if body.get("tool_choice") == "REQUIRED" and tools else None,
        max_tokens=body.get("max_tokens"),
        json_schema=_json_schema(body.get("response_format") or {}),
    )


def _tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools") or ():
        function = tool.get("function") or {}
        yield Tool(function.get("name", "tool"), function.get("parameters") or {})


def _json_schema(wanted: Json) -> Any:
    if wanted.get("type") != "json_object":
        return None
    return wanted.get("json_schema") or wanted.get("schema") or {"properties": {"answer": {}}}


def reply_body(reply: Reply, body: Json) -> Json:
    """The whole reply."""
    message: Json = {"role": "assistant"}
    if reply.tool_calls:
        message |= {"tool_plan": _plan(reply), "tool_calls": list(_calls(reply))}
    else:
        message["content"] = [{"type": "text", "text": reply.texts[0]}]
    ended = {"finish_reason": FINISH[reply.stop], "usage": usage(reply)}
    return {"id": _identifier(reply), "message": message, **ended}


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """The named events of a streamed reply."""
    for event in _events(reply):
        yield event["type"], event


def usage(reply: Reply) -> Json:
    billed = {"input_tokens": reply.input_tokens - PREAMBLE_TOKENS, "output_tokens": reply.output_tokens}
    counted = {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens + 2}
    return {"billed_units": billed, "tokens": counted, "cached_tokens": 0}


def _identifier(reply: Reply) -> str:
    seed = reply.seed
    return "-".join((seed[:8], seed[8:12], seed[12:16], seed[16:20], seed[20:32]))


def _plan(reply: Reply) -> str:
    return f"I will use {reply.tool_calls[0].name} to find out."


def _calls(reply: Reply) -> Iterator[Json]:
    for at, call in enumerate(reply.tool_calls):
        function = {"name": call.name, "arguments": call.arguments_json}
        yield {"id": reply.identifier(f"{call.name}_", at), "type": "function", "function": function}


def _events(reply: Reply) -> Iterator[Json]:
    opened = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield {"id": _identifier(reply), "type": "message-start", "delta": {"message": opened}}
    yield from _called(reply) if reply.tool_calls else _said(reply)
    yield {"type": "message-end", "delta": {"finish_reason": FINISH[reply.stop], "usage": usage(reply)}}


def _said(reply: Reply) -> Iterator[Json]:
    yield _delta("content-start", 0, {"content": {"type": "text", "text": ""}})
    for piece in chunks(reply.texts[0]):
        yield _delta("content-delta", 0, {"content": {"text": piece}})
    yield {"type": "content-end", "index": 0}


def _called(reply: Reply) -> Iterator[Json]:
    for piece in chunks(_plan(reply)):
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}
    for at, call in enumerate(_calls(reply)):
        arguments = call["function"]["arguments"]
        opened = call | {"function": call["function"] | {"arguments": ""}}
        yield _delta("tool-call-start", at, {"tool_calls": opened})
        for piece in chunks(arguments):
            yield _delta("tool-call-delta", at, {"tool_calls": {"function": {"arguments": piece}}})
        yield {"type": "tool-call-end", "index": at}


def _delta(kind: str, index: int, message: Json) -> Json:
    return {"type": kind, "index": index, "delta": {"message": message}}


def own_error(status: int, message: str) -> Json:
    """An error as Cohere answers it."""
    return {"id": None, "message": message}
