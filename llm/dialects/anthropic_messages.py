"""Anthropic messages (https://docs.anthropic.com/en/api/messages), its streams, and count_tokens apart.

`usage.input_tokens` leaves cache reads and writes out: totals add them. `message_delta.usage` is cumulative and may
restate everything: it is laid over, never added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from llm import loose, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part, ToolSpec
from llm.exchange import Problem, Reading, Usage

_EVENTS: Final = frozenset({
    "message_start", "message_delta", "message_stop",
    "content_block_start", "content_block_delta", "content_block_stop",
})
_SETTINGS: Final = (
    "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "tool_choice", "thinking", "output_config",
    "context_management", "service_tier", "speed", "stream", "container", "betas",
)
_CALLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
_COUNT_PATHS: Final = ("/count_tokens", "/count-tokens:rawpredict")
"""Anthropic's, and Vertex' model of that name."""
TOLD_BY: Final = frozenset({"type"})


def score(call: Call) -> int:
    sample = call.sample
    kind = loose.text(sample.get("type"))
    if (kind == "message" and "content" in sample) or kind in _EVENTS:
        return 100
    if kind == "error" and isinstance(sample.get("error"), dict):
        return 75
    if call.path.endswith(("/messages", *_COUNT_PATHS)) and "/threads/" not in call.path:
        return 75
    if "/publishers/anthropic/" in call.path:
        return 70
    if "anthropic_version" in call.request:
        return 60
    return 25 if "messages" in call.request and "system" in call.request else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The message a stream would have been: blocks by index, partial JSON joined and read, usage overlaid."""
    body: dict[str, Any] = {}
    blocks: dict[int, _Block] = {}
    for event in events:
        if not isinstance(event, dict):
            continue
        if event.get("type") == "content_block_delta" and isinstance(delta := event.get("delta"), dict):
            _block(event.get("index"), blocks).take(delta)
        else:
            _take(event, body, blocks)
    if blocks or "content" not in body:
        body["content"] = [*loose.listing(body.get("content")), *(blocks[index].whole() for index in sorted(blocks))]
    return body


def _take(event: Mapping[str, Any], body: dict[str, Any], blocks: dict[int, _Block]) -> None:
    kind = event.get("type")
    if kind == "content_block_start":
        _block(event.get("index"), blocks).start(loose.mapping(event.get("content_block")))
    elif kind == "message_start":
        _overlay(body, loose.mapping(event.get("message")))
    elif kind == "message_delta":
        _overlay(body, loose.mapping(event.get("delta")))
        _overlay(body, {key: value for key, value in event.items() if key not in ("type", "delta")})
    elif kind == "error" or (kind is None and event.get("error")):
        body["error"] = event.get("error")
    elif kind == "message":
        _overlay(body, event)


def _block(index: Any, blocks: dict[int, _Block]) -> _Block:
    number = index if type(index) is int else 0
    if number not in blocks:
        blocks[number] = _Block()
    return blocks[number]


def _overlay(known: dict[str, Any], later: Mapping[str, Any]) -> None:
    """Lay later facts over earlier ones; objects key by key, so that what is not restated stays."""
    for key, value in later.items():
        if isinstance(value, dict) and isinstance(known.get(key), dict):
            known[key] = {**known[key], **{name: item for name, item in value.items() if item is not None}}
        elif value is not None or key not in known:
            known[key] = value


_DELTAS: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature",
                  "input_json_delta": "partial_json", "compaction_delta": "content"}


class _Block:
    """One content block while its deltas come in."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.pieces: dict[str, list[str]] = {}

    def start(self, block: Mapping[str, Any]) -> None:
        self.fields = {**block, **self.fields}

    def take(self, delta: Mapping[str, Any]) -> None:
        kind = loose.text(delta.get("type"))
        if (key := _DELTAS.get(kind)) and isinstance(piece := delta.get(key), str):
            if key in self.pieces:
                self.pieces[key].append(piece)
            else:
                self.pieces[key] = [piece]
        elif kind == "citations_delta":
            self.fields["citations"] = [*loose.listing(self.fields.get("citations")), delta.get("citation")]
        else:
            self.fields.update({name: value for name, value in delta.items() if name != "type"})

    def whole(self) -> dict[str, Any]:
        block = dict(self.fields)
        for key, pieces in self.pieces.items():
            joined = "".join(pieces)
            if key == "partial_json":
                block["input"] = _json(joined, block.get("input"))
            else:
                block[key] = loose.text(block.get(key)) + joined
        if "type" not in block and "text" in block:
            block["type"] = "text"
        return block


def _json(text: str, otherwise: Any) -> Any:
    """Tool input from its pieces; broken JSON (a cut stream) stays the text it is."""
    if not text:
        return otherwise
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return body.get("stop_reason") is not None or any(
        isinstance(event, dict) and event.get("type") == "message_stop" for event in events[-3:]
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    if call.path.endswith(_COUNT_PATHS):
        return _count(request, body)
    sent = body.get("usage")
    blocks = loose.mappings(body.get("content"))
    called = [block for block in blocks if loose.text(block.get("type")) in _CALLS]
    calls = [(loose.text(block.get("name")), block.get("input")) for block in called]
    return Reading(
        kind=_kind(call),
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=usage.anthropic(sent) if isinstance(sent, dict) else Usage(),
        finish_reason=loose.name(body.get("stop_reason")),
        provider_response_id=loose.name(body.get("id")),
        service_tier=loose.name(loose.mapping(sent).get("service_tier")),
        provider_cost_nano_usd=usage.declared_cost(sent) if isinstance(sent, dict) else None,
        end_user_id=_end_user(request),
        request_preview=_request_preview(request),
        response_preview=_response_preview(blocks, calls),
        tool_calls=tuple(name for name, _ in calls if name),
        problems=_beside(loose.mapping(sent)),
    )


def _kind(call: Call) -> str:
    """Batches, files and models of the same API are no model calls."""
    return "llm" if call.method == "POST" and "/batches" not in call.path else "other"


def _beside(sent: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Advisors and compactions: each tells its tokens in an iteration of its own, and the totals leave them out."""
    said = "; ".join(
        f"{each.what} {each.model or ''}".strip()
        + f": {each.usage.input_tokens} in, {each.usage.output_tokens} out" for each in usage.beside(sent)
    )  # fmt: skip
    return (Problem("usage_beside", said[:200]),) if said else ()


