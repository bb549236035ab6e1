"""A comma list in `model`: "gpt-4o/openai, claude-sonnet-4/anthropic, !azure".

    entry := "!" PROVIDER | MODEL [ ":online" ] [ "/" PROVIDER [ "/" DEPLOYMENT ] ] | PROVIDER "/" MODEL [ ":online" ]

Helicone's cloud has the model first, its Rust gateway the provider: both are read. Ids with a slash of their own, as
OpenRouter has them (`meta-llama/llama-3`), stay whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from gateway_app.errors import FallbacksInvalid
from gateway_app.online import SUFFIX
from llm import providers
from llm.providers import Provider

MOST: Final = 20
ALIASES: Final = {
    "gemini-1.5-flash": "gemini-2.5-flash-lite", "claude-3.5-sonnet": "claude-3.5-sonnet-v2",
    "claude-3.5-sonnet-20240620": "claude-3.5-sonnet-v2", "deepseek-r1": "deepseek-reasoner",
    "kimi-k2": "kimi-k2-0905", "kimi-k2-instruct": "kimi-k2-0905",
    "grok-4.1-fast-reasoning": "grok-4-1-fast-reasoning", "grok-4.1-fast-non-reasoning": "grok-4-1-fast-non-reasoning",
}  # fmt: skip
"""Helicone's AI gateway takes these names for those."""
PROVIDER_NAMES: Final = {"google-ai-studio": "google"}
SLASHED: Final = frozenset({
    "openrouter", "together", "groq", "deepinfra", "huggingface", "fireworks", "nebius", "novita", "nvidia", "vercel",
    "baseten", "chutes", "hyperbolic", "sambanova", "cloudflare", "replicate", "github", "workers-ai", "helicone",
})  # fmt: skip
"""Providers whose own ids look like `provider/model`."""
_MODEL: Final = re.compile(rb'"model"\s*:\s*"([^"\\]{1,2000})"')
_KEY: Final = b'"model"'


class Wanted(NamedTuple):
    """One candidate of a list. `provider` None: the request's own, or whoever offers the model."""

    model: str
    provider: Provider | None = None
    deployment: str = ""
    is_online: bool = False
    """With a search of the web (gateway_app/online.py)."""

    @property
    def label(self) -> str:
        model = f"{self.model}{SUFFIX}" if self.is_online else self.model
        return f"{model}/{self.provider.slug}" if self.provider else model


class ModelList(NamedTuple):
    wanted: tuple[Wanted, ...]
    excluded: frozenset[str]
    """Slugs."""


def glance(body: bytes) -> list[str]:
    """Every `"model": "…"` in what is there of a body, without parsing it; which of them is meant, parsing tells.

    From the end: clients put the model before a long prompt or after it, and looking backwards is ten times faster.
    """
    found: list[str] = []
    place = body.rfind(_KEY)
    while place >= 0 and len(found) < MOST:
        if body[place - 1 : place] != b"\\" and (told := _MODEL.match(body, place)):
            found.append(told[1].decode("utf-8", "replace"))
        place = body.rfind(_KEY, 0, place)
    return found


def model_of(body: bytes) -> str:
    """The `model` a whole body names; empty where it names none."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    model = told.get("model") if isinstance(told, dict) else None
    return model if isinstance(model, str) else ""


def is_list(model: str) -> bool:
    return "," in model


def is_online(model: str) -> bool:
    return model.endswith(SUFFIX) or f"{SUFFIX}/" in model


def named_in(model: str) -> tuple[Provider | None, bool]:
    """Whom one entry names, and whether it can mean nothing else: of `mistralai/x` all may be the model's own id."""
    parts = model.split("/")
    _, provider, _ = _parts(parts, None)
    return provider, any(provider_of(part) is not None for part in (*parts[1:2], *parts[2:][-1:]))


def read(text: str, *, own: Provider | None, has_aliases: bool = False) -> ModelList:
    """`own`: whom the request goes to anyway; None at the AI gateway, where `has_aliases`. Raises FallbacksInvalid."""
    wanted: list[Wanted] = []
    excluded: set[str] = set()
    for entry in filter(None, map(str.strip, text.split(","))):
        if entry.startswith("!"):
            excluded.add(_excluded(entry[1:].strip()))
        elif (one := _wanted(entry, own, has_aliases=has_aliases)) not in wanted:
            wanted.append(one)
    if not wanted or len(wanted) > MOST:
        raise FallbacksInvalid(f"The list of models must name 1 to {MOST} models, such as gpt-4o/openai,gpt-4o-mini.")
    return ModelList(tuple(wanted), frozenset(excluded))


def _excluded(name: str) -> str:
    provider = provider_of(name)
    if provider is None:
        raise FallbacksInvalid(f"The list of models leaves out {name[:50]!r}, which is no provider described here.")
    return provider.slug


def _wanted(entry: str, own: Provider | None, *, has_aliases: bool) -> Wanted:
    model, provider, deployment = _parts(entry.split("/"), own)
    bare = model.removesuffix(SUFFIX)
    return Wanted(ALIASES.get(bare, bare) if has_aliases else bare, provider, deployment, bare != model)


def _parts(parts: Sequence[str], own: Provider | None) -> tuple[str, Provider | None, str]:
    whole = "/".join(parts)
    if len(parts) < 2:
        return whole, None, ""
    if (named := provider_of(parts[1])) is not None:
        return parts[0], named, "/".join(parts[2:])
    if len(parts) > 2 and (named := provider_of(parts[-1])) is not None:
        return "/".join(parts[:-1]), named, ""
    named = None if own is not None and own.slug in SLASHED else provider_of(parts[0])
    return ("/".join(parts[1:]), named, "") if named is not None else (whole, None, "")


def provider_of(name: str) -> Provider | None:
    return providers.by_path_slug(PROVIDER_NAMES.get(name.lower(), name))


