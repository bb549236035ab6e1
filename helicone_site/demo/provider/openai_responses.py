"""OpenAI's Responses API: items instead of choices, named events instead of chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from helicone_site.demo.provider import openai_common as common
from helicone_site.demo.provider.reply import (
    BadRequestError,
    Event,
    Json,
    Question,
    Reply,
    Tool,
    ToolCall,
    chunks,
    content_tokens,
    required,
    text_of,
    tokens,
)

_ECHOED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}


def question(body: Json) -> Question:
    """What a request asks. Raises BadRequestError."""
    model = required(body, "model", str)
    items = _items(body)
    tools = tuple(
        Tool(tool["name"], tool.get("parameters") or {}) for tool in body.get("tools") or () if tool.get("name")
    )
    choice = body.get("tool_choice")
    length = _input_tokens(items, body)
    return Question(
        model=model,
        text=text_of(items[-1].get("content")) if items else "",
        input_tokens=length,
        answers_tool=bool(items) and items[-1].get("type") == "function_call_output",
        tools=() if choice == "none" else tools,
        forced_tool=choice.get("name") if isinstance(choice, Mapping) else None,
        may_call_many=body.get("parallel_tool_calls") is not False,
        max_tokens=body.get("max_output_tokens"),
        thinks=common.thinks(model, (body.get("reasoning") or {}).get("effort")),
        json_schema=_json_schema(body),
        cache_read_tokens=common.cached(length, turns=len(items)),
    )


def _items(body: Json) -> list[Json]:
    given = body.get("input")
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if isinstance(given, list) and all(isinstance(item, dict) for item in given):
        return given
    raise BadRequestError("Missing required parameter: 'input'.", "input")


def _json_schema(body: Json) -> Mapping[str, Any] | None:
    wanted = (body.get("text") or {}).get("format") or {}
    if wanted.get("type") == "json_schema":
        return wanted.get("schema") or {}
    return {"properties": {"answer": {}}} if wanted.get("type") == "json_object" else None


def _input_tokens(items: list[Json], body: Json) -> int:
    said = sum(content_tokens(item.get("content") or item.get("output") or item.get("arguments")) + 4 for item in items)
    tools = tokens(json.dumps(body["tools"])) if body.get("tools") else 0
    return said + tools + tokens(body.get("instructions") or "") + 3


def reply_body(reply: Reply, body: Json) -> Json:
    """The whole reply."""
    return _response(reply, body, list(_output(reply))) | {
        "status": "incomplete" if reply.stop == "length" else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if reply.stop == "length" else None,
        "usage": usage(reply),
    }


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """The named events of a streamed reply, numbered from 0."""
    for number, event in enumerate(_events(reply, body)):
        yield event["type"], event | {"sequence_number": number}


def usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": reply.cache_read_tokens, "cache_write_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reply.reasoning_tokens},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }


def _response(reply: Reply, body: Json, output: list[Json]) -> Json:
    echoed = {name: body.get(name, default) for name, default in _ECHOED.items()}
    return echoed | {
        "id": reply.identifier("resp_"),
        "object": "response",
        "created_at": reply.created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": reply.model,
        "output": output,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "service_tier": reply.service_tier,
        "usage": None,
    }


def _output(reply: Reply) -> Iterator[Json]:
    if reply.reasoning_tokens:
        summary = [{"type": "summary_text", "text": reply.thinking}]
        yield {"id": reply.identifier("rs_"), "type": "reasoning", "summary": summary}
    for at, call in enumerate(reply.tool_calls):
        yield _call_item(reply, call, at)
    if reply.texts[0] or not reply.tool_calls:
        yield _message(reply, [_text_part(reply.texts[0])], "completed")


def _call_item(reply: Reply, call: ToolCall, at: int) -> Json:
    return {
        "id": reply.identifier("fc_", at),
        "type": "function_call",
        "status": "completed",
        "name": call.name,
        "call_id": reply.identifier("call_", at),
        "arguments": call.arguments_json,
    }


def _message(reply: Reply, content: list[Json], status: str) -> Json:
    return {
        "id": reply.identifier("msg_"),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _text_part(text: str) -> Json:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _events(reply: Reply, body: Json) -> Iterator[Json]:
    started = _response(reply, body, [])
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    for index, item in enumerate(_output(reply)):
        where = {"output_index": index, "item_id": item["id"]}
        empty = {name: value for name, value in item.items() if name != "status"} | _EMPTY[item["type"]]
        yield {"type": "response.output_item.added", "output_index": index, "item": empty}
        yield from _PARTS[item["type"]](item, where)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    whole = reply_body(reply, body)
    yield {"type": f"response.{whole['status']}", "response": whole}


def _reasoning_events(item: Json, where: Json) -> Iterator[Json]:
    at, text = where | {"summary_index": 0}, item["summary"][0]["text"]
    kind = "response.reasoning_summary"
    yield {"type": f"{kind}_part.added", **at, "part": {"type": "summary_text", "text": ""}}
    for piece in chunks(text):
        yield {"type": f"{kind}_text.delta", **at, "delta": piece}
    yield {"type": f"{kind}_text.done", **at, "text": text}
    yield {"type": f"{kind}_part.done", **at, "part": item["summary"][0]}


def _call_events(item: Json, where: Json) -> Iterator[Json]:
    for piece in chunks(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
    yield {
        "type": "response.function_call_arguments.done",
        **where,
        "name": item["name"],
        "arguments": item["arguments"],
    }


def _message_events(item: Json, where: Json) -> Iterator[Json]:
    at, part = where | {"content_index": 0}, item["content"][0]
    yield {"type": "response.content_part.added", **at, "part": _text_part("")}
    for piece in chunks(part["text"]):
        yield {"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": part}


_EMPTY: dict[str, Json] = {
    "reasoning": {"summary": []},
    "function_call": {"status": "in_progress", "arguments": ""},
    "message": {"status": "in_progress", "content": []},
}
_PARTS = {"reasoning": _reasoning_events, "function_call": _call_events, "message": _message_events}
