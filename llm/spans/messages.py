"""Messages in whatever shape an SDK writes them into attributes, as the conversation they were.

Met: GenAI's parts, OpenAI's and Anthropic's messages, Gemini's contents, Vercel's model messages, OpenInference's
wrapped ones, plain text. What nobody knows is shown as data and never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llm import loose, openai_parts
from llm.conversation import Message, Part, ToolSpec
from llm.spans.span import unpacked

_WRAPPERS: Final = ("message", "message_content", "tool_call", "tool")
_CALLED: Final = ("name", "toolName", "tool_name")
_ROLES: Final = {"model": "assistant", "ai": "assistant", "human": "user", "developer": "system"}


def messages(value: Any, role: str) -> tuple[Message, ...]:
    """The messages of a value; `role` is for those that tell none."""
    value = unpacked(value)
    if value in (None, "", [], {}):
        return ()
    if isinstance(value, list):
        if _are_parts(value):
            return (Message(role, tuple(_parts(value))),)
        return tuple(_message(item, role) for item in value)
    for key in ("messages", "contents"):
        if isinstance(value, dict) and isinstance(unpacked(value.get(key)), list):
            return _with_system(value, messages(value[key], role))
    return (_message(value, role),)


def _with_system(value: Mapping[str, Any], found: tuple[Message, ...]) -> tuple[Message, ...]:
    for key in ("system", "instructions", "system_instruction"):
        if said := value.get(key):
            return (*messages(said, "system"), *found)
    return found


def _are_parts(value: list[Any]) -> bool:
    """A list of one message's parts: they have a type and no role."""
    return all(isinstance(i, dict) and isinstance(i.get("type"), str) and "role" not in i and "message" not in i
               for i in value)


def _unwrapped(item: Any) -> Any:
    while isinstance(item, dict) and len(item) == 1 and isinstance(item.get(key := next(iter(item))), dict):
        if key not in _WRAPPERS:
            break
        item = item[key]
    return item


def _message(item: Any, role: str) -> Message:
    item = _unwrapped(unpacked(item))
    if not isinstance(item, dict):
        return Message(role, (_text(item),))
    if isinstance(inner := item.get("message"), dict) and "role" in inner:
        item = {**inner, "finish_reason": item.get("finish_reason", inner.get("finish_reason"))}
    said = loose.text(item.get("role")).lower()
    parts = [*_thoughts(item), *_said(item), *_calls(item)]
    return Message(
        _ROLES.get(said, said) or role, tuple(parts) or ((_data(item),) if _says_more(item) else ()),
        name=loose.text(item.get("name")), finish_reason=loose.text(item.get("finish_reason")),
    )  # fmt: skip


def _says_more(item: Mapping[str, Any]) -> bool:
    said = (value for key, value in item.items() if key not in ("role", "content", "parts", "text"))
    return any(value not in (None, "", [], {}) for value in said)


def _text(value: Any) -> Part:
    return Part("text", text=value) if isinstance(value, str) else _data(value)


def _data(value: Any) -> Part:
    return Part("data", text=loose.pretty(value))


def _thoughts(item: Mapping[str, Any]) -> Iterable[Part]:
    for key in openai_parts.REASONING_KEYS:
        if text := loose.name(item.get(key)):
            yield Part("reasoning", text=text)
            return


def _said(item: Mapping[str, Any]) -> Iterable[Part]:
    for key in ("parts", "contents", "content", "text"):
        value = item.get(key)
        value = unpacked(value) if isinstance(value, str) and key != "content" else value
        if value in (None, "", [], {}):
            continue
        if loose.text(item.get("role")) == "tool" and not _has_kinds(value):
            yield _result(item, value)
        elif isinstance(value, list):
            yield from _parts(value)
        else:
            yield _text(value)
        return


def _has_kinds(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, dict) and "type" in item for item in value)


def _result(item: Mapping[str, Any], value: Any) -> Part:
    call_id = loose.text(item.get("tool_call_id")) or loose.text(item.get("id"))
    return Part("tool_result", text=_shown(value), name=loose.text(item.get("name")), call_id=call_id)


def _calls(item: Mapping[str, Any]) -> Iterable[Part]:
    for call in loose.listing(unpacked(item.get("tool_calls"))):
        if isinstance(call := _unwrapped(call), dict):
            yield _call(call)


def _call(call: Mapping[str, Any]) -> Part:
    """Of a call in any spelling: {function: {name, arguments}}, {name, arguments|args|input}, {toolName, …}."""
    inner = loose.mapping(call.get("function")) or call
    name = _first_text(inner, _CALLED)
    asked = next((inner[key] for key in ("arguments", "args", "input", "parameters") if inner.get(key) is not None), "")
    call_id = _first_text(call, ("id", "toolCallId", "call_id", "tool_call_id", "toolUseId"))
    return Part("tool_call", text=_shown(asked), name=name, call_id=call_id)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else loose.pretty(value)


