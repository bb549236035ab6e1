"""What a body says in words of Helicone's AI gateway that providers do not know: a model asked through it must not fail
for them, and what they ask for is said in the provider's own words where it has some.

    plugins: [{"id": "web", …}]          a search of the web (gateway_app/online.py)
    reasoning_options: {budget_tokens}   thinking, of Anthropic, Google and OpenRouter
    context_editing                      of nobody on the APIs that are called here
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

import orjson

from gateway_app import online
from lib.frozen import dataclass

NAMES: Final = ("plugins", "reasoning_options", "context_editing")
_MARKS: Final = tuple(f'"{name}"'.encode() for name in NAMES)


@dataclass(frozen=True, slots=True)
class Words:
    said: Mapping[str, Any] = field(default_factory=dict)
    """Those of NAMES that are there, as they came."""
    web: Mapping[str, Any] | None = None
    """How to search, where that is asked for: max_uses, allowed_domains, blocked_domains, user_location."""
    thinking_tokens: int | None = None
    """Asked for, and by no provider's own word at once."""
    most_tokens: int | None = None
    """The answer's bound."""


NOTHING: Final = Words()
LEAST_THINKING: Final = 1024
_OWN: Final = frozenset({"thinking", "reasoning", "extra_body"})
"""Fields in which a client says how to think in a provider's own words: they stay, alone."""


def read(body: bytes) -> Words:
    """Never raises: what cannot be read says nothing."""
    if not any(mark in body for mark in _MARKS):
        return NOTHING
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return NOTHING
    if not isinstance(told, dict):
        return NOTHING
    said = {name: told[name] for name in NAMES if name in told}
    options = told.get("reasoning_options")
    tokens = _count(options.get("budget_tokens")) if isinstance(options, dict) and not _OWN & told.keys() else None
    most = _count(told.get("max_completion_tokens")) or _count(told.get("max_tokens"))
    return Words(said, _web(told.get("plugins")), tokens, most)


def _web(plugins: Any) -> Mapping[str, Any] | None:
    listed = plugins if isinstance(plugins, list) else []
    return next((one for one in listed if isinstance(one, dict) and one.get("id") == "web"), None)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def dropped(words: Words, provider: str) -> Mapping[str, Any]:
    """Fields this provider is not sent; OpenRouter has plugins of its own, told the same way."""
    has_plugins = provider in online.NATIVE
    return {name: value for name, value in words.said.items() if not (has_plugins and name == "plugins")}


def override(words: Words, provider: str, path: str) -> Mapping[str, Any]:
    """The same in this provider's words."""
    tokens = words.thinking_tokens
    if tokens is None:
        return {}
    if provider == "anthropic":
        if words.most_tokens is not None:  # Anthropic thinks 1,024 tokens at least, and fewer than it may answer
            tokens = min(tokens, words.most_tokens - 1)
        if tokens < LEAST_THINKING:
            return {}
        return {"thinking": {"type": "enabled", "budget_tokens": tokens}}
    if provider == "openrouter":
        return {"reasoning": {"max_tokens": tokens}}
    if provider == "google" and path.endswith("/chat/completions"):
        return {"extra_body": {"google": {"thinking_config": {"thinking_budget": tokens}}}}
    return {}
