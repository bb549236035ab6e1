"""Google's interactions (https://ai.google.dev/api/interactions-api): models and agents, with a memory at Google.

Replies have `steps` (before May 2026 `outputs`); streams are SSE events with an `event_type`. Looking an interaction up
tells its usage once more, so only the call that made it is a model call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from llm import errors, loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Problem, Reading, Usage

_EVENTS: Final = ("interaction.", "content.", "step.")
_SETTINGS: Final = (
    "previous_interaction_id", "agent_config", "response_format", "response_mime_type", "response_modalities",
    "service_tier", "cached_content", "background", "store", "stream", "labels",
)
_RUNNING: Final = frozenset({"in_progress", "queued"})
_MEDIA: Final = frozenset({"image", "audio", "video", "document"})
_URLSAFE: Final = str.maketrans("-_", "+/")
TOLD_BY: Final = frozenset({"event_type", "object"})


def score(call: Call) -> int:
    sample = call.sample
    if loose.text(sample.get("event_type")).startswith(_EVENTS):
        return 100
    if sample.get("object") == "interaction":
        return 100
    if "status" in sample and (isinstance(sample.get("steps"), list) or isinstance(sample.get("outputs"), list)):
        return 75
    return 80 if call.path.endswith("/interactions") or "/interactions/" in call.path else 0


_PIECES: Final = {f"{piece}.{what}": name for piece, name in (("content", "outputs"), ("step", "steps"))
                  for what in ("start", "delta", "stop")}
"""Events that are pieces, and the list they belong to."""


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The interaction a stream would have been: its steps by index, deltas joined."""
    body: dict[str, Any] = {}
    items: dict[int, _Item] = {}
    name = "steps"
    for event in events:
        if not isinstance(event, dict):
            continue
        kind = loose.text(event.get("event_type"))
        if kind in _PIECES:
            name = _PIECES[kind]
            _item(event.get("index"), items).take(event, is_step=name == "steps")
        if "delta" not in event:
            _facts(event, body)
    if items and not body.get(name):
        body[name] = [items[index].whole() for index in sorted(items)]
    return body


def _facts(event: Mapping[str, Any], body: dict[str, Any]) -> None:
    """What an event says of the whole: the interaction, its status, usage so far, an error."""
    interaction = loose.mapping(event.get("interaction"))
    body.update({key: value for key, value in interaction.items() if value is not None})
    told = event.get("usage") or loose.mapping(event.get("metadata")).get("total_usage")
    if isinstance(told, dict) and told:
        body["usage"] = told
    for key in ("status", "error"):
        if event.get(key):
            body[key] = event[key]
    if "id" not in body and (named := loose.name(event.get("interaction_id"))):
        body["id"] = named


def _item(index: Any, items: dict[int, _Item]) -> _Item:
    number = index if type(index) is int else 0
    if number not in items:
        items[number] = _Item()
    return items[number]


