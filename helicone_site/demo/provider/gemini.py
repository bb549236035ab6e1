"""Gemini's generateContent: contents of parts; each event of a stream is a reply, with what is counted so far."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

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

_SCHEMAS = ("parametersJsonSchema", "parameters_json_schema", "parameters")
"""Google takes either spelling; its own package sends the second."""
FINISH = {"end": "STOP", "length": "MAX_TOKENS", "tools": "STOP"}


def question(body: Json) -> Question:
    """What a request asks; `model` was put in from the path. Raises BadRequestError."""
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise BadRequestError("* GenerateContentRequest.contents: contents is not specified")
    config = body.get("generationConfig") or {}
    tools = tuple(_tools(body))
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode = str(calling.get("mode", "AUTO")).upper()
    return Question(
        model=body["model"],
        text=text_of(_parts(contents[-1])),
        input_tokens=_input_tokens(body, contents),
        answers_tool=any("functionResponse" in part for part in _parts(contents[-1])),
        tools=() if mode == "NONE" else tools,
        forced_tool=tools[0].name if mode == "ANY" and tools else None,
        max_tokens=config.get("maxOutputTokens"),
        choices=config.get("candidateCount") or 1,
        thinks=_thinks(body["model"], config.get("thinkingConfig") or {}),
        json_schema=_json_schema(config),
    )


def _parts(content: Json) -> list[Json]:
    parts = content.get("parts") or []
    return [part for part in parts if isinstance(part, dict)]


def _input_tokens(body: Json, contents: list[Json]) -> int:
    instruction = body.get("systemInstruction") or {}
    said = sum(content_tokens(_parts(content)) + 1 for content in [instruction, *contents])
    return said + (tokens(json.dumps(body["tools"])) if body.get("tools") else 0)


def _tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools") or ():
        for declared in tool.get("functionDeclarations") or ():
            spelled = (declared.get(name) for name in _SCHEMAS)
            yield Tool(declared.get("name", "tool"), _lower(next(filter(None, spelled), {})))


def _lower(schema: Any) -> Any:
    """A schema with JSON Schema's spelling of types: Google's own are in capitals."""
    if isinstance(schema, list):
        return [_lower(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {name: _lower(value) for name, value in schema.items()}
    return found | {"type": found["type"].lower()} if isinstance(found.get("type"), str) else found


def _json_schema(config: Json) -> Mapping[str, Any] | None:
    if config.get("responseMimeType") != "application/json":
        return None
    schema = config.get("responseJsonSchema") or _lower(config.get("responseSchema") or {})
    return schema or {"properties": {"answer": {}}}


def _thinks(model: str, thinking: Json) -> bool:
    return model.startswith(("gemini-2.5", "gemini-3")) and thinking.get("thinkingBudget") != 0


def reply_body(reply: Reply, body: Json) -> Json:
    """The whole reply."""
    shown = _shows_thoughts(body)
    candidates = [_candidate(index, _all_parts(reply, index, shown), reply) for index in range(len(reply.texts))]
    return {"candidates": candidates, "usageMetadata": usage(reply), **_identity(reply)}


def events(reply: Reply, body: Json) -> Iterator[Event]:
    """The pieces of a streamed reply, the last with its finish reason; `totalTokenCount` grows to the whole."""
    for index in range(len(reply.texts)):
        pieces = list(_pieces(reply, index, _shows_thoughts(body)))
        for at, part in enumerate(pieces):
            is_last = at == len(pieces) - 1
            counted = usage(reply) if is_last else _usage_so_far(reply, pieces[: at + 1])
            candidate = _candidate(index, [part], reply if is_last else None)
            yield "", {"candidates": [candidate], "usageMetadata": counted, **_identity(reply)}


def usage(reply: Reply) -> Json:
    """Thoughts are counted beside the candidates' tokens."""
    counted: Json = {
        "promptTokenCount": reply.input_tokens,
        "candidatesTokenCount": reply.output_tokens - reply.reasoning_tokens,
        "totalTokenCount": reply.input_tokens + reply.output_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": reply.input_tokens}],
    }
    return counted | ({"thoughtsTokenCount": reply.reasoning_tokens} if reply.reasoning_tokens else {})


def _usage_so_far(reply: Reply, pieces: list[Json]) -> Json:
    said = sum(tokens(part.get("text", "")) for part in pieces if not part.get("thought"))
    thought = {"thoughtsTokenCount": reply.reasoning_tokens} if reply.reasoning_tokens else {}
    total = reply.input_tokens + said + reply.reasoning_tokens
    return {"promptTokenCount": reply.input_tokens, "candidatesTokenCount": said, "totalTokenCount": total, **thought}


def _identity(reply: Reply) -> Json:
    return {"modelVersion": reply.model, "responseId": reply.identifier("")}


def _shows_thoughts(body: Json) -> bool:
    return bool(((body.get("generationConfig") or {}).get("thinkingConfig") or {}).get("includeThoughts"))


def _candidate(index: int, parts: list[Json], ending: Reply | None) -> Json:
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": index}
    return candidate | ({"finishReason": FINISH[ending.stop]} if ending else {})


def _all_parts(reply: Reply, index: int, shows_thoughts: bool) -> list[Json]:
    thought = [{"text": reply.thinking, "thought": True}] if reply.thinking and shows_thoughts else []
    said = [{"text": reply.texts[index]}] if reply.texts[index] or not reply.tool_calls else []
    return [*thought, *said, *_calls(reply)]


def _pieces(reply: Reply, index: int, shows_thoughts: bool) -> Iterator[Json]:
    for part in _all_parts(reply, index, shows_thoughts):
        if "text" not in part:
            yield part
        else:
            yield from (part | {"text": piece} for piece in chunks(part["text"], 40) or [""])


def _calls(reply: Reply) -> Iterator[Json]:
    signature = base64.b64encode(reply.seed.encode()).decode()
    for at, call in enumerate(reply.tool_calls):
        made = {"functionCall": {"name": call.name, "args": dict(call.arguments)}}
        yield made | ({"thoughtSignature": signature} if at == 0 and reply.thinking else {})


def own_error(status: int, message: str) -> Json:
    """An error as Google answers it."""
    return {"error": {"code": status, "message": message, "status": _KINDS.get(status, "INTERNAL")}}


_KINDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
