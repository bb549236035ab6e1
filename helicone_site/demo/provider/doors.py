"""Which API a path belongs to, and how that one answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from helicone_site.demo.provider import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    cohere_chat,
    framing,
    gemini,
    groq_chat,
    mistral_chat,
    ollama_chat,
    openai_chat,
    openai_responses,
)
from helicone_site.demo.provider.framing import Framing


@dataclass(frozen=True, slots=True)
class Door:
    """`talker` has `question`, `reply_body` and `events`."""

    path: re.Pattern[str]
    """Its group `model`, where the path names the model."""
    talker: ModuleType
    framing: Framing
    streams: bool | None = None
    """None: as the body's `stream` says."""
    streams_unless_told: bool = False
    credentials: tuple[str, ...] = ("authorization", "x-api-key")
    """Headers of which one must be there; none, where nothing is asked for."""


def _door(path: str, talker: ModuleType, how: Framing, streams: bool | None = None) -> Door:
    return Door(re.compile(path), talker, how, streams)


_GOOGLE = ("x-goog-api-key", "authorization")
_MODEL = r"/models/(?P<model>[^/:]+)"
_BEDROCK = r"^/model/(?P<model>.+)"

DOORS = (
    Door(re.compile(_MODEL + ":generateContent$"), gemini, framing.SSE, False, credentials=_GOOGLE),
    Door(re.compile(_MODEL + ":streamGenerateContent$"), gemini, framing.SSE, True, credentials=_GOOGLE),
    _door(r"/v2/chat$", cohere_chat, framing.SSE_AND_DONE),
    _door(_BEDROCK + "/converse$", bedrock_converse, framing.AMAZON, False),
    _door(_BEDROCK + "/converse-stream$", bedrock_converse, framing.AMAZON, True),
    _door(_BEDROCK + "/invoke$", bedrock_invoke, framing.AMAZON_CHUNKS, False),
    _door(_BEDROCK + "/invoke-with-response-stream$", bedrock_invoke, framing.AMAZON_CHUNKS, True),
    Door(re.compile(r"/api/chat$"), ollama_chat, framing.LINES, streams_unless_told=True, credentials=()),
    _door(r"^/openai/v1/chat/completions$", groq_chat, framing.SSE_AND_DONE),
    _door(r"^/mistral/v1/chat/completions$", mistral_chat, framing.SSE_AND_DONE),
    _door(r"/chat/completions$", openai_chat, framing.SSE_AND_DONE),
    _door(r"/responses$", openai_responses, framing.SSE),
    _door(r"/messages$", anthropic_messages, framing.SSE),
)


def find(path: str) -> tuple[Door, str] | None:
    """The door and the model its path names (or ""); None for a path that is no model's."""
    for door in DOORS:
        if found := door.path.search(path):
            return door, found.groupdict().get("model") or ""
    return None


def is_allowed(door: Door | None, headers: Mapping[str, str], query: str) -> bool:
    """Whether credentials came: any will do, but AWS's must be a signature or an API key."""
    if door is not None and door.talker in (bedrock_converse, bedrock_invoke):
        given = headers.get("authorization", "")
        return given.startswith("Bearer ") or (given.startswith("AWS4-HMAC-SHA256 ") and "x-amz-date" in headers)
    names = door.credentials if door is not None else ("authorization", "x-api-key")
    in_query = door is not None and door.talker is gemini and "key=" in query
    return not names or in_query or any(headers.get(name) for name in names)
