"""What a body says in words of Helicone's AI gateway that providers do not know: a model asked through it must not fail
for them, and what they ask for is said in the provider's own words where it has some.

    plugins: [{"id": "web", …}]          a search of the web (gateway_app/online.py)
    reasoning_options: {budget_tokens}   thinking, of Anthropic, Google and OpenRouter
    context_editing                      of nobody on the APIs that are called here
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway_app import online
from lib.frozen import dataclass

NAMES: Final = ("plugins", "reasoning_options", "context_editing")
_MARKS: Final = tuple(f'"{name}"'.encode() for name in NAMES)


@dataclass(frozen=True, slots=True)
class Words:
    said: frozenset[str] = frozenset()
    """Those of NAMES that are there."""
    web: Mapping[str, Any] | None = None
    """How to search, where that is asked for: max_uses, allowed_domains, blocked_domains, user_location."""
    thinking_tokens: int | None = None


NOTHING: Final = Words()


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
    return Words(frozenset(NAMES) & told.keys(), _web(told.get("plugins")), _tokens(told.get("reasoning_options")))


def _web(plugins: Any) -> Mapping[str, Any] | None:
    listed = plugins if isinstance(plugins, list) else []
    return next((one for one in listed if isinstance(one, dict) and one.get("id") == "web"), None)


def _tokens(options: Any) -> int | None:
    tokens = options.get("budget_tokens") if isinstance(options, dict) else None
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens > 0 else None


def dropped(words: Words, provider: str) -> frozenset[str]:
    """Fields this provider is not sent; OpenRouter has plugins of its own, told the same way."""
    return words.said - {"plugins"} if provider in online.NATIVE else words.said


def override(words: Words, provider: str, path: str) -> Mapping[str, Any]:
    """The same in this provider's words."""
    tokens = words.thinking_tokens
    if tokens is None:
        return {}
    if provider == "anthropic":
        return {"thinking": {"type": "enabled", "budget_tokens": tokens}}
    if provider == "openrouter":
        return {"reasoning": {"max_tokens": tokens}}
    if provider == "google" and path.endswith("/chat/completions"):
        return {"extra_body": {"google": {"thinking_config": {"thinking_budget": tokens}}}}
    return {}