class _Item:
    """One step (or output) while its deltas come in."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.contents: list[dict[str, Any]] = []
        self.summary: list[dict[str, Any]] = []
        self.pieces: dict[int, list[str]] = {}
        """Texts by the identity of the content they belong to."""
        self.arguments: list[str] = []

    def take(self, event: Mapping[str, Any], *, is_step: bool) -> None:
        if isinstance(delta := event.get("delta"), dict):
            self._delta(delta, is_step=is_step)
        for key in ("step", "content"):
            if key in event:
                for name, value in loose.mapping(event[key]).items():
                    self._start(name, value)

    def _start(self, name: str, value: Any) -> None:
        if name in ("content", "summary") and isinstance(value, list):
            for item in loose.mappings(value):
                self._add(self.contents if name == "content" else self.summary, item)
        elif value is not None:
            self.fields[name] = value

    def _delta(self, delta: Mapping[str, Any], *, is_step: bool) -> None:
        kind = loose.text(delta.get("type"))
        if kind == "text" or kind in _MEDIA:
            if "type" not in self.fields:
                self.fields["type"] = "model_output" if is_step else kind
            self._add(self.contents, delta)
        elif kind == "thought_summary":
            self.fields.setdefault("type", "thought")
            self._add(self.summary, loose.mapping(delta.get("content")))
        elif kind == "arguments_delta":
            self.arguments.append(loose.text(delta.get("arguments")))
        elif kind == "text_annotation_delta":
            last = self.contents[-1] if self.contents else self.fields
            last["annotations"] = [*loose.listing(last.get("annotations")), *loose.listing(delta.get("annotations"))]
        elif kind == "thought_signature":
            self.fields.setdefault("type", "thought")
            self.fields["signature"] = delta.get("signature")
        else:
            self._merge(delta)

    def _add(self, known: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
        """A piece of content: text goes on with the text before it."""
        text = piece.get("text")
        is_text = piece.get("type", "text") == "text"
        if isinstance(text, str) and is_text and known and known[-1].get("type") == "text":
            self.pieces[id(known[-1])].append(text)
            if len(piece) > 2:
                known[-1].update({key: value for key, value in piece.items() if key != "text"})
        elif piece:
            known.append(dict(piece))
            self.pieces[id(known[-1])] = [text] if isinstance(text, str) else []

    def _merge(self, delta: Mapping[str, Any]) -> None:
        """A delta of a tool's call or result: lists go on, texts that are results are joined."""
        for key, value in delta.items():
            before = self.fields.get(key)
            if isinstance(value, list) and isinstance(before, list):
                self.fields[key] = [*before, *value]
            elif key == "result" and isinstance(value, str) and isinstance(before, str):
                self.fields[key] = before + value
            elif value is not None:
                self.fields[key] = value

    def whole(self) -> dict[str, Any]:
        for item in (*self.contents, *self.summary):
            if pieces := self.pieces.get(id(item)):
                item["text"] = "".join(pieces)
        whole = dict(self.fields)
        if self.arguments and (joined := "".join(self.arguments)):
            whole["arguments"] = _json(joined)
        if self.summary:
            whole["summary"] = self.summary
        if not self.contents:
            return whole
        if whole.get("type") in ("text", *_MEDIA):
            return _lone(whole, self.contents)
        return {**whole, "content": self.contents}


def _lone(whole: dict[str, Any], contents: list[dict[str, Any]]) -> dict[str, Any]:
    """An output that is its own content; media may come in several pieces."""
    first = loose.text(whole.get("text")) + loose.text(contents[0].get("text"))
    texts = {"text": first} if "text" in whole or "text" in contents[0] else {}
    rest = {"pieces": contents[1:]} if len(contents) > 1 else {}
    return {**whole, **contents[0], **texts, **rest}


def _json(text: str) -> Any:
    """Arguments from their pieces; broken JSON (a cut stream) stays the text it is."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    status = body.get("status")
    return isinstance(status, str) and status not in _RUNNING


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    kind = _kind(call)
    parts = [part for item in _items(body) for part in _part(item)]
    called = [(part.name, part.text) for part in _calls(body)]
    sent = body.get("usage")
    error_type, error_message = _error(body)
    return Reading(
        kind=kind,
        request_model=loose.name(request.get("model")) or loose.name(request.get("agent")),
        response_model=loose.name(body.get("model")) or loose.name(body.get("agent")),
        usage=_usage(sent) if isinstance(sent, dict) and sent else Usage(),
        finish_reason=loose.name(body.get("status")),
        provider_response_id=loose.name(body.get("id")),
        service_tier=loose.name(body.get("service_tier")),
        error_type=error_type,
        error_message=error_message,
        request_preview=preview.line(_asked(request)),
        response_preview=_response_preview(parts, called),
        tool_calls=tuple(name for name, _ in called),
        problems=_background(kind, body) if not call.events else (),
    )


def _kind(call: Call) -> str:
    """Only making one runs a model; looking one up, cancelling and deleting it do not."""
    if call.method == "POST":
        return "other" if call.path.endswith("/cancel") else "llm"
    return "retrieve" if call.method == "GET" else "other"


def _background(kind: str, body: Mapping[str, Any]) -> tuple[Problem, ...]:
    if kind != "llm" or body.get("usage") or loose.text(body.get("status")) not in _RUNNING:
        return ()
    return (Problem("usage_missing", "made in the background; what it used is told when it is looked up"),)


def _error(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Why an interaction failed, where it says so in `errors` and not in `error`."""
    first = loose.first(body.get("errors"))
    return errors.of({"error": first}, {}) if first and body.get("status") == "failed" else (None, None)


