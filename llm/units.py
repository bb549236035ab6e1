"""What prices are for: the units of a price list, and how many of each a usage holds.

A unit's tags say what it is part of: `cache_audio_read_mtok` {input, audio, read} lies within `input_audio_mtok`
{input, audio}, that within `input_mtok` {input}. What has a price of its own is taken out of what it is part of.
Counts that `Usage` has no field for are read from the provider's own object, which a row keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from lib.frozen import dataclass, replace
from llm import loose
from llm.exchange import Usage

Count = Callable[[Usage], int | None]
"""How many of a unit a usage holds; None for "not told"."""


@dataclass(frozen=True, slots=True)
class Unit:
    label: str
    """As a line of a bill says it."""
    per: int
    """How many a price is for."""
    per_words: str
    tags: frozenset[str]
    count: Count

    @property
    def is_fee(self) -> bool:
        """Paid beside the tokens."""
        return "tokens" not in self.tags


# --- counts -----------------------------------------------------------------------------------------------------------


def field(name: str) -> Count:
    return lambda usage: getattr(usage, name)


def _sent(*paths: str) -> Count:
    """The first of these dotted paths that leads to a count in what the provider sent."""
    steps = [path.split(".") for path in paths]

    def count(usage: Usage) -> int | None:
        for path in steps:
            value: Any = usage.sent
            for step in path:
                value = value.get(step) if isinstance(value, Mapping) else None
            if (found := loose.count(value)) is not None:
                return found
        return None

    return count


def _google(keys: tuple[str, ...], *modalities: str) -> Count:
    """The sum of Google's `[{"modality": "AUDIO", "tokenCount": 5}]` lists; interactions say `audio` and `tokens`."""

    def count(usage: Usage) -> int | None:
        told = [
            loose.count(item.get("tokenCount", item.get("tokens"))) or 0
            for key in keys for item in loose.mappings((usage.sent or {}).get(key))
            if loose.text(item.get("modality")).upper() in modalities
        ]
        return sum(told) if told else None

    return count


def _first(*counts: Count) -> Count:
    def count(usage: Usage) -> int | None:
        return next((found for each in counts if (found := each(usage)) is not None), None)

    return count


def _rest(total: Count, *parts: Count) -> Count:
    """What of a total is in none of its parts."""

    def count(usage: Usage) -> int | None:
        found = total(usage)
        return None if found is None else max(0, found - sum(part(usage) or 0 for part in parts))

    return count


_DETAILS: Final = (
    "prompt_tokens_details", "input_tokens_details", "input_token_details", "prompt_token_details",
)


def _cached(modality: str, *googles: str) -> Count:
    paths = [f"{details}.cached_tokens_details.{modality}_tokens" for details in _DETAILS]
    return _first(_sent(*paths), _google(("cacheTokensDetails", "cached_tokens_by_modality"), *googles))


_TOTAL: Final = _sent("totalTokenCount", "total_tokens")


def _nothing_came(usage: Usage) -> int | None:
    """0 output tokens where the provider leaves zeros out (Google) and its total is the input alone."""
    return 0 if usage.input_tokens is not None and _TOTAL(usage) == usage.input_tokens else None


_INPUT: Final = _first(field("billed_input_tokens"), field("input_tokens"))
_OUTPUT: Final = _first(field("billed_output_tokens"), field("output_tokens"), _nothing_came)
_READ: Final = field("cache_read_tokens")
_CACHED_AUDIO, _CACHED_VIDEO = _cached("audio", "AUDIO"), _cached("video", "VIDEO")
_CACHED_IMAGE: Final = _cached("image", "IMAGE", "DOCUMENT")
_IN_VIDEO: Final = _google(
    ("promptTokensDetails", "toolUsePromptTokensDetails", "input_tokens_by_modality", "tool_use_tokens_by_modality"),
    "VIDEO",
)
_OUT_VIDEO: Final = _google(("candidatesTokensDetails", "output_tokens_by_modality"), "VIDEO")
_CITED: Final = _sent("citation_tokens")

# --- the units --------------------------------------------------------------------------------------------------------


