"""Ollama's own chat: lines of JSON, streamed unless told otherwise; times in nanoseconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

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

FINISH = {"end": "stop", "length": "length", "tools": "stop"}
TOKEN_NS = 21_000_000


def question(body: Json) -> Question:
    """What a request asks. Raises BadRequestError."""
    model, messages = required(body, "model", str), required(body, "messages", list)
    check_messages(messages)
    listed = tokens(json.dumps(body["tools"])) if body.get("tools") else 0
    wanted = body.get("format")
    return Question(
        model=model,
        text=text_of(messages[-1].get("content")),
        input_tokens=sum(content_tokens(message.get("content")) + 4 for message in messages) + listed,
        answers_tool=messages[-1].get("role") == "tool",
        tools=tuple(_tools(body)),
        max_tokens=(body.get("options") or {}).get("num_predict"),
        thinks=bool(body.get("think")),
        json_schema=wanted if isinstance(wanted, dict) else None,
    )


def _tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools") or ():
        function = tool.get("function") or {}
        yield Tool(function.get("name", "tool"), function.get("parameters") or {})


def reply_body(reply: Reply, body: Json) -> Json:
    """The whole reply."""
    message: Json = {"role": "assistant", "content": reply.texts[0]}
    message |= {"thinking": reply.thinking} if reply.thinking else {}
    message |= {"tool_calls": _calls(reply)} if reply.tool_calls else {}
    return _opened(reply) | {"message": message} | _ended(reply)


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """The lines of a streamed reply."""
    for message in _messages(reply):
        yield "", _opened(reply) | {"message": {"role": "assistant", "content": ""} | message, "done": False}
    yield "", _opened(reply) | {"message": {"role": "assistant", "content": ""}} | _ended(reply)


def _messages(reply: Reply) -> Iterator[Json]:
    yield from ({"thinking": piece} for piece in chunks(reply.thinking))
    yield from ({"content": piece} for piece in chunks(reply.texts[0]))
    if reply.tool_calls:
        yield {"tool_calls": _calls(reply)}


def _calls(reply: Reply) -> list[Json]:
    return [{"function": {"name": call.name, "arguments": dict(call.arguments)}} for call in reply.tool_calls]


def _opened(reply: Reply) -> Json:
    made = datetime.fromtimestamp(reply.created, UTC).isoformat().replace("+00:00", ".000000Z")
    return {"model": reply.model, "created_at": made}


def _ended(reply: Reply) -> Json:
    read, written = reply.input_tokens * TOKEN_NS // 10, reply.output_tokens * TOKEN_NS
    return {
        "done": True,
        "done_reason": FINISH[reply.stop],
        "total_duration": read + written + TOKEN_NS,
        "load_duration": TOKEN_NS,
        "prompt_eval_count": reply.input_tokens,
        "prompt_eval_duration": read,
        "eval_count": reply.output_tokens,
        "eval_duration": written,
    }


def own_error(status: int, message: str) -> Json:
    """An error as Ollama answers it."""
    return {"error": message}