def _usage(sent: Mapping[str, Any]) -> Usage:
    """Thoughts and the prompts of tools come on top of input and output, unless the total says they are within."""
    asked, answered = loose.count(sent.get("total_input_tokens")), loose.count(sent.get("total_output_tokens"))
    tools = loose.count(sent.get("total_tool_use_tokens")) or 0
    thoughts = usage.first(sent, ("total_thought_tokens", "total_reasoning_tokens"))
    rest = _beside(loose.count(sent.get("total_tokens")), (asked or 0) + (answered or 0), tools, thoughts or 0)
    heard, said = sent.get("input_tokens_by_modality"), sent.get("output_tokens_by_modality")
    return usage.whole(Usage(
        input_tokens=None if asked is None and not tools else (asked or 0) + rest[0],
        output_tokens=None if answered is None and thoughts is None else (answered or 0) + rest[1],
        cache_read_tokens=loose.count(sent.get("total_cached_tokens")),
        reasoning_tokens=thoughts,
        input_audio_tokens=_modality(heard, "audio"),
        output_audio_tokens=_modality(said, "audio"),
        input_image_tokens=_modality(heard, "image"),
        output_image_tokens=_modality(said, "image"),
        web_searches=_searches(sent.get("grounding_tool_count")),
        sent=sent,
    ))


def _beside(total: int | None, known: int, tools: int, thoughts: int) -> tuple[int, int]:
    """(tools, thoughts) that come on top of `known`, as the total tells."""
    choices = ((tools, thoughts), (0, thoughts), (tools, 0), (0, 0))
    return next((choice for choice in choices if total == known + sum(choice)), choices[0])


def _modality(details: Any, name: str) -> int | None:
    counts = [loose.count(item.get("tokens")) or 0 for item in loose.mappings(details)
              if loose.text(item.get("modality")).lower() == name]
    return sum(counts) if counts else None


def _searches(told: Any) -> int | None:
    counts = [loose.count(item.get("count")) or 0 for item in loose.mappings(told)
              if item.get("type") == "google_search"]
    return sum(counts) if counts else None