def _tokens(label: str, tags: str, count: Count) -> Unit:
    return Unit(label, 1_000_000, "1M tokens", frozenset({"tokens", *tags.split()}), count)


def _fee(label: str, per: int, per_words: str, *, tags: str, count: Count) -> Unit:
    return Unit(label, per, per_words, frozenset(tags.split()), count)


def _thousand(label: str, what: str, *, tags: str, count: Count) -> Unit:
    return _fee(label, 1_000, f"1K {what}", tags=tags, count=count)


UNITS: Final[Mapping[str, Unit]] = {
    "input_mtok": _tokens("Input", "input", _INPUT),
    "input_text_mtok": _tokens("Text input", "input text", _rest(
        _INPUT, field("input_audio_tokens"), field("input_image_tokens"), _IN_VIDEO)),
    "input_audio_mtok": _tokens("Audio input", "input audio", field("input_audio_tokens")),
    "input_image_mtok": _tokens("Image input", "input image", field("input_image_tokens")),
    "input_video_mtok": _tokens("Video input", "input video", _IN_VIDEO),
    "input_tool_mtok": _tokens("Tool input", "input tool", _sent("toolUsePromptTokenCount")),
    "cache_read_mtok": _tokens("Cache reads", "input read", _READ),
    "cache_text_read_mtok": _tokens("Cached text", "input read text", _rest(
        _READ, _CACHED_AUDIO, _CACHED_IMAGE, _CACHED_VIDEO)),
    "cache_audio_read_mtok": _tokens("Cached audio", "input read audio", _CACHED_AUDIO),
    "cache_image_read_mtok": _tokens("Cached images", "input read image", _CACHED_IMAGE),
    "cache_video_read_mtok": _tokens("Cached video", "input read video", _CACHED_VIDEO),
    "cache_write_mtok": _tokens("Cache writes", "input write", field("cache_write_tokens")),
    "cache_write_5m_mtok": _tokens("Cache writes, 5 min", "input write 5m", _rest(
        field("cache_write_tokens"), field("cache_write_1h_tokens"))),
    "cache_write_1h_mtok": _tokens("Cache writes, 1 h", "input write 1h", field("cache_write_1h_tokens")),
    "output_mtok": _tokens("Output", "output", _OUTPUT),
    "output_text_mtok": _tokens("Text output", "output text", _rest(
        _OUTPUT, field("output_audio_tokens"), field("output_image_tokens"), _OUT_VIDEO)),
    "output_audio_mtok": _tokens("Audio output", "output audio", field("output_audio_tokens")),
    "output_image_mtok": _tokens("Image output", "output image", field("output_image_tokens")),
    "output_video_mtok": _tokens("Video output", "output video", _OUT_VIDEO),
    "output_reasoning_mtok": _tokens("Reasoning", "output reasoning", field("reasoning_tokens")),
    "output_citation_mtok": _tokens("Citations", "citation", _CITED),
    "images": _fee("Images", 1, "image", tags="images", count=field("images")),
    "input_mchars": _fee("Characters", 1_000_000, "1M characters", tags="characters", count=field("characters")),
    "audio_hours": _fee("Audio", 3_600_000, "hour", tags="duration", count=field("audio_ms")),
    "input_audio_hours": _fee("Audio heard", 3_600_000, "hour", tags="duration input", count=field("audio_ms")),
    "input_text_messages_kcount": _thousand(
        "Text messages", "messages", tags="messages", count=_sent("input_text_messages")),
    "input_document_kpages": _thousand("Pages", "pages", tags="pages", count=_sent("pages_processed")),
    "input_annotated_document_kpages": _thousand(
        "Annotated pages", "pages", tags="pages annotated", count=_sent("annotated_pages_processed")),
    "rerank_searches_kcount": _thousand("Rerank searches", "searches", tags="rerank", count=field("search_units")),
    "web_searches_kcount": _thousand("Web searches", "searches", tags="web", count=field("web_searches")),
    "social_searches_kcount": _thousand(
        "Social searches", "searches", tags="social", count=_sent("server_side_tool_usage_details.x_search_calls")),
    "storage_searches_kcount": _thousand(
        "File searches", "searches", tags="storage",
        count=_sent("server_side_tool_usage_details.file_search_calls", "file_search_calls")),
    "code_executions_kcount": _thousand(
        "Code executions", "executions", tags="code",
        count=_sent(
            "server_side_tool_usage_details.code_interpreter_calls", "server_tool_use.code_execution_requests")),
    "requests_kcount": _thousand("Request", "requests", tags="request", count=lambda usage: 1),
}  # fmt: skip
"""By the key a price row uses, in the order of a bill's lines. `audio_ms` is counted in ms, priced by the hour."""

