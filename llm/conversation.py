"""A captured call as the conversation it was: for reading, not for counting. Every dialect fills the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from lib.frozen import dataclass

PartKind = Literal[
    "text", "reasoning", "refusal", "tool_call", "tool_result", "image", "audio", "file", "data"
]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message. Nothing in it is trusted: pages escape all of it."""

    kind: PartKind
    text: str = ""
    """The text; of a tool call its arguments as JSON text; of a tool result its content; of `data` pretty JSON."""
    name: str = ""
    """Tool or file name."""
    call_id: str = ""
    """Ties a tool result to its call."""
    url: str = ""
    """http(s) or data: address of an image, audio or file."""
    media_type: str = ""
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    parts: tuple[Part, ...]
    name: str = ""
    finish_reason: str = ""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    name: str
    description: str = ""
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    messages: tuple[Message, ...] = ()
    """What was sent, system first."""
    reply: tuple[Message, ...] = ()
    """What came back: one message a choice."""
    tools: tuple[ToolSpec, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    """temperature, max tokens, … as sent."""
