"""Cohere's chat, generate and summarize, version 1 (https://docs.cohere.com/v1/reference/chat).

Streams are JSON lines; the last, `stream-end`, has the whole reply with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import cohere_parts, loose, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part, ToolSpec
from llm.exchange import Reading

_EVENTS: Final = frozenset({
    "stream-start", "text-generation", "stream-end", "tool-calls-generation", "tool-calls-chunk", "stream-error",
    "citation-generation", "search-queries-generation", "search-results",
})
_PATHS: Final = ("/v1/chat", "/v1/generate", "/v1/summarize")
_ROLES: Final = {"CHATBOT": "assistant", "Chatbot": "assistant", "USER": "user", "User": "user", "SYSTEM": "system",
                 "System": "system", "TOOL": "tool", "Tool": "tool"}
_SETTINGS: Final = (
    "temperature", "p", "k", "max_tokens", "max_input_tokens", "seed", "stop_sequences", "end_sequences",
    "frequency_penalty", "presence_penalty", "prompt_truncation", "connectors", "citation_quality", "safety_mode",
    "search_queries_only", "raw_prompting", "response_format", "force_single_step", "num_generations",
    "return_likelihoods", "truncate", "length", "format", "extractiveness", "conversation_id", "stream",
)
_DROPPED: Final = frozenset({"event_type", "is_finished", "response", "text", "tool_call_delta"})
_LISTS: Final = frozenset({"citations", "search_queries", "search_results", "documents", "tool_calls"})
TOLD_BY: Final = frozenset({"event_type"})


def score(call: Call) -> int:
    sample = call.sample
    if loose.text(sample.get("event_type")) in _EVENTS:
        return 100
    if "text" in sample and ("generation_id" in sample or "response_id" in sample or "chat_history" in sample):
        return 92
    if "meta" in sample and (isinstance(sample.get("generations"), list) or "summary" in sample):
        return 92
    if call.path.endswith(_PATHS) and not {"messages", "input"} & call.request.keys():
        return 78
    return 25 if "message" in call.request and "chat_history" in call.request else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply the last event has; where it is missing, what the events before it said."""
    body: dict[str, Any] = {}
    texts: list[str] = []
    whole: Mapping[str, Any] = {}
    for event in events:
        if not isinstance(event, dict):
            continue
        if event.get("event_type") == "text-generation":
            texts.append(loose.text(event.get("text")))
        else:
            whole = loose.mapping(event.get("response")) or whole
            _take(event, body)
    if texts:
        body["text"] = "".join(texts)
    return {**body, **whole}


def _take(event: Mapping[str, Any], body: dict[str, Any]) -> None:
    for key, value in event.items():
        if key in _LISTS and isinstance(value, list):
            body[key] = [*loose.listing(body.get(key)), *value]
        elif key not in _DROPPED and value is not None:
            body[key] = value


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return any(isinstance(event, dict) and event.get("event_type") == "stream-end" for event in events[-3:])


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    called = [(loose.text(item.get("name")), loose.compact(item.get("parameters") or {}))
              for item in loose.mappings(body.get("tool_calls"))]
    said = next(iter(_said(body)), "")
    return Reading(
        kind="llm" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=cohere_parts.read(body),
        finish_reason=_finish_reason(body),
        provider_response_id=loose.name(body.get("response_id")) or loose.name(body.get("id"))
        or loose.name(body.get("generation_id")),
        request_preview=preview.line(_asked(request)),
        response_preview=preview.line(said) or (preview.tool_call(*called[0]) if called else ""),
        tool_calls=tuple(name for name, _ in called if name),
    )


def _asked(request: Mapping[str, Any]) -> str:
    return next(filter(None, (loose.text(request.get(key)) for key in ("message", "prompt", "text"))), "")


def _said(body: Mapping[str, Any]) -> list[str]:
    """The texts of a reply: chat's one, generate's several, a summary."""
    if isinstance(generations := body.get("generations"), list):
        return [loose.text(item.get("text")) for item in loose.mappings(generations)]
    said = loose.text(body.get("text")) or loose.text(body.get("summary"))
    return [said] if said else []


def _finish_reason(body: Mapping[str, Any]) -> str | None:
    first = loose.first(body.get("generations"))
    return loose.name(body.get("finish_reason")) or loose.name(first.get("finish_reason"))


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    return Conversation(
        messages=tuple(_messages(request)),
        reply=_reply(loose.mapping(response)),
        tools=tuple(_tool(item) for item in loose.mappings(request.get("tools"))),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _messages(request: Mapping[str, Any]) -> list[Message]:
    found = [Message("system", (Part("text", text=text),)) for key in ("preamble", "preamble_override")
             if (text := loose.text(request.get(key)))]
    if documents := cohere_parts.documents(request.get("documents")):
        found.append(Message("documents", tuple(documents)))
    found += [_turn(item) for item in loose.mappings(request.get("chat_history"))]
    if asked := _asked(request):
        found.append(Message("user", (Part("text", text=asked),)))
    if results := _results(request):
        found.append(Message("tool", tuple(results)))
    return found


def _turn(item: Mapping[str, Any]) -> Message:
    role = loose.text(item.get("role")) or loose.text(item.get("user_name")) or "unknown"
    said = loose.text(item.get("message")) or loose.text(item.get("text"))
    texts = [Part("text", text=said)] if said else []
    return Message(_ROLES.get(role, role), (*texts, *_calls(item), *_results(item)))


def _calls(item: Mapping[str, Any]) -> list[Part]:
    return [Part("tool_call", text=loose.compact(call.get("parameters") or {}), name=loose.text(call.get("name")))
            for call in loose.mappings(item.get("tool_calls"))]


def _results(item: Mapping[str, Any]) -> list[Part]:
    return [Part("tool_result", text=loose.pretty(result.get("outputs")),
                 name=loose.text(loose.mapping(result.get("call")).get("name")))
            for result in loose.mappings(item.get("tool_results"))]


def _reply(body: Mapping[str, Any]) -> tuple[Message, ...]:
    if isinstance(generations := body.get("generations"), list):
        return tuple(Message("assistant", (Part("text", text=loose.text(item.get("text"))),),
                             finish_reason=loose.text(item.get("finish_reason")))
                     for item in loose.mappings(generations))
    parts = [*(Part("text", text=said) for said in _said(body)), *_calls(body),
             *cohere_parts.citations(body.get("citations"))]
    if queries := loose.mappings(body.get("search_queries")):
        parts.append(Part("data", text=loose.pretty(queries), name="search queries"))
    reason = _finish_reason(body) or ""
    return (Message("assistant", tuple(parts), finish_reason=reason),) if parts or reason else ()


def _tool(item: Mapping[str, Any]) -> ToolSpec:
    schema = item.get("parameter_definitions")
    return ToolSpec(loose.text(item.get("name")), loose.text(item.get("description")),
                    schema if isinstance(schema, dict) else None)
