"""Meta's Llama API (https://llama.developer.meta.com/docs/api/chat): a `completion_message`, counts in `metrics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview
from llm.call import Call
from llm.conversation import Conversation, Message
from llm.exchange import Reading, Usage

_SETTINGS: Final = (
    "temperature", "top_p", "top_k", "max_completion_tokens", "repetition_penalty", "response_format", "tool_choice",
    "user", "stream",
)
_COUNTS: Final = ("num_prompt_tokens", "num_completion_tokens", "num_total_tokens")
TOLD_BY: Final = frozenset({"completion_message", "event"})


def score(call: Call) -> int:
    sample = call.sample
    if isinstance(sample.get("completion_message"), dict) or "event_type" in loose.mapping(sample.get("event")):
        return 100
    return 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been: texts joined, tool calls by id, the metrics of its last event."""
    body: dict[str, Any] = {}
    message: dict[str, Any] = {"role": "assistant"}
    texts: list[str] = []
    calls: dict[str, dict[str, Any]] = {}
    for chunk in events:
        if not isinstance(chunk, dict):
            continue
        body.update({key: value for key, value in chunk.items() if key != "event"})
        event = loose.mapping(chunk.get("event"))
        _take(loose.mapping(event.get("delta")), texts, calls)
        if event.get("stop_reason"):
            message["stop_reason"] = event["stop_reason"]
        if isinstance(event.get("metrics"), list):
            body["metrics"] = event["metrics"]
    message["content"] = {"type": "text", "text": "".join(texts)}
    if calls:
        message["tool_calls"] = list(calls.values())
    return {**body, "completion_message": message}


def _take(delta: Mapping[str, Any], texts: list[str], calls: dict[str, dict[str, Any]]) -> None:
    texts.append(loose.text(delta.get("text")))
    if isinstance(function := delta.get("function"), dict):
        identifier = loose.text(delta.get("id")) or next(reversed(calls), "")
        openai_parts.grow_object(calls.setdefault(identifier, {"id": identifier}), {"function": function})


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return bool(loose.mapping(body.get("completion_message")).get("stop_reason"))


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    message = _message(body)
    calls = openai_parts.tool_calls(message)
    said = openai_parts.content_text(message.get("content"))
    return Reading(
        kind="llm" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=_usage(body),
        finish_reason=loose.name(message.get("stop_reason")),
        provider_response_id=loose.name(body.get("id")),
        end_user_id=loose.name(request.get("user")),
        request_preview=preview.line(openai_parts.last_user_text(loose.listing(request.get("messages")))),
        response_preview=preview.line(said) or (preview.tool_call(*calls[0]) if calls else ""),
        tool_calls=tuple(name for name, _ in calls),
    )


def _message(body: Mapping[str, Any]) -> dict[str, Any]:
    """The reply's message with its content as a list of parts, as elsewhere."""
    message = dict(loose.mapping(body.get("completion_message")))
    if isinstance(content := message.get("content"), dict):
        message["content"] = [content]
    return message


def _usage(body: Mapping[str, Any]) -> Usage:
    told = {loose.text(item.get("metric")): item.get("value") for item in loose.mappings(body.get("metrics"))}
    return Usage(
        input_tokens=loose.count(told.get("num_prompt_tokens")),
        output_tokens=loose.count(told.get("num_completion_tokens")),
        sent={name: told[name] for name in _COUNTS if name in told} or None,
    )


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    message = _message(body)
    shown = openai_parts.message({"role": "assistant", **message})
    finish = loose.text(message.get("stop_reason"))
    return Conversation(
        messages=tuple(openai_parts.message(item) for item in loose.mappings(request.get("messages"))),
        reply=(Message(shown.role, shown.parts, shown.name, finish),) if message else (),
        tools=openai_parts.tools(request),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )
