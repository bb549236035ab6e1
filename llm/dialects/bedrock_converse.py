"""Amazon Bedrock's Converse and ConverseStream, and Nova's own invocations, which have the same shape.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html — also CountTokens of the same API.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from llm import bedrock, loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part, PartKind, ToolSpec
from llm.exchange import Reading, Usage

_EVENTS: Final = frozenset({
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop",
})
_PATHS: Final = ("/converse", "/converse-stream", "/count-tokens")
_COUNT_PATH: Final = "/count-tokens"
_SETTINGS: Final = (
    "inferenceConfig", "additionalModelRequestFields", "guardrailConfig", "performanceConfig", "serviceTier",
    "outputConfig", "promptVariables", "requestMetadata",
)
TOLD_BY: Final = _EVENTS | {"stopReason"}


def score(call: Call) -> int:
    sample = call.sample
    if _EVENTS & sample.keys() or ("stopReason" in sample and isinstance(sample.get("output"), dict)):
        return 100
    if call.path.endswith(_PATHS) and "/model/" in call.path:
        return 94
    if "inferenceConfig" in call.request and "messages" in call.request:
        return 30
    return 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The answer of Converse that a stream would have been: blocks by index, tool input joined and read."""
    body: dict[str, Any] = {}
    blocks: dict[int, _Block] = {}
    role = "assistant"
    for event in events:
        if type(event) is not dict:
            continue
        if type(piece := event.get("contentBlockDelta")) is dict:
            _block(piece, blocks).take(loose.mapping(piece.get("delta")))
            continue
        for name, value in event.items():
            told = loose.mapping(value)
            if name == "messageStart":
                role = loose.text(told.get("role")) or role
            elif name == "contentBlockStart":
                _block(told, blocks).start(loose.mapping(told.get("start")))
            elif name in ("messageStop", "metadata"):
                body.update({key: item for key, item in told.items() if key != "p"})
            elif name in ("error", "stopReason", "usage", "output"):
                body[name] = value
    content = [blocks[index].whole() for index in sorted(blocks)]
    if content or "output" not in body:
        body["output"] = {"message": {"role": role, "content": content}}
    return body


def _block(told: Mapping[str, Any], blocks: dict[int, _Block]) -> _Block:
    index = told.get("contentBlockIndex")
    number = index if type(index) is int else 0
    if number not in blocks:
        blocks[number] = _Block()
    return blocks[number]


class _Block:
    """One content block while its deltas come in."""

    def __init__(self) -> None:
        self.kind = "text"
        self.fields: dict[str, Any] = {}
        self.pieces: dict[str, list[str]] = {}

    def start(self, start: Mapping[str, Any]) -> None:
        for kind, fields in start.items():
            self.kind = kind
            self.fields = {**loose.mapping(fields), **self.fields}

    def take(self, delta: Mapping[str, Any]) -> None:
        for kind, value in delta.items():
            if kind in self.pieces and type(value) is str:
                self.pieces[kind].append(value)
            elif isinstance(value, str):
                self._add(kind, value)
            elif kind == "citation":
                self.fields["citations"] = [*loose.listing(self.fields.get("citations")), value]
            elif isinstance(value, dict):
                self.kind = kind
                for key, piece in value.items():
                    if isinstance(piece, str):
                        self._add(key, piece)
                    else:
                        self.fields[key] = piece
            elif isinstance(value, list):
                self.kind = kind
                self.fields["content"] = [*loose.listing(self.fields.get("content")), *value]

    def _add(self, key: str, piece: str) -> None:
        self.pieces.setdefault(key, []).append(piece)

    def whole(self) -> dict[str, Any]:
        joined = {key: "".join(pieces) for key, pieces in self.pieces.items()}
        if self.kind == "text":
            return {"text": joined.pop("text", ""), **self.fields, **joined}
        if self.kind == "reasoningContent":
            return _reasoning({**self.fields, **joined})
        if "input" in joined:
            joined["input"] = _json(joined["input"])
        return {self.kind: {**self.fields, **joined}}


def _reasoning(told: dict[str, Any]) -> dict[str, Any]:
    """As Converse answers it whole."""
    if "text" in told or "signature" in told:
        return {"reasoningContent": {"reasoningText": told}}
    return {"reasoningContent": told}


def _json(text: str) -> Any:
    """Tool input from its pieces; broken JSON (a cut stream) stays the text it is."""
    try:
        return orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return text


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return body.get("stopReason") is not None


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    if call.path.endswith(_COUNT_PATH):
        return _count(request, body)
    blocks = loose.mappings(_message(body).get("content"))
    calls = [tool for block in blocks if (tool := loose.mapping(block.get("toolUse")))]
    sent = body.get("usage")
    return Reading(
        usage=bedrock.completed(bedrock.counts(sent), call) if isinstance(sent, dict) else Usage(),
        finish_reason=loose.name(body.get("stopReason")),
        service_tier=loose.name(loose.mapping(body.get("serviceTier")).get("type")),
        request_preview=_request_preview(request),
        response_preview=_response_preview(blocks, calls),
        tool_calls=tuple(name for tool in calls if (name := loose.text(tool.get("name")))),
    )


