"""Mistral's conversations (https://docs.mistral.ai/api/endpoint/beta/conversations): models and agents with a memory.

What its connectors read on the way is input that `prompt_tokens` leaves out and `total_tokens` has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lib.frozen import replace
from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_SETTINGS: Final = ("agent_id", "completion_args", "handoff_execution", "store", "stream", "connectors", "guardrails")
_EVENTS: Final = ("conversation.response.", "message.output.", "tool.execution.", "function.call.", "agent.handoff.")
_PATH: Final = re.compile(r"/conversations(?:/[^/]+(?:/restart)?)?/?$")
_SEARCHES: Final = ("web_search", "web_search_premium")
TOLD_BY: Final = frozenset({"type", "object"})


def score(call: Call) -> int:
    sample = call.sample
    is_event = loose.text(sample.get("type")).startswith(_EVENTS)
    return 100 if is_event or loose.text(sample.get("object")) == "conversation.response" else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The response a stream would have been: its outputs by id, pieces joined."""
    body: dict[str, Any] = {"object": "conversation.response"}
    outputs: dict[str, _Output] = {}
    for event in events:
        if not isinstance(event, dict):
            continue
        kind = loose.text(event.get("type"))
        if kind.startswith("conversation.response."):
            body.update({key: value for key, value in event.items() if key != "type"})
            if kind.endswith(".error"):
                body["error"] = openai_parts.without(event, "type")
        else:
            identifier = loose.text(event.get("id"))
            if identifier not in outputs:
                outputs[identifier] = _Output()
            outputs[identifier].take(event)
    return {**body, "outputs": [output.whole() for output in outputs.values()]}


class _Output:
    """An output while its events come in."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.pieces: dict[str, list[Any]] = {"content": [], "arguments": []}

    def take(self, event: Mapping[str, Any]) -> None:
        self.fields.update(event)
        for key, pieces in self.pieces.items():
            if (piece := event.get(key)) is not None:
                pieces.append(piece)

    def whole(self) -> dict[str, Any]:
        event = loose.text(self.fields.get("type"))
        kind = "function.call" if event.startswith("function.call") else event.rpartition(".")[0]
        said = {key: _joined(pieces) for key, pieces in self.pieces.items() if pieces}
        fields = {key: value for key, value in self.fields.items() if key not in ("content_index", "output_index")}
        return {**fields, **said, "type": kind}


def _joined(pieces: list[Any]) -> Any:
    return "".join(pieces) if all(isinstance(piece, str) for piece in pieces) else [_part(piece) for piece in pieces]


def _part(piece: Any) -> Any:
    return {"type": "text", "text": piece} if isinstance(piece, str) else piece


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return "usage" in body or "error" in body


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    outputs = loose.mappings(body.get("outputs"))
    called = [_called(item) for item in outputs if item.get("type") == "function.call"]
    said = "\n".join(filter(None, (openai_parts.content_text(item.get("content")) for item in outputs)))
    asked = request.get("inputs")
    return Reading(
        kind="llm" if call.method == "POST" and _PATH.search(call.path) else "retrieve",
        request_model=loose.name(request.get("model")),
        response_model=next(filter(None, (loose.name(item.get("model")) for item in reversed(outputs))), None),
        usage=_usage(loose.mapping(body.get("usage"))),
        provider_response_id=loose.name(body.get("conversation_id")),
        request_preview=preview.line(asked if isinstance(asked, str) else openai_parts.last_user_text(
            loose.listing(asked))),
        response_preview=preview.line(said) or (preview.tool_call(*called[0]) if called else ""),
        tool_calls=tuple(name for name, _ in called),
    )


def _usage(sent: Mapping[str, Any]) -> Usage:
    beside = loose.count(sent.get("connector_tokens")) or 0
    asked = loose.count(sent.get("prompt_tokens"))
    used = loose.mapping(sent.get("connectors"))
    searches = [count for name in _SEARCHES if (count := loose.count(used.get(name))) is not None]
    if asked is None:
        return Usage()
    told = usage.openai({**sent, "prompt_tokens": asked + beside}, web_searches=sum(searches) if searches else None)
    return replace(told, sent=sent)


def _called(item: Mapping[str, Any]) -> tuple[str, str]:
    return loose.text(item.get("name")), openai_parts.as_text(item.get("arguments"))


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    asked = request.get("inputs")
    messages = [Message("user", (Part("text", text=asked),))] if isinstance(asked, str) else [
        openai_parts.message(item) for item in loose.mappings(asked)]
    if instructions := loose.text(request.get("instructions")):
        messages.insert(0, Message("system", (Part("text", text=instructions),)))
    parts = tuple(part for item in loose.mappings(loose.mapping(response).get("outputs")) for part in _parts(item))
    return Conversation(
        messages=tuple(messages),
        reply=(Message("assistant", parts),) if parts else (),
        tools=openai_parts.tools(request),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _parts(item: Mapping[str, Any]) -> list[Part]:
    kind = loose.text(item.get("type"))
    if kind == "message.output":
        return openai_parts.content_parts(item.get("content"))
    if kind in ("function.call", "tool.execution"):
        name, arguments = _called(item)
        return [Part("tool_call", text=arguments, name=name, call_id=loose.text(item.get("tool_call_id")))]
    return [Part("data", text=loose.pretty(item), name=kind)]