def _count(request: Mapping[str, Any], body: Mapping[str, Any]) -> Reading:
    counted = loose.count(body.get("input_tokens"))
    return Reading(
        kind="count",
        request_model=loose.name(request.get("model")),
        usage=Usage(input_tokens=counted, sent=body) if counted is not None else Usage(),
        request_preview=_request_preview(request),
        response_preview="" if counted is None else f"{counted} tokens",
    )


def _end_user(request: Mapping[str, Any]) -> str | None:
    return loose.name(loose.mapping(request.get("metadata")).get("user_id"))


def _request_preview(request: Mapping[str, Any]) -> str:
    for item in reversed(loose.listing(request.get("messages"))):
        if isinstance(item, dict) and item.get("role") == "user" and (said := _said(item.get("content"))):
            return preview.line(said)
    return preview.line(loose.text(request.get("prompt")))


def _said(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(filter(None, (loose.text(block.get("text")) for block in loose.mappings(content))))


def _response_preview(blocks: list[dict[str, Any]], calls: list[tuple[str, Any]]) -> str:
    if said := _said(blocks):
        return preview.line(said)
    return preview.tool_call(calls[0][0], _as_text(calls[0][1])) if calls else ""


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
    content = _parts(body.get("content"))
    reply = Message("assistant", content, finish_reason=loose.text(body.get("stop_reason")))
    return Conversation(
        messages=tuple(messages),
        reply=(reply,) if content else (),
        tools=tuple(_tool(item) for item in loose.mappings(request.get("tools"))),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _tool(item: Mapping[str, Any]) -> ToolSpec:
    schema = item.get("input_schema")
    name = loose.text(item.get("name")) or loose.text(item.get("type"))
    return ToolSpec(name, loose.text(item.get("description")), schema if isinstance(schema, dict) else None)


def _parts(content: Any) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Part("text", text=content),) if content else ()
    return tuple(part for block in loose.mappings(content) for part in _part(block))


def _part(block: Mapping[str, Any]) -> tuple[Part, ...]:
    kind = loose.text(block.get("type"))
    if read_ := _PARTS.get(kind):
        return (read_(block),)
    if kind.endswith("_tool_result"):
        return (_tool_result(block),)
    return (Part("data", text=loose.pretty(block), name=kind),)


def _text(block: Mapping[str, Any]) -> Part:
    return Part("text", text=loose.text(block.get("text")))


def _thinking(block: Mapping[str, Any]) -> Part:
    return Part("reasoning", text=loose.text(block.get("thinking")) or "(redacted)")


def _tool_use(block: Mapping[str, Any]) -> Part:
    return Part("tool_call", text=_as_text(block.get("input", {})), name=loose.text(block.get("name")),
                call_id=loose.text(block.get("id")))


def _tool_result(block: Mapping[str, Any]) -> Part:
    content = block.get("content")
    is_plain = isinstance(content, str) or all(item.get("type") == "text" for item in loose.mappings(content))
    text = _said(content) if is_plain else ""
    return Part("tool_result", text=text or loose.pretty(content), name=loose.text(block.get("name")),
                call_id=loose.text(block.get("tool_use_id")), is_error=block.get("is_error") is True)


def _source(block: Mapping[str, Any]) -> tuple[str, str]:
    source = loose.mapping(block.get("source"))
    kind, data = loose.text(source.get("media_type")), loose.text(source.get("data"))
    return (f"data:{kind};base64,{data}" if data else loose.text(source.get("url"))), kind


def _image(block: Mapping[str, Any]) -> Part:
    url, kind = _source(block)
    return Part("image", url=url, media_type=kind)


def _document(block: Mapping[str, Any]) -> Part:
    url, kind = _source(block)
    return Part("file", name=loose.text(block.get("title")), url=url, media_type=kind)


_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Part]]] = {
    "text": _text, "thinking": _thinking, "redacted_thinking": _thinking, "tool_use": _tool_use,
    "server_tool_use": _tool_use, "mcp_tool_use": _tool_use, "tool_result": _tool_result,
    "mcp_tool_result": _tool_result, "image": _image, "document": _document,
}