def _message(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return loose.mapping(loose.mapping(body.get("output")).get("message"))


def _count(request: Mapping[str, Any], body: Mapping[str, Any]) -> Reading:
    counted = loose.count(body.get("inputTokens"))
    return Reading(
        kind="count",
        usage=Usage(input_tokens=counted, sent=body) if counted is not None else Usage(),
        request_preview=_request_preview(loose.mapping(loose.mapping(request.get("input")).get("converse"))),
        response_preview="" if counted is None else f"{counted} tokens",
    )


def _request_preview(request: Mapping[str, Any]) -> str:
    for item in reversed(loose.mappings(request.get("messages"))):
        if item.get("role") == "user" and (said := _said(item.get("content"))):
            return preview.line(said)
    return ""


def _said(content: Any) -> str:
    return "\n".join(filter(None, (loose.text(block.get("text")) for block in loose.mappings(content))))


def _response_preview(blocks: list[dict[str, Any]], calls: list[Mapping[str, Any]]) -> str:
    if said := _said(blocks):
        return preview.line(said)
    return preview.tool_call(loose.text(calls[0].get("name")), _as_text(calls[0].get("input"))) if calls else ""


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else loose.compact(value)


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    system = _parts(request.get("system"))
    messages = [Message("system", system)] if system else []
    messages += [
        Message(loose.text(item.get("role")) or "unknown", _parts(item.get("content")))
        for item in loose.mappings(request.get("messages"))
    ]
    content = (*_parts(_message(body).get("content")), *_guardrail(body.get("trace")))
    reply = Message("assistant", content, finish_reason=loose.text(body.get("stopReason")))
    tools = loose.mapping(request.get("toolConfig")).get("tools")
    return Conversation(
        messages=tuple(messages),
        reply=(reply,) if content or reply.finish_reason else (),
        tools=tuple(_tool(loose.mapping(item.get("toolSpec"))) for item in loose.mappings(tools) if "toolSpec" in item),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _guardrail(trace: Any) -> tuple[Part, ...]:
    """What a guardrail found and did; it explains a reply that is not the model's."""
    found = loose.mapping(trace).get("guardrail")
    return (Part("data", text=loose.pretty(found), name="guardrail"),) if found else ()


def _tool(spec: Mapping[str, Any]) -> ToolSpec:
    schema = loose.mapping(spec.get("inputSchema")).get("json")
    description = loose.text(spec.get("description"))
    return ToolSpec(loose.text(spec.get("name")), description, schema if isinstance(schema, dict) else None)


def _parts(content: Any) -> tuple[Part, ...]:
    return tuple(part for block in loose.mappings(content) for part in _part(block))


def _part(block: Mapping[str, Any]) -> tuple[Part, ...]:
    for kind, value in block.items():
        if kind == "text":
            return (Part("text", text=loose.text(value)),)
        if read_ := _PARTS.get(kind):
            return (read_(loose.mapping(value)),)
    return () if block.keys() <= {"cachePoint"} else (Part("data", text=loose.pretty(block), name=next(iter(block))),)


def _reasoned(value: Mapping[str, Any]) -> Part:
    said = loose.mapping(value.get("reasoningText")).get("text")
    return Part("reasoning", text=loose.text(said) or "(redacted)")


def _tool_use(value: Mapping[str, Any]) -> Part:
    return Part("tool_call", text=_as_text(value.get("input", {})), name=loose.text(value.get("name")),
                call_id=loose.text(value.get("toolUseId")))


def _tool_result(value: Mapping[str, Any]) -> Part:
    content = value.get("content")
    is_plain = all("text" in item for item in loose.mappings(content))
    text = _said(content) if is_plain else ""
    return Part("tool_result", text=text or loose.pretty(content), call_id=loose.text(value.get("toolUseId")),
                is_error=value.get("status") == "error")


def _file(kind: PartKind, main_type: str) -> Callable[[Mapping[str, Any]], Part]:
    def read_(value: Mapping[str, Any]) -> Part:
        source = loose.mapping(value.get("source"))
        form, data = loose.text(value.get("format")), loose.text(source.get("bytes"))
        media = f"{main_type}/{form}" if form else ""
        url = f"data:{media};base64,{data}" if data else loose.text(loose.mapping(source.get("s3Location")).get("uri"))
        return Part(kind, name=loose.text(value.get("name")), url=url, media_type=media)

    return read_


_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Part]]] = {
    "reasoningContent": _reasoned, "toolUse": _tool_use, "toolResult": _tool_result,
    "image": _file("image", "image"), "audio": _file("audio", "audio"), "video": _file("file", "video"),
    "document": _file("file", "application"),
}
