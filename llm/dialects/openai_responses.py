"""OpenAI Responses (https://platform.openai.com/docs/api-reference/responses) and its event streams.

`response.completed` carries the whole reply and wins; a stream that broke off is rebuilt from its finished items
and, for the one under way, from its deltas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Problem, Reading, Usage

_SETTINGS: Final = (
    "temperature", "top_p", "max_output_tokens", "max_tool_calls", "reasoning", "text", "tool_choice",
    "parallel_tool_calls", "truncation", "service_tier", "previous_response_id", "conversation", "background",
    "include", "store", "stream",
)
_ARGUMENTS: Final = ("arguments", "input", "action", "code", "queries", "query")
_ENDED: Final = frozenset({"completed", "failed", "incomplete", "cancelled", "queued"})
_PATH: Final = re.compile(r"/responses(/|$)")
TOLD_BY: Final = frozenset({"object", "type"})


def score(call: Call) -> int:
    sample = call.sample
    said = loose.text(sample.get("object"))
    if said == "response" or said.startswith("response.") or loose.text(sample.get("type")).startswith("response."):
        return 100
    if _PATH.search(call.path):
        return 70
    return 15 if "input" in call.request and "model" in call.request and "instructions" in call.request else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The response a stream would have been."""
    body: dict[str, Any] = {}
    items: dict[int, dict[str, Any]] = {}
    place: tuple[Any, ...] | None = None
    growing: list[str] = []
    for event in events:
        if not isinstance(event, dict):
            continue
        here = (event.get("type"), event.get("output_index"), event.get("content_index"), event.get("summary_index"))
        if here == place and isinstance(piece := event.get("delta"), str):
            growing.append(piece)  # nearly all events continue the one before
        elif (pieces := _take(event, body, items)) is not None:
            place, growing = here, pieces
        else:
            place = None
    if not loose.listing(body.get("output")) and items:
        body["output"] = [_closed(items[index]) for index in sorted(items)]
    return body


def _take(event: Mapping[str, Any], body: dict[str, Any], items: dict[int, dict[str, Any]]) -> list[str] | None:
    """Take one event in; of a delta the pieces it belongs to, for those that follow it."""
    kind = loose.text(event.get("type"))
    if kind.endswith(".delta") and not event.get("error"):
        return _take_delta(kind, event, items.setdefault(_index(event), {"type": "message"}))
    if isinstance(whole := event.get("response"), dict):
        body.update({key: value for key, value in whole.items() if value is not None or key not in body})
    elif kind in ("response.output_item.added", "response.output_item.done"):
        if isinstance(item := event.get("item"), dict):
            items[_index(event)] = dict(item)
    elif kind == "error" or event.get("error"):
        body["error"] = event.get("error") or openai_parts.without(event, "type")
    return None


def _index(event: Mapping[str, Any]) -> int:
    return loose.count(event.get("output_index")) or 0


