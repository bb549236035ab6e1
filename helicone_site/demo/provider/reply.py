"""What is asked of a model and what it answers, in no provider's words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
Event = tuple[str, Json]
"""Name and data of one server-sent event; the name is empty where a dialect names none."""


class BadRequestError(Exception):
    """A request the provider would refuse with 400; `param` names the field at fault."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: Mapping[str, Any]
    """JSON schema of its arguments."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request as far as the answer depends on it. Lengths in tokens."""

    model: str
    text: str
    """The last thing said to the model."""
    input_tokens: int
    """All of the input, cached parts included."""
    answers_tool: bool = False
    """The last turn is a tool's result, so the model should now speak."""
    tools: tuple[Tool, ...] = ()
    forced_tool: str | None = None
    may_call_many: bool = True
    max_tokens: int | None = None
    choices: int = 1
    thinks: bool = False
    json_schema: Mapping[str, Any] | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any]

    @property
    def arguments_json(self) -> str:
        return json.dumps(self.arguments, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. Counts are totals: cache counts are part of the input, reasoning of the output."""

    seed: str
    """32 hex digits; ids are made of it."""
    model: str
    texts: tuple[str, ...]
    """One for each choice; a choice may be empty beside tool calls."""
    input_tokens: int
    output_tokens: int
    created: int
    """Unix seconds."""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stop: Literal["end", "length", "tools"] = "end"
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    service_tier: str = field(default="default")

    def identifier(self, prefix: str, *parts: object) -> str:
        """An id that is this reply's own; `parts` tell several of one kind apart."""
        digest = hashlib.sha256(":".join([self.seed, prefix, *map(str, parts)]).encode()).hexdigest()
        return f"{prefix}{digest[:24]}"


def tokens(text: str) -> int:
    """About as many as a real tokenizer counts in English."""
    return (len(text) + 3) // 4


def text_of(content: Any) -> str:
    """The words in a message's content: a string, or a list of parts of which some have text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    return "\n".join(_part_text(part) for part in content if isinstance(part, Mapping))


def _part_text(part: Mapping[str, Any]) -> str:
    for name in ("text", "output", "thinking"):
        if isinstance(found := part.get(name), str):
            return found
    if "input" in part:
        return json.dumps(part["input"])
    return text_of(part["content"]) if "content" in part else ""


IMAGE_TOKENS = 765
_IMAGES = frozenset({"image", "image_url", "input_image"})


def content_tokens(content: Any) -> int:
    """Tokens of a message's content, pictures included."""
    parts = content if isinstance(content, list) else []
    pictures = sum(1 for part in parts if isinstance(part, Mapping) and part.get("type") in _IMAGES)
    return tokens(text_of(content)) + pictures * IMAGE_TOKENS


def chunks(text: str, size: int = 12) -> list[str]:
    """The text in pieces of about `size` characters, cut anywhere but never losing one."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def required(body: Json, name: str, kind: type) -> Any:
    """The field, or BadRequestError where it is missing or of another type."""
    if name not in body:
        raise BadRequestError(f"Missing required parameter: '{name}'.", name)
    if not isinstance(body[name], kind) or (kind is str and not body[name]):
        raise BadRequestError(f"Invalid type for '{name}': expected {kind.__name__}.", name)
    return body[name]
