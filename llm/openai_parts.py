"""Messages, content parts and tool calls in OpenAI's shape, as requests, replies and deltas share them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Final, TypeVar

from llm import loose
from llm.conversation import Message, Part, ToolSpec

_TEXTS: Final = frozenset({"content", "reasoning_content", "reasoning", "thinking", "refusal"})
"""Delta fields whose strings are pieces to be joined; other strings are facts, the latest stands."""
REASONING_KEYS: Final = ("reasoning_content", "reasoning", "thinking")


# --- growing a message from deltas ------------------------------------------------------------------------------------


_Kind = TypeVar("_Kind", list[Any], dict[str, Any])


class Growing:
    """A message while its deltas come in."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._arguments: dict[int, list[str]] = {}
        """Of each call, pieces of its arguments that are not in it yet."""

    def take(self, delta: Mapping[str, Any]) -> None:
        texts = self._texts
        for key, value in delta.items():
            if value is None:
                continue
            if key in texts and type(value) is str:
                texts[key].append(value)
            elif key == "tool_calls" and type(value) is list:
                for piece in value:
                    if type(piece) is dict:
                        self._take_call(piece)
            else:
                self._take_other(key, value)

    def _take_other(self, key: str, value: Any) -> None:
        if key in _TEXTS and isinstance(value, str):
            self._texts.setdefault(key, []).append(value)
        elif isinstance(value, list):
            merge_indexed(self._known(key, list), value)
        elif key in ("function_call", "audio") and isinstance(value, dict):
            grow_object(self._known(key, dict), value)
        elif key != "tool_calls":
            self._fields[key] = value

    def _known(self, key: str, kind: type[_Kind]) -> _Kind:
        """The field as far as it is known; what it was before it changed its kind is forgotten."""
        known = self._fields.get(key)
        if not isinstance(known, kind):
            known = self._fields[key] = kind()
        return known

    def _take_call(self, piece: Mapping[str, Any]) -> None:
        index, function = piece.get("index"), piece.get("function")
        if len(piece) == 2 and type(function) is dict and len(function) == 1 and type(index) is int:
            more = function.get("arguments")
            if type(more) is str and index in self._arguments:
                self._arguments[index].append(more)  # nearly all pieces are so
                return
        slot = self._slot(piece)
        self._catch_up(slot)
        grow_object(self._calls.setdefault(slot, {}), piece)
        self._arguments.setdefault(slot, [])

    def _catch_up(self, slot: int) -> None:
        if pieces := self._arguments.get(slot):
            grow_object(self._calls[slot], {"function": {"arguments": "".join(pieces)}})
            pieces.clear()

    def _slot(self, piece: Mapping[str, Any]) -> int:
        """Which call a piece belongs to: its index, unless a new id under a used index says it is another call."""
        index, identifier = piece.get("index"), piece.get("id")
        if not isinstance(index, int):
            starts = bool(identifier) or bool(loose.mapping(piece.get("function")).get("name"))
            index = len(self._calls) if starts or not self._calls else max(self._calls)
        known = self._calls.get(index)
        if known and identifier and known.get("id") not in (None, "", identifier):
            named = [slot for slot, call in self._calls.items() if call.get("id") == identifier]
            return named[0] if named else max(self._calls) + 1
        return index

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None, **self._fields}
        for key, pieces in self._texts.items():
            parts = self._fields.get(key)
            joined = "".join(pieces)
            if not isinstance(parts, list):
                message[key] = joined if joined or key == "content" else None
            elif joined:
                message[key] = [*parts, {"type": "text", "text": joined}]
        for slot in self._calls:
            self._catch_up(slot)
        if self._calls:
            message["tool_calls"] = [without(self._calls[slot], "index") for slot in sorted(self._calls)]
        return message


_DROPPED: Final = frozenset({"choices", "obfuscation"})
_OVERLAID: Final = frozenset({"usage", "x_groq"})


