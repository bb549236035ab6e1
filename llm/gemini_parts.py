"""Contents and parts in Google's shape, as requests, replies and streams share them.

The API names fields in camel case; its Python clients send some, and dump all, in snake case: `at` reads both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from llm import loose
from llm.conversation import Message, Part, PartKind, ToolSpec

_URLSAFE: Final = str.maketrans("-_", "+/")
"""Python's client sends base64 in the alphabet for addresses; `data:` wants the usual one."""
_ROLES: Final = {"model": "assistant", "function": "tool", "": "user"}


def at(source: Mapping[str, Any], name: str) -> Any:
    """A field by its camel-case name, or as snake case."""
    value = source.get(name)
    return source.get(_snake(name)) if value is None else value


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)


# --- reading ----------------------------------------------------------------------------------------------------------


def contents(value: Any) -> list[Mapping[str, Any]]:
    """Contents as a list of objects with role and parts, however short a client wrote them."""
    found: list[Mapping[str, Any]] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            found.append({"role": "user", "parts": [{"text": item}]})
        elif isinstance(item, dict):
            found.append(item if "parts" in item or "role" in item else {"role": "user", "parts": [item]})
    return found


def parts(content: Any) -> list[Mapping[str, Any]]:
    """The parts of a content; a lone part or text counts as one."""
    found = content.get("parts") if type(content) is dict else None
    if type(found) is list and len(found) == 1 and type(found[0]) is dict:
        return found  # nearly all contents of a stream
    if isinstance(content, str):
        return [{"text": content}] if content else []
    found = found if isinstance(found, list) else [found]
    return [{"text": part} if isinstance(part, str) else part for part in found if isinstance(part, str | dict)]


def said(content: Any) -> str:
    """The text of a content, without thoughts."""
    return "\n".join(filter(None, (loose.text(part.get("text")) for part in parts(content) if not part.get("thought"))))


def last_user_text(value: Any) -> str:
    for content in reversed(contents(value)):
        if content.get("role", "user") == "user" and (text := said(content)):
            return text
    return ""


def calls(content: Any) -> list[tuple[str, str]]:
    """(name, arguments as JSON) of the functions a content calls."""
    called = [loose.mapping(at(part, "functionCall")) for part in parts(content)]
    return [(name, loose.compact(call.get("args") or {})) for call in called if (name := loose.text(call.get("name")))]


# --- for people -------------------------------------------------------------------------------------------------------


def message(content: Mapping[str, Any], role: str = "") -> Message:
    named = role or loose.text(content.get("role"))
    return Message(_ROLES.get(named, named), tuple(shown(content)))


def shown(content: Any) -> Iterator[Part]:
    for part in parts(content):
        yield from _part(part)


_SIGNATURES: Final = ("thought", "thoughtSignature", "thought_signature")


def _part(part: Mapping[str, Any]) -> Iterator[Part]:
    if isinstance(text := part.get("text"), str):
        if text:
            yield Part("reasoning" if part.get("thought") else "text", text=text)
        return
    for name, read in _PARTS.items():
        if isinstance(value := at(part, name), dict):
            yield from read(value)
            return
    rest = {key: value for key, value in part.items() if value is not None and key not in _SIGNATURES}
    if rest:
        yield Part("data", text=loose.pretty(rest))


def _inline(value: Mapping[str, Any]) -> Iterator[Part]:
    kind, data = loose.text(at(value, "mimeType")), loose.text(value.get("data"))
    url = f"data:{kind};base64,{data.translate(_URLSAFE)}" if data else ""
    yield Part(_kind(kind), url=url, media_type=kind, name=loose.text(at(value, "displayName")))


def _file(value: Mapping[str, Any]) -> Iterator[Part]:
    kind, address = loose.text(at(value, "mimeType")), loose.text(at(value, "fileUri"))
    is_web = address.startswith(("https://", "http://"))
    name = loose.text(at(value, "displayName")) or address
    yield Part(_kind(kind) if is_web else "file", url=address if is_web else "", media_type=kind, name=name)


def _kind(media_type: str) -> PartKind:
    if media_type.startswith("image/"):
        return "image"
    return "audio" if media_type.startswith("audio/") else "file"


def _call(value: Mapping[str, Any]) -> Iterator[Part]:
    name = loose.text(value.get("name")) or loose.text(at(value, "toolType"))
    yield Part("tool_call", text=loose.compact(value.get("args") or {}), name=name, call_id=loose.text(value.get("id")))


def _result(value: Mapping[str, Any]) -> Iterator[Part]:
    answer = value.get("response")
    name = loose.text(value.get("name")) or loose.text(at(value, "toolType"))
    yield Part("tool_result", text=answer if isinstance(answer, str) else loose.pretty(answer), name=name,
               call_id=loose.text(value.get("id")), is_error="error" in loose.mapping(answer))
    yield from shown(value)


def _code(value: Mapping[str, Any]) -> Iterator[Part]:
    language = loose.text(value.get("language")).lower() or "code"
    yield Part("tool_call", text=loose.text(value.get("code")), name=f"run {language}",
               call_id=loose.text(value.get("id")))


def _ran(value: Mapping[str, Any]) -> Iterator[Part]:
    outcome = value.get("outcome")
    is_error = outcome not in ("OUTCOME_OK", "OUTCOME_UNSPECIFIED", 1, 0, None)
    yield Part("tool_result", text=loose.text(value.get("output")), name=str(outcome or ""),
               call_id=loose.text(value.get("id")), is_error=is_error)


_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[Part]]]] = {
    "inlineData": _inline, "fileData": _file, "functionCall": _call, "functionResponse": _result,
    "executableCode": _code, "codeExecutionResult": _ran, "toolCall": _call, "toolResponse": _result,
}


def tools(offered: Any) -> tuple[ToolSpec, ...]:
    """Functions declared, and the provider's own tools by their key (`googleSearch`, `codeExecution`)."""
    found: list[ToolSpec] = []
    for tool in loose.mappings(offered if isinstance(offered, list) else [offered]):
        declared = at(tool, "functionDeclarations")
        found += [_tool(item) for item in loose.mappings(declared)]
        found += [ToolSpec(key) for key in tool if key not in ("functionDeclarations", "function_declarations")]
    return tuple(found)


def _tool(item: Mapping[str, Any]) -> ToolSpec:
    schema = at(item, "parametersJsonSchema") or item.get("parameters")
    return ToolSpec(loose.text(item.get("name")), loose.text(item.get("description")),
                    schema if isinstance(schema, dict) else None)