_NO_MODALITY: Final = "no provider tells of which kind what it wrote to its cache was"
_NO_REASONED: Final = "no provider tells of which kind its reasoning or its citations are"
UNSUPPORTED: Final[Mapping[str, str]] = {
    **{
        f"cache_{kind}_write{kept}_mtok": _NO_MODALITY
        for kind in ("text", "audio", "image", "video") for kept in ("", "_5m", "_1h")
    },
    **{
        f"output_{kind}_{what}_mtok": _NO_REASONED
        for kind in ("text", "audio", "image", "video") for what in ("reasoning", "citation")
    },
    **{
        f"input_{kind}_tool_mtok": "no price list has it; the tools' input is within the input of its kind"
        for kind in ("text", "audio", "image", "video")
    },
    "output_audio_hours": "replies with audio tell its tokens, not its length",
    "input_gpixels": "no reply tells the pixels of what was sent",
}
"""Price keys of genai-prices that are left out of a bill, and why. No seeded row has one of them today."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What of a usage the units of some prices hold."""

    told: Mapping[str, int | None]
    """How many of each there are; None for "not told". Keys nobody knows are left out."""
    charged: Mapping[str, int]
    """How many of each are charged for, once the parts with prices of their own are taken out."""
    rest: Mapping[str, int | None]
    """Of input and output, tokens that no priced part has; only where the whole has no price itself."""

    @property
    def is_whole(self) -> bool:
        """Whether every side that has tokens has a price, or its parts have."""
        return not any(self.rest.values())

    @property
    def is_told(self) -> bool:
        """Whether any of what is charged is told; a fee per request alone says nothing of the rest."""
        return any(
            count is not None for key, count in self.told.items() if key != "requests_kcount" or len(self.told) == 1
        )


@dataclass(frozen=True, slots=True)
class _Step:
    key: str
    side: str
    """Which total its tokens are of; empty for fees and citations."""
    within: tuple[str, ...]
    """Priced parts of it."""


@lru_cache(maxsize=1024)
def _plan(keys: frozenset[str]) -> tuple[_Step, ...]:
    """The units of these keys, parts before what they are part of."""
    known = sorted((key for key in UNITS if key in keys), key=lambda key: -len(UNITS[key].tags))
    return tuple(
        _Step(key, _side(UNITS[key]), tuple(other for other in known if UNITS[key].tags < UNITS[other].tags))
        for key in known
    )


def _with_reasoning(usage: Usage) -> Usage:
    """Reasoning that is more than all output is none of it (Perplexity's deep research): it comes on top."""
    output, thought = usage.output_tokens, usage.reasoning_tokens or 0
    return replace(usage, output_tokens=output + thought) if output is not None and thought > output else usage


def _side(unit: Unit) -> str:
    return next((side for side in ("input", "output") if side in unit.tags and not unit.is_fee), "")


def tally(keys: Iterable[str], usage: Usage) -> Tally:
    """Parts that exceed what they are part of are cut: nothing is charged twice."""
    priced = frozenset(keys)
    if "output_reasoning_mtok" in priced:
        usage = _with_reasoning(usage)
    left = {"input": _INPUT(usage), "output": _OUTPUT(usage)}
    told: dict[str, int | None] = {}
    charged: dict[str, int] = {}
    for step in _plan(priced):
        count = told[step.key] = UNITS[step.key].count(usage)
        share = max(0, (count or 0) - sum(charged[inner] for inner in step.within))
        if (rest := left.get(step.side)) is not None:
            share = min(share, rest)
            left[step.side] = rest - share
        charged[step.key] = share
    return Tally(told, charged, {side: rest for side, rest in left.items() if f"{side}_mtok" not in priced})