def tops(latest: Mapping[str, Any], events: Iterable[Any]) -> dict[str, Any]:
    """Everything of a stream's chunks but their choices: of each key the latest that says something. `latest` has all
    chunks laid over each other."""
    body: dict[str, Any] = {}
    for key, value in latest.items():
        if key in _DROPPED:
            continue
        if key in _OVERLAID or value is None or value == "":
            said = [chunk[key] for chunk in events if isinstance(chunk, dict) and chunk.get(key)]
            if said:
                body[key] = _overlaid(said) if key in _OVERLAID else said[-1]
        else:
            body[key] = value
    return body


def _overlaid(objects: list[Any]) -> dict[str, Any]:
    """Later facts over earlier ones, never added."""
    found: dict[str, Any] = {}
    for item in objects:
        found.update(loose.mapping(item))
    return found


_PIECES: Final = frozenset({"arguments", "data", "transcript", "input"})


def grow_object(known: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Merge one delta object into what is known: `arguments`, `data` and such are joined, facts are set."""
    for key, value in piece.items():
        if value is None:
            continue
        if isinstance(value, dict) and isinstance(inner := known.setdefault(key, {}), dict):
            grow_object(inner, value)
        elif key in _PIECES and isinstance(value, str):
            known[key] = loose.text(known.get(key)) + value
        elif value != "" or key not in known:
            known[key] = value


def merge_indexed(known: list[Any], pieces: Iterable[Any]) -> None:
    """Append list items; a text item of the same kind (and index) as the last one continues it."""
    for piece in pieces:
        if known and _continues(known[-1], piece):
            _join(known[-1], piece)
        else:
            known.append(deepcopy(piece))


_JOINED: Final = ("text", "thinking", "summary", "data", "signature")


def _continues(last: Any, piece: Any) -> bool:
    if not isinstance(last, dict) or not isinstance(piece, dict) or last.get("type") != piece.get("type"):
        return False
    return last.get("index") == piece.get("index") and any(key in piece and key in last for key in _JOINED)


def _join(last: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for key, value in piece.items():
        if key in _JOINED and isinstance(value, str):
            last[key] = loose.text(last.get(key)) + value
        elif isinstance(value, list) and isinstance(last.get(key), list):
            last[key] = [*last[key]]
            merge_indexed(last[key], value)
        elif value is not None:
            last[key] = value


def extend_lists(known: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for key, value in piece.items():
        if isinstance(value, list):
            known[key] = [*loose.listing(known.get(key)), *value]
        elif value is not None or key not in known:
            known[key] = value


def joined(pieces: Iterable[Any]) -> str:
    """A text from its pieces, or from itself told whole each time."""
    said = [piece for piece in pieces if isinstance(piece, str) and piece]
    is_restated = all(map(str.startswith, said[1:], said))
    return said[-1] if said and is_restated else "".join(said)


def without(source: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name != key}


# --- reading messages -------------------------------------------------------------------------------------------------


def content_text(content: Any) -> str:
    """The text of a content field: itself, or its text parts joined."""
    if isinstance(content, str):
        return content
    return "\n".join(filter(None, (loose.text(part.get("text")) for part in loose.mappings(content))))


def last_user_text(messages: list[Any]) -> str:
    for item in reversed(messages):
        if isinstance(item, dict) and item.get("role") == "user" and (said := content_text(item.get("content"))):
            return said
    last = messages[-1] if messages else None
    return content_text(last.get("content")) if isinstance(last, dict) else ""


def tool_calls(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, arguments as text) of the calls of a message, the old `function_call` among them."""
    called = []
    for call in loose.mappings(message.get("tool_calls")):
        target = loose.mapping(call.get("function") or call.get("custom"))
        called.append((loose.text(target.get("name")), as_text(target.get("arguments", target.get("input")))))
    if isinstance(legacy := message.get("function_call"), dict):
        called.append((loose.text(legacy.get("name")), as_text(legacy.get("arguments"))))
    return [call for call in called if call[0]]


def as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else loose.compact(value)


# --- for people -------------------------------------------------------------------------------------------------------


def message(item: Mapping[str, Any]) -> Message:
    role, name = loose.text(item.get("role")) or "unknown", loose.text(item.get("name"))
    if role in ("tool", "function"):
        content = content_text(item.get("content")) or as_text(item.get("content"))
        call_id = loose.text(item.get("tool_call_id"))
        return Message(role, (Part("tool_result", text=content, name=name, call_id=call_id),), name)
    return Message(role, tuple(_message_parts(item)), name)


def _message_parts(item: Mapping[str, Any]) -> Iterable[Part]:
    for key in REASONING_KEYS:
        if isinstance(thought := item.get(key), str) and thought:
            yield Part("reasoning", text=thought)
            break
    yield from content_parts(item.get("content"))
    if isinstance(refusal := item.get("refusal"), str) and refusal:
        yield Part("refusal", text=refusal)
    for image in loose.mappings(item.get("images")):
        yield part(image)
    if isinstance(audio := item.get("audio"), dict):
        yield _audio(audio)
    yield from _call_parts(item)
    for note in loose.mappings(item.get("annotations")):
        yield Part("data", text=loose.pretty(note), name="annotation")


def _call_parts(item: Mapping[str, Any]) -> Iterable[Part]:
    for call in loose.mappings(item.get("tool_calls")):
        target = loose.mapping(call.get("function") or call.get("custom"))
        arguments = as_text(target.get("arguments", target.get("input")))
        yield Part("tool_call", text=arguments, name=loose.text(target.get("name")), call_id=loose.text(call.get("id")))
    if isinstance(legacy := item.get("function_call"), dict):
        yield Part("tool_call", text=as_text(legacy.get("arguments")), name=loose.text(legacy.get("name")))


def content_parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [Part("text", text=content)] if content else []
    return [part(item) if isinstance(item, dict) else Part("text", text=str(item)) for item in loose.listing(content)]


def part(item: Mapping[str, Any]) -> Part:
    """One content part; a kind nobody here knows is shown as data."""
    read = _PARTS.get(loose.text(item.get("type")))
    return read(item) if read else Part("data", text=loose.pretty(item), name=loose.text(item.get("type")))


def _text(item: Mapping[str, Any]) -> Part:
    return Part("text", text=loose.text(item.get("text")))


def _image(item: Mapping[str, Any]) -> Part:
    source = item.get("image_url")
    url = loose.text(source) or loose.text(loose.mapping(source).get("url"))
    return Part("image", url=url or loose.text(item.get("url")), name=loose.text(item.get("file_id")))


def _audio(item: Mapping[str, Any]) -> Part:
    source = loose.mapping(item.get("input_audio")) or item
    kind = f"audio/{loose.text(source.get('format')) or 'wav'}"
    data = loose.text(source.get("data"))
    url = f"data:{kind};base64,{data}" if data else ""
    return Part("audio", text=loose.text(source.get("transcript")), url=url, media_type=kind)


def _file(item: Mapping[str, Any]) -> Part:
    source = loose.mapping(item.get("file")) or item
    url = loose.text(source.get("file_data")) or loose.text(source.get("file_url"))
    return Part("file", name=loose.text(source.get("filename")) or loose.text(source.get("file_id")), url=url)


def _thinking(item: Mapping[str, Any]) -> Part:
    thought = item.get("thinking") or item.get("text")
    return Part("reasoning", text=content_text(thought))


def _refusal(item: Mapping[str, Any]) -> Part:
    return Part("refusal", text=loose.text(item.get("refusal")))


_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Part]]] = {
    "text": _text, "input_text": _text, "output_text": _text, "summary_text": _text, "reasoning_text": _thinking,
    "image_url": _image, "input_image": _image, "input_audio": _audio, "file": _file, "input_file": _file,
    "thinking": _thinking, "refusal": _refusal,
}


def tools(request: Mapping[str, Any]) -> tuple[ToolSpec, ...]:
    """Tools offered: chat's nested form, Responses' flat one, the old `functions`."""
    offered = [*loose.mappings(request.get("tools")), *loose.mappings(request.get("functions"))]
    return tuple(_tool(item) for item in offered)


def _tool(item: Mapping[str, Any]) -> ToolSpec:
    spec = loose.mapping(item.get("function") or item.get("custom")) or item
    schema = spec.get("parameters") or spec.get("input_schema")
    name = loose.text(spec.get("name")) or loose.text(item.get("type"))
    return ToolSpec(name, loose.text(spec.get("description")), schema if isinstance(schema, dict) else None)