def _items(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What came back; a reply may repeat what it was asked."""
    items = loose.mappings(body.get("steps")) or loose.mappings(body.get("outputs"))
    return [item for item in items if item.get("type") != "user_input"]


def _calls(body: Mapping[str, Any]) -> list[Part]:
    """Calls the client is asked to make; what Google's own tools did is not among them."""
    return [part for item in _items(body) if item.get("type") == "function_call" for part in _part(item)]


def _asked(request: Mapping[str, Any]) -> str:
    for message in reversed(_messages(request)):
        if message.role == "user" and (texts := [part.text for part in message.parts if part.kind == "text"]):
            return "\n".join(texts)
    return ""


def _response_preview(parts: list[Part], called: list[tuple[str, str]]) -> str:
    if said := "".join(part.text for part in parts if part.kind == "text"):
        return preview.line(said)
    if called:
        return preview.tool_call(*called[0])
    return preview.line(", ".join(part.media_type for part in parts if part.media_type))


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    system = loose.text(request.get("system_instruction"))
    parts = tuple(part for item in _items(body) for part in _part(item))
    status = loose.text(body.get("status"))
    return Conversation(
        messages=(*([Message("system", (Part("text", text=system),))] if system else []), *_messages(request)),
        reply=(Message("assistant", parts, finish_reason=status),) if parts else (),
        tools=openai_parts.tools(request),
        settings={**loose.mapping(request.get("generation_config")),
                  **{key: request[key] for key in _SETTINGS if key in request}},
    )


_SPEAKERS: Final = {"model": "assistant", "user_input": "user", "model_output": "assistant", "function_result": "tool"}


def _messages(request: Mapping[str, Any]) -> list[Message]:
    """The input as turns: a text, contents, turns with roles, or steps; what belongs to one speaker stands together."""
    told = request.get("input")
    found: list[Message] = []
    for item in told if isinstance(told, list) else [told]:
        message = _turn(item)
        if found and found[-1].role == message.role and "role" not in loose.mapping(item):
            found[-1] = Message(message.role, (*found[-1].parts, *message.parts))
        elif message.parts:
            found.append(message)
    return found


def _turn(item: Any) -> Message:
    if isinstance(item, str):
        return Message("user", (Part("text", text=item),))
    turn = loose.mapping(item)
    role = loose.text(turn.get("role"))
    if role:
        return Message(_SPEAKERS.get(role, role), tuple(_contents(turn.get("content"))))
    kind = loose.text(turn.get("type"))
    is_models = kind == "thought" or kind.endswith(("_call", "_result"))
    return Message(_SPEAKERS.get(kind, "assistant" if is_models else "user"), tuple(_part(turn)) if turn else ())


def _contents(content: Any) -> Iterator[Part]:
    for item in content if isinstance(content, list) else [content]:
        if isinstance(item, str):
            yield Part("text", text=item)
        elif isinstance(item, dict):
            yield from _part(item)


def _part(item: Mapping[str, Any]) -> Iterator[Part]:
    kind = loose.text(item.get("type"))
    if kind in ("model_output", "user_input"):
        yield from _contents(item.get("content"))
    elif kind == "text":
        yield Part("text", text=loose.text(item.get("text")))
        yield from (Part("data", text=loose.pretty(note), name="annotation") for note in
                    loose.mappings(item.get("annotations")))
    elif kind == "thought":
        said = "".join(part.text for part in _contents(item.get("summary")))
        if said:
            yield Part("reasoning", text=said)
    elif kind in _MEDIA:
        yield _media(item, kind)
        yield from (_media(piece, kind) for piece in loose.mappings(item.get("pieces")))
    elif kind.endswith("_call"):
        name = loose.text(item.get("name")) or kind.removesuffix("_call")
        yield Part("tool_call", text=openai_parts.as_text(item.get("arguments") or {}), name=name,
                   call_id=loose.text(item.get("id")))
    elif kind.endswith("_result"):
        yield from _result(item, kind)
    elif item:
        yield Part("data", text=loose.pretty(item), name=kind)


def _result(item: Mapping[str, Any], kind: str) -> Iterator[Part]:
    result = item.get("result")
    shown = list(_contents(result)) if isinstance(result, list) and kind == "function_result" else []
    texts = "\n".join(part.text for part in shown if part.kind == "text")
    name = loose.text(item.get("name")) or kind.removesuffix("_result")
    yield Part("tool_result", text=texts or (result if isinstance(result, str) else loose.pretty(result)), name=name,
               call_id=loose.text(item.get("call_id")), is_error=item.get("is_error") is True)
    yield from (part for part in shown if part.kind != "text")


def _media(item: Mapping[str, Any], kind: str) -> Part:
    media_type, data = loose.text(item.get("mime_type")), loose.text(item.get("data"))
    address = loose.text(item.get("uri"))
    url = f"data:{media_type};base64,{data.translate(_URLSAFE)}" if data else address
    is_shown = url.startswith(("data:", "https://", "http://"))
    if kind in ("image", "audio") and is_shown:
        return Part("image" if kind == "image" else "audio", url=url, media_type=media_type)
    return Part("file", url=url if is_shown else "", name=address, media_type=media_type)
