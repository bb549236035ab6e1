"""A model asked for as `gpt-4o:online`, as OpenRouter and Helicone's AI gateway have it: with a search of the web.

Each provider has its own way to say that. Where one has none on the path called, it cannot be called for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

SUFFIX: Final = ":online"
ALWAYS: Final = frozenset({"perplexity"})
"""These search whatever is asked."""
NATIVE: Final = frozenset({"openrouter"})
"""These know the suffix."""
_TOOLS: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("openai", "/responses"): {"type": "web_search"},
    ("azure", "/responses"): {"type": "web_search_preview"},
    ("xai", "/responses"): {"type": "web_search"},
    ("anthropic", "/messages"): {"type": "web_search_20250305", "name": "web_search"},
}
"""By provider and end of the path, the tool that searches."""
_OPTIONS: Final = ("max_uses", "allowed_domains", "blocked_domains", "user_location")
"""Anthropic's own names; OpenAI's tool has two of them."""


def override(
    slug: str, path: str, model: str, body: bytes, options: Mapping[str, Any] | None = None
) -> Mapping[str, Any] | None:
    """What of the body is otherwise; None where nobody can ask this provider to search on this path. `options` as
    the plugin `web` has them."""
    if slug in NATIVE:
        return {"model": f"{model}{SUFFIX}"}
    if slug in ALWAYS:
        return {"model": model}
    if slug == "openai" and path.endswith("/chat/completions") and "-search" in model:
        place = (options or {}).get("user_location")
        near = {"user_location": {"type": "approximate", "approximate": _place(place)}} if _place(place) else {}
        return {"model": model, "web_search_options": near}
    tool = next((tool for (of, end), tool in _TOOLS.items() if of == slug and path.endswith(end)), None)
    return None if tool is None else {"model": model, "tools": _with(_tools(body), {**tool, **_told(tool, options)})}


def _place(told: Any) -> dict[str, Any]:
    """As chat completions have it: the other APIs say it flat."""
    return {name: value for name, value in told.items() if name != "type"} if isinstance(told, dict) else {}


def _told(tool: Mapping[str, str], options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The plugin's options, as far as this tool has them."""
    kept = {name: value for name in _OPTIONS if (value := (options or {}).get(name)) is not None}
    if tool["type"].startswith("web_search_2"):
        return kept
    found = {"user_location": kept["user_location"]} if "user_location" in kept else {}
    has_filters = tool["type"] == "web_search" and "allowed_domains" in kept
    return {**found, "filters": {"allowed_domains": kept["allowed_domains"]}} if has_filters else found


def _tools(body: bytes) -> list[Any]:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    tools = told.get("tools") if isinstance(told, dict) else None
    return tools if isinstance(tools, list) else []


def _with(tools: list[Any], tool: Mapping[str, Any]) -> list[Any]:
    is_there = any(isinstance(one, dict) and one.get("type") == tool["type"] for one in tools)
    return tools if is_there else [*tools, tool]
