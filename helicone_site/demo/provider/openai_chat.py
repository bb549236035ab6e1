"""OpenAI chat completions: the question in a body, the reply as JSON or chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from helicone_site.demo.provider import openai_common as common
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

FINISH = {"end": "stop", "length": "length", "tools": "tool_calls"}


def question(body: Json) -> Question:
    """What a request asks. Raises BadRequestError."""
    model, messages = required(body, "model", str), required(body, "messages", list)
    common.check_messages(messages)
    tools = tuple(_tools(body))
    offered = body.get("tool_choice") != "none"
    length = _input_tokens(messages, body)
    return Question(
        model=model,
        text=text_of(messages[-1].get("content")),
        input_tokens=length,
        answers_tool=messages[-1].get("role") == "tool",
        tools=tools if offered else (),
        forced_tool=_forced(body.get("tool_choice"), tools),
        may_call_many=body.get("parallel_tool_calls") is not False,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        choices=common.whole(body, "n", 1),
        thinks=common.thinks(model, body.get("reasoning_effort")),
        json_schema=_json_schema(body.get("response_format")),
        cache_read_tokens=common.cached(length, turns=len(messages)),
    )


def _tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools") or ():
        if function := tool.get("function"):
            yield Tool(function.get("name", "tool"), function.get("parameters") or {})


def _forced(choice: Any, tools: tuple[Tool, ...]) -> str | None:
    if choice == "required" and tools:
        return tools[0].name
    return choice.get("function", {}).get("name") if isinstance(choice, Mapping) else None


def _json_schema(wanted: Any) -> Mapping[str, Any] | None:
    if not isinstance(wanted, Mapping) or wanted.get("type") == "text":
        return None
    return wanted.get("json_schema", {}).get("schema") or {
        "properties": {"answer": {}, "confidence": {"type": "integer"}}
    }


def _input_tokens(messages: list[Json], body: Json) -> int:
    said = sum(content_tokens(m.get("content")) + 4 + tokens(json.dumps(m.get("tool_calls") or "")) for m in messages)
    return said + 3 + (tokens(json.dumps(body["tools"])) if body.get("tools") else 0)


def reply_body(reply: Reply, body: Json) -> Json:
    """The whole reply."""
    return _envelope(reply, "chat.completion") | {
        "choices": [_choice(reply, index) for index in range(len(reply.texts))],
        "usage": usage(reply),
        "service_tier": reply.service_tier,
    }


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """The chunks of a streamed reply; `[DONE]` is not among them."""
    with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    for index in range(len(reply.texts)):
        for delta in _deltas(reply, index):
            yield "", _chunk(reply, [_delta(index, delta)], with_usage)
        yield "", _chunk(reply, [_delta(index, {}, FINISH[reply.stop])], with_usage)
    if with_usage:
        yield "", _chunk(reply, [], with_usage) | {"usage": usage(reply)}


def usage(reply: Reply) -> Json:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reply.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _envelope(reply: Reply, kind: str) -> Json:
    return {
        "id": reply.identifier("chatcmpl-"),
        "object": kind,
        "created": reply.created,
        "model": reply.model,
        "system_fingerprint": "fp_" + reply.seed[:10],
    }


def _choice(reply: Reply, index: int) -> Json:
    message: Json = {
        "role": "assistant",
        "content": reply.texts[index] or None,
        "refusal": None,
        "annotations": [],
    }
    if reply.tool_calls:
        message["tool_calls"] = [_tool_call(reply, index, at) for at in range(len(reply.tool_calls))]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": FINISH[reply.stop]}


def _tool_call(reply: Reply, index: int, at: int) -> Json:
    call = reply.tool_calls[at]
    function = {"name": call.name, "arguments": call.arguments_json}
    return {"id": reply.identifier("call_", index, at), "type": "function", "function": function}


def _chunk(reply: Reply, choices: list[Json], with_usage: bool) -> Json:
    chunk = _envelope(reply, "chat.completion.chunk") | {
        "service_tier": reply.service_tier,
        "choices": choices,
    }
    return chunk | {"usage": None} if with_usage else chunk


def _delta(index: int, delta: Json, finish: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _deltas(reply: Reply, index: int) -> Iterator[Json]:
    yield {"role": "assistant", "content": None if reply.tool_calls else "", "refusal": None}
    for piece in chunks(reply.texts[index]):
        yield {"content": piece}
    for at, call in enumerate(reply.tool_calls):
        opened = _tool_call(reply, index, at)
        opened["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": at, **opened}]}
        for piece in chunks(call.arguments_json):
            yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}
