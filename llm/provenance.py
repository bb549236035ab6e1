"""Which of a provider's own numbers a count came from: for people who want to check, not for counting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, Final

from lib.frozen import dataclass
from llm import loose, usage
from llm.exchange import Usage


@dataclass(frozen=True, slots=True)
class Term:
    path: str
    """Dotted, as sent: `prompt_tokens_details.cached_tokens`, `promptTokensDetails[AUDIO].tokenCount`."""
    value: int


@dataclass(frozen=True, slots=True)
class Source:
    """A count and the numbers whose sum it is; no terms where it was worked out another way."""

    label: str
    value: int
    terms: tuple[Term, ...]


_READ: Final = frozenset({
    *usage.CACHE_READ_KEYS, "cachedContentTokenCount", "cacheReadInputTokenCount", "total_cached_tokens",
})  # fmt: skip
_WRITE: Final = frozenset({*usage.CACHE_WRITE_KEYS, "cache_write_tokens", "cacheWriteInputTokenCount"})
_THOUGHT: Final = frozenset({
    "reasoning_tokens", "thinking_tokens", "thoughtsTokenCount", "total_thought_tokens", "total_reasoning_tokens",
})  # fmt: skip
_SENT: Final = frozenset({*usage.INPUT_KEYS, "promptTokenCount", "input_token_count", "total_input_tokens"})
_CAME: Final = frozenset({
    *usage.OUTPUT_KEYS, "candidatesTokenCount", "responseTokenCount", "generated_token_count", "generated_tokens",
    "total_output_tokens",
})  # fmt: skip
_TOOLS: Final = frozenset({"toolUsePromptTokenCount", "total_tool_use_tokens"})
_NONE: Final[frozenset[str]] = frozenset()
_INWARD, _OUTWARD = ("prompt", "input"), ("completion", "output", "candidates", "response")


@dataclass(frozen=True, slots=True)
class _Rule:
    label: str
    names: frozenset[str]
    beside: frozenset[str] = _NONE
    """Names that may come on top: parts that some providers leave out of their total."""
    within: tuple[str, ...] = ()
    """The path has one of these words in it."""
    modality: str = ""


_RULES: Final[Mapping[str, _Rule]] = {
    "input_tokens": _Rule("Input tokens", _SENT, _READ | _WRITE | _TOOLS),
    "cache_read_tokens": _Rule("of them read from cache", _READ),
    "cache_write_tokens": _Rule("of them written to cache", _WRITE, frozenset({
        "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "write_5m_tokens", "write_1h_tokens"})),
    "cache_write_1h_tokens": _Rule("of these for an hour", frozenset({"ephemeral_1h_input_tokens", "write_1h_tokens"})),
    "input_audio_tokens": _Rule("of them audio", frozenset({"audio_tokens"}), within=_INWARD, modality="AUDIO"),
    "input_image_tokens": _Rule("of them images", frozenset({"image_tokens"}), within=_INWARD, modality="IMAGE"),
    "output_tokens": _Rule("Output tokens", _CAME, _THOUGHT),
    "reasoning_tokens": _Rule("of them reasoning", _THOUGHT),
    "output_audio_tokens": _Rule("of them audio", frozenset({"audio_tokens"}), within=_OUTWARD, modality="AUDIO"),
    "output_image_tokens": _Rule("of them images", frozenset({"image_tokens"}), within=_OUTWARD, modality="IMAGE"),
    "billed_input_tokens": _Rule("Input billed", frozenset({"input_tokens"}), within=("billed",)),
    "billed_output_tokens": _Rule("Output billed", frozenset({"output_tokens"}), within=("billed",)),
    "web_searches": _Rule("Web searches", frozenset({"web_search_requests", *usage.SEARCH_KEYS})),
    "images": _Rule("Images made", frozenset({"images", "num_images", "image_count"})),
    "audio_ms": _Rule("Audio, ms", _NONE),
    "characters": _Rule("Characters", frozenset({"characters"})),
    "search_units": _Rule("Search units", frozenset({"search_units"})),
}
_MOST_TERMS, _MOST_CANDIDATES, _DEEPEST = 4, 8, 6


def sources(told: Usage) -> tuple[Source, ...]:
    """Every count that was told, in the order people read them, with where it stands in what was sent."""
    leaves = list(_leaves(told.sent or {}, "", 0))
    found = ((rule, getattr(told, name)) for name, rule in _RULES.items())
    return tuple(Source(rule.label, value, _terms(rule, value, leaves)) for rule, value in found if value is not None)


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, Term]]:
    """(name, modality, term) of every number."""
    if depth > _DEEPEST or not isinstance(value, Mapping):
        return
    for name, item in value.items():
        here = f"{path}.{name}" if path else str(name)
        if (counted := loose.count(item)) is not None:
            yield str(name), str(value.get("modality") or ""), Term(here, counted)
        elif isinstance(item, Mapping):
            yield from _leaves(item, here, depth + 1)
        for inner in loose.mappings(item):
            mark = inner.get("modality") or inner.get("ttl") or ""
            yield from _leaves(inner, f"{here}[{mark}]", depth + 1)


def _terms(rule: _Rule, value: int, leaves: list[tuple[str, str, Term]]) -> tuple[Term, ...]:
    """The fewest numbers that sum up to the count, one of its own names among them."""
    own = [term for name, modality, term in leaves if _is_own(rule, name, modality, path=term.path)]
    beside = [term for name, _, term in leaves if name in rule.beside and term.value]
    candidates = [*own, *(term for term in beside if term not in own)][:_MOST_CANDIDATES]
    for size in range(1, min(_MOST_TERMS, len(candidates)) + 1):
        for chosen in combinations(candidates, size):
            if sum(term.value for term in chosen) == value and (chosen[0] in own or size > 1):
                return chosen
    return ()


def _is_own(rule: _Rule, name: str, modality: str, *, path: str) -> bool:
    if rule.within and not any(word in path for word in rule.within):
        return False
    if not rule.within and "billed" in path:
        return False
    is_of_modality = bool(rule.modality) and modality.upper() == rule.modality
    return name in rule.names or (is_of_modality and name in ("tokenCount", "tokens"))