# --- parts ------------------------------------------------------------------------------------------------------------


def _parts(values: Iterable[Any]) -> Iterable[Part]:
    for value in values:
        value = _unwrapped(unpacked(value))
        yield _part(value) if isinstance(value, dict) else _text(value)


_CALLS: Final = frozenset({
    "tool_call", "tool-call", "tool_use", "function_call", "server_tool_call",
    "server_tool_use",
})  # fmt: skip
_RESULTS: Final = frozenset({
    "tool_call_response", "tool-result", "tool_result", "function_call_output", "server_tool_call_response",
})  # fmt: skip
_TEXTS: Final = frozenset({"text", "input_text", "output_text", "compaction"})
_REASONING: Final = frozenset({"reasoning", "thinking"})
_MEDIA: Final = frozenset({"blob", "uri", "file", "image", "audio", "video"})


def _part(item: Mapping[str, Any]) -> Part:
    kind = loose.text(item.get("type"))
    if kind in _TEXTS and (text := _first_text(item, ("content", "text"))):
        return Part("text", text=text)
    if kind in _REASONING and (text := _first_text(item, ("content", "text", "thinking", "reasoning"))):
        return Part("reasoning", text=text)
    if kind in _CALLS:
        return _call({**item, **loose.mapping(item.get("server_tool_call"))})
    if kind in _RESULTS:
        return _answered(item)
    if kind in _MEDIA and not isinstance(item.get("source"), dict):
        return _media(item)
    return openai_parts.part(item) if kind else _gemini(item)


def _first_text(item: Mapping[str, Any], keys: Iterable[str]) -> str:
    return next((text for key in keys if (text := loose.text(item.get(key)))), "")


def _answered(item: Mapping[str, Any]) -> Part:
    said = next((item[k] for k in ("response", "result", "output", "content") if item.get(k) is not None), "")
    name = _first_text(item, ("name", "toolName"))
    call_id = _first_text(item, ("id", "toolCallId", "tool_use_id", "toolUseId", "call_id"))
    return Part("tool_result", text=_shown(said), name=name, call_id=call_id, is_error=item.get("is_error") is True)


_MODALITIES: Final = {"image": "image", "audio": "audio"}


def _media(item: Mapping[str, Any]) -> Part:
    """GenAI's blob, uri and file; OpenInference's image {"image": {"url"}}."""
    media_type = _first_text(item, ("mime_type", "media_type", "mediaType"))
    modality = loose.text(item.get("modality")) or media_type.partition("/")[0] or loose.text(item.get("type"))
    kind = _MODALITIES.get(modality, "file")
    url = _first_text(item, ("uri", "url", "file_id", "image", "data")) or _inner_url(item)
    if not url and (content := loose.text(item.get("content"))):
        url = f"data:{media_type or 'application/octet-stream'};base64,{content}"
    return Part(kind, text=_first_text(item, ("transcript", "text")), url=url, media_type=media_type)  # type: ignore[arg-type]


def _inner_url(item: Mapping[str, Any]) -> str:
    image = _unwrapped(item.get("image"))
    inner = loose.mapping(loose.mapping(image).get("image")) or loose.mapping(image)
    return loose.text(inner.get("url"))


def _gemini(item: Mapping[str, Any]) -> Part:
    """A part that is named by its only key: Gemini's, Bedrock's, Haystack's."""
    if isinstance(text := item.get("text"), str):
        return Part("reasoning" if item.get("thought") is True else "text", text=text)
    for key in ("functionCall", "function_call", "toolUse", "tool_call"):
        if isinstance(call := item.get(key), dict):
            return _call(call)
    for key in ("functionResponse", "function_response", "toolResult", "tool_call_result"):
        if isinstance(said := item.get(key), dict):
            return _answered(said)
    if "arguments" in item and _first_text(item, _CALLED):
        return _call(item)
    thought = loose.mapping(loose.mapping(item.get("reasoningContent")).get("reasoningText")).get("text")
    return Part("reasoning", text=thought) if isinstance(thought, str) else _data(item)


# --- tools ------------------------------------------------------------------------------------------------------------


def tools(value: Any) -> tuple[ToolSpec, ...]:
    """Tools offered, each an object or JSON text of one."""
    found = []
    for item in loose.listing(unpacked(value)):
        item = _unwrapped(unpacked(item))
        item = unpacked(item.get("json_schema", item)) if isinstance(item, dict) else item
        inner = loose.mapping(loose.mapping(item).get("function")) or loose.mapping(item)
        if name := loose.text(inner.get("name")):
            schema = next(
                (inner[k] for k in ("parameters", "input_schema", "inputSchema", "parameters_json_schema")
                 if isinstance(inner.get(k), dict)), None,
            )  # fmt: skip
            found.append(ToolSpec(name, loose.text(inner.get("description")), schema))
    return tuple(found)
