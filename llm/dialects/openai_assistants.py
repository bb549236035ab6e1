"""OpenAI assistants (https://platform.openai.com/docs/api-reference/assistants): runs of a thread, and all around them.

A run is made once, with or without a stream, and looked up until it has ended: only making it, or handing it the
output of tools, is a model's call. Threads, messages and assistants themselves run no model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_SETTINGS: Final = (
    "assistant_id", "temperature", "top_p", "max_prompt_tokens", "max_completion_tokens", "truncation_strategy",
    "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "stream",
)
_OBJECTS: Final = ("thread", "assistant")
_PATH: Final = re.compile(r"/(?:threads|assistants)(?:/|$)")
_RUNS: Final = re.compile(r"/runs(?:/[^/]+/submit_tool_outputs)?/?$")
_ENDED: Final = frozenset({"completed", "failed", "cancelled", "expired", "incomplete", "requires_action"})
TOLD_BY: Final = frozenset({"object"})


def score(call: Call) -> int:
    said = loose.text(call.sample.get("object"))
    if said.partition(".")[0] in _OBJECTS:
        return 100
    return 80 if _PATH.search(call.path) else 0


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The run as it ended, with the messages and steps that came of it; of a broken stream what had come."""
    body: dict[str, Any] = {}
    messages: dict[str, dict[str, Any]] = {}
    steps: dict[str, Any] = {}
    for event in events:
        if not isinstance(event, dict):
            continue
        said, identifier = loose.text(event.get("object")), loose.text(event.get("id"))
        if said == "thread.run":
            body.update({key: value for key, value in event.items() if value is not None or key not in body})
        elif said == "thread.message":
            messages[identifier] = dict(event)
        elif said == "thread.message.delta":
            _grow(messages.setdefault(identifier, {"role": "assistant"}), loose.mapping(event.get("delta")))
        elif said == "thread.run.step":
            steps[identifier] = event
        elif event.get("error"):
            body["error"] = event["error"]
    return {**body, **({"messages": list(messages.values())} if messages else {}),
            **({"steps": list(steps.values())} if steps else {})}


def _grow(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Join the pieces of a message's texts; a part has its place by index."""
    parts = message["content"] = [*loose.mappings(message.get("content"))]
    for piece in loose.mappings(delta.get("content")):
        index = loose.count(piece.get("index")) or 0
        known = next((part for part in parts if part.get("index", 0) == index), None)
        if known is None:
            parts.append(dict(piece))
        else:
            known["text"] = {**loose.mapping(known.get("text")), "value": _value(known) + _value(piece)}


def _value(part: Mapping[str, Any]) -> str:
    text = part.get("text")
    return text if isinstance(text, str) else loose.text(loose.mapping(text).get("value"))


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return loose.text(body.get("status")) in _ENDED


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    sent = body.get("usage")
    kind = _kind(call)
    return Reading(
        kind=kind,
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")) if kind != "other" else None,
        usage=usage.openai(sent) if isinstance(sent, dict) and sent else Usage(),
        finish_reason=loose.name(body.get("status")) if kind != "other" else None,
        provider_response_id=loose.name(body.get("id")),
        request_preview=preview.line("\n".join(_said(item.get("content")) for item in _asked(request))),
        response_preview=preview.line("\n".join(_said(item.get("content")) for item in _answered(body))),
        tool_calls=tuple(name for name, _ in openai_parts.tool_calls(_action(body))),
    )


def _kind(call: Call) -> str:
    if not _RUNS.search(call.path):
        return "retrieve" if "/runs/" in call.path else "other"
    return "llm" if call.method == "POST" else "retrieve"


def _action(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The calls a run waits for."""
    return loose.mapping(loose.mapping(body.get("required_action")).get("submit_tool_outputs"))


def _asked(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Messages of the request: of a thread made with its run, added to the run, or posted alone."""
    thread = loose.mapping(request.get("thread"))
    told = [*loose.mappings(thread.get("messages")), *loose.mappings(request.get("messages")),
            *loose.mappings(request.get("additional_messages"))]
    return [*told, dict(request)] if "role" in request else told


def _answered(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    if body.get("object") == "list":
        return [item for item in loose.mappings(body.get("data")) if item.get("object") == "thread.message"]
    return loose.mappings(body.get("messages"))


def _said(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(filter(None, map(_value, loose.mappings(content))))


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    instructions = loose.text(request.get("instructions") or (body.get("instructions") if request else None))
    system = [Message("system", (Part("text", text=instructions),))] if instructions else []
    calls = openai_parts.message({"role": "assistant", **_action(body)}) if _action(body) else None
    replies = [_message(item) for item in _answered(body)] + ([calls] if calls else [])
    return Conversation(
        messages=(*system, *map(_message, _asked(request))),
        reply=tuple(replies),
        tools=openai_parts.tools(request or body),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _message(item: Mapping[str, Any]) -> Message:
    content = item.get("content")
    if isinstance(content, str):
        return Message(loose.text(item.get("role")) or "unknown", (Part("text", text=content),))
    parts = [Part("text", text=_value(part)) if part.get("type") == "text" else openai_parts.part(part)
             for part in loose.mappings(content)]
    return Message(loose.text(item.get("role")) or "unknown", tuple(parts))