_FIELDS: Final = {
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.code_interpreter_call_code.delta": "code",
}
_CONTENTS: Final = {
    "response.output_text.delta": ("content", "output_text", "text"),
    "response.refusal.delta": ("content", "refusal", "refusal"),
    "response.reasoning_text.delta": ("content", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_text", "text"),
}
_GROWING: Final = "\x00pieces"
"""Key of the pieces an item has so far, while it is under way: {(list, index, type, field): [text, …]}."""


def _take_delta(kind: str, event: Mapping[str, Any], item: dict[str, Any]) -> list[str] | None:
    pieces = item.setdefault(_GROWING, {})
    if field := _FIELDS.get(kind):
        place: tuple[Any, ...] = (field,)
    elif content := _CONTENTS.get(kind):
        index = loose.count(event.get("content_index", event.get("summary_index"))) or 0
        place = (content[0], index, *content[1:])
    else:
        return None
    grown: list[str] = pieces.setdefault(place, [])
    grown.append(loose.text(event.get("delta")))
    return grown


def _closed(item: dict[str, Any]) -> dict[str, Any]:
    """An item with its pieces put in; a finished one (`output_item.done`) has none."""
    pieces = item.pop(_GROWING, {})
    for place, texts in pieces.items():
        if len(place) == 1:
            item[place[0]] = "".join(texts)
        else:
            name, _, kind, field = place
            item[name] = [*loose.listing(item.get(name)), {"type": kind, field: "".join(texts)}]
    return item


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return loose.text(body.get("status")) in _ENDED


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    sent = body.get("usage")
    output = loose.mappings(body.get("output"))
    calls = _calls(output)
    searches = sum(map(_is_search, output)) or None
    kind = _kind(call)
    return Reading(
        kind=kind,
        problems=_background(kind, body) if not call.events else (),
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=_usage(kind, body, sent, searches=searches),
        finish_reason=_finish_reason(body),
        provider_response_id=loose.name(body.get("id")),
        service_tier=loose.name(body.get("service_tier")),
        provider_cost_nano_usd=usage.declared_cost(sent) if isinstance(sent, dict) else None,
        end_user_id=loose.name(request.get("user")),
        request_preview=_request_preview(request),
        response_preview=_response_preview(output, calls),
        tool_calls=tuple(name for name, _ in calls),
    )


def _kind(call: Call) -> str:
    """Only creating (or compacting) a response runs a model: looking one up again must not be counted twice."""
    if call.path.endswith("/input_tokens"):
        return "count"
    runs_model = call.method == "POST" and not call.path.endswith("/cancel")
    return "llm" if runs_model else "retrieve"


def _is_search(item: Mapping[str, Any]) -> bool:
    """Whether an item is a search that is charged: opening a page found, or looking into it, is not."""
    action = loose.mapping(item.get("action"))
    return item.get("type") == "web_search_call" and action.get("type") in (None, "search")


def _background(kind: str, body: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Why a reply that is still being made tells no usage."""
    if kind != "llm" or body.get("usage") or loose.text(body.get("status")) not in ("queued", "in_progress"):
        return ()
    return (Problem("usage_missing", "made in the background; what it used is told when it is looked up"),)


def _usage(kind: str, body: Mapping[str, Any], sent: Any, *, searches: int | None) -> Usage:
    if isinstance(sent, dict) and sent:
        return usage.openai(sent, web_searches=searches)
    counted = loose.count(body.get("input_tokens")) if kind == "count" else None
    return Usage(input_tokens=counted, sent=body if counted is not None else None)


def _finish_reason(body: Mapping[str, Any]) -> str | None:
    return loose.name(loose.mapping(body.get("incomplete_details")).get("reason")) or loose.name(body.get("status"))


def _calls(output: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(name, arguments) of what the reply calls: the client's tools by name, the provider's own by their type."""
    return [
        (_name(item), _arguments(item))
        for item in output
        if loose.text(item.get("type")).endswith("_call")
    ]


def _arguments(item: Mapping[str, Any]) -> str:
    return openai_parts.as_text(next((item[key] for key in _ARGUMENTS if item.get(key) is not None), None))


def _request_preview(request: Mapping[str, Any]) -> str:
    said = request.get("input")
    return preview.line(said if isinstance(said, str) else openai_parts.last_user_text(loose.listing(said)))


def _response_preview(output: list[dict[str, Any]], calls: list[tuple[str, str]]) -> str:
    messages = [item for item in output if item.get("type") == "message"]
    said = "\n".join(filter(None, (openai_parts.content_text(item.get("content")) for item in messages)))
    if said:
        return preview.line(said)
    if calls:
        return preview.tool_call(*calls[0])
    refusals = [loose.text(part.get("refusal")) for item in messages for part in loose.mappings(item.get("content"))]
    return preview.line("\n".join(refusals))


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    finish = _finish_reason(body) or ""
    parts = tuple(part for item in loose.mappings(body.get("output")) for part in _item_parts(item))
    return Conversation(
        messages=tuple(_messages(request)),
        reply=(Message("assistant", parts, finish_reason=finish),) if parts else (),
        tools=openai_parts.tools(request),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _messages(request: Mapping[str, Any]) -> list[Message]:
    messages = []
    if isinstance(instructions := request.get("instructions"), str) and instructions:
        messages.append(Message("system", (Part("text", text=instructions),)))
    said = request.get("input")
    if isinstance(said, str):
        messages.append(Message("user", (Part("text", text=said),)))
    return messages + [_message(item) for item in loose.mappings(said)]


def _message(item: Mapping[str, Any]) -> Message:
    if "role" in item and item.get("type") in (None, "message"):
        return openai_parts.message(item)
    role = "tool" if loose.text(item.get("type")).endswith("_output") else "assistant"
    return Message(role, tuple(_item_parts(item)))


def _item_parts(item: Mapping[str, Any]) -> list[Part]:
    kind = loose.text(item.get("type"))
    if kind == "message":
        return openai_parts.content_parts(item.get("content"))
    if kind in ("reasoning", "compaction"):
        return _thoughts(item)
    if kind == "image_generation_call":
        return _image(item)
    if kind.endswith("_output"):
        return [Part("tool_result", text=_said(item.get("output")), call_id=_call_id(item))]
    if kind.endswith("_call"):
        return [Part("tool_call", text=_arguments(item), name=_name(item), call_id=_call_id(item)), *_results(item)]
    return [Part("data", text=loose.pretty(item), name=kind)]


def _thoughts(item: Mapping[str, Any]) -> list[Part]:
    thoughts = [*loose.listing(item.get("summary")), *loose.listing(item.get("content"))]
    if said := openai_parts.content_text(thoughts):
        return [Part("reasoning", text=said)]
    return [Part("reasoning", text="(encrypted)")] if item.get("encrypted_content") else []


def _image(item: Mapping[str, Any]) -> list[Part]:
    kind = f"image/{loose.text(item.get('output_format')) or 'png'}"
    if data := loose.text(item.get("result")):
        return [Part("image", url=f"data:{kind};base64,{data}", media_type=kind)]
    return [Part("tool_call", text=_arguments(item), name=_name(item), call_id=_call_id(item))]


def _name(item: Mapping[str, Any]) -> str:
    """What was called: the client's tool by its name, the provider's own by its type."""
    return loose.text(item.get("name")) or loose.text(item.get("type"))


def _call_id(item: Mapping[str, Any]) -> str:
    return loose.text(item.get("call_id")) or loose.text(item.get("id"))


_RESULTS: Final = ("output", "outputs", "results", "error")


def _results(item: Mapping[str, Any]) -> list[Part]:
    """What the provider's own tool answered, where that is told beside its call."""
    told = [(key, item[key]) for key in _RESULTS if item.get(key)]
    return [Part("tool_result", text=_said(value), name=_name(item), call_id=_call_id(item), is_error=key == "error")
            for key, value in told]


def _said(value: Any) -> str:
    if isinstance(value, str):
        return value
    return openai_parts.content_text(value) or ("" if value is None else loose.pretty(value))
