"""Token counts as the OpenAI family and unknown providers send them, turned into totals with parts inside.

Which vendor says what is told by the keys it sends, not by its name, so a new vendor, or one behind a proxy, is
read by the same rules. Where keys alone cannot tell, the sums do (see `_hidden`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from lib.frozen import replace
from llm import loose
from llm.exchange import Usage

INPUT_KEYS: Final = (
    "prompt_tokens", "input_tokens", "inputTokens", "prompt_token_count", "promptTokens", "prompt_eval_count",
    "inputTokenCount", "inputTextTokenCount", "tokens_evaluated", "input_token_count", "total_input_tokens",
    "num_tokens_prompt_total",
)
OUTPUT_KEYS: Final = (
    "completion_tokens", "output_tokens", "outputTokens", "generation_token_count", "completionTokens",
    "eval_count", "outputTokenCount", "totalOutputTextTokenCount", "tokens_predicted", "generated_token_count",
    "total_output_tokens", "num_tokens_generated",
)
CACHE_READ_KEYS: Final = (
    "prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "prompt_cache_read_token_count",
    "cache_read_input_tokens", "cacheReadInputTokens", "cachedInputTokens", "cached_prompt_text_tokens",
)
TOTAL_KEYS: Final = ("total_tokens", "totalTokens")
_CACHE_READ_DETAILS: Final = ("cached_tokens", "cache_read_input_tokens")
_CACHE_WRITE_DETAILS: Final = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
_REASONING_KEYS: Final = ("reasoning_tokens", "reasoning_output_tokens")
_USAGES: Final = ("usage", "amazon-bedrock-invocationMetrics")
_AROUND: Final = ("stats", "metadata", "meta", "metrics", "chatResponse", "data", "output")
"""Objects of a reply in which some keep their counts, or the usage object."""
CACHE_WRITE_KEYS: Final = ("prompt_cache_write_token_count", "cache_creation_input_tokens", "cacheWriteInputTokens")
SEARCH_KEYS: Final = ("num_search_queries", "num_sources_used")
_INPUT_DETAILS: Final = (
    "prompt_tokens_details", "input_tokens_details", "prompt_token_details", "input_token_details",
)
_OUTPUT_DETAILS: Final = (
    "completion_tokens_details", "output_tokens_details", "completion_token_details", "output_token_details",
)


def first(sent: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    for key in keys:
        if key in sent and (value := loose.count(sent[key])) is not None:
            return value
    return None


def _details(sent: Mapping[str, Any], keys: tuple[str, ...]) -> Mapping[str, Any]:
    for key in keys:
        if isinstance(details := sent.get(key), dict):
            return details
    return {}


def openai(sent: Mapping[str, Any], *, web_searches: int | None = None) -> Usage:
    """Usage of the OpenAI family: `prompt_tokens`/`input_tokens` and friends, with their detail objects."""
    inputs, outputs = _details(sent, _INPUT_DETAILS), _details(sent, _OUTPUT_DETAILS)
    told = Usage(
        input_tokens=first(sent, INPUT_KEYS),
        output_tokens=first(sent, OUTPUT_KEYS),
        cache_read_tokens=_either(first(inputs, _CACHE_READ_DETAILS), first(sent, CACHE_READ_KEYS)),
        cache_write_tokens=_either(first(inputs, _CACHE_WRITE_DETAILS), first(sent, CACHE_WRITE_KEYS)),
        cache_write_1h_tokens=loose.count(loose.mapping(inputs.get("cache_write_details")).get("write_1h_tokens")),
        reasoning_tokens=_either(outputs.get("reasoning_tokens"), first(sent, _REASONING_KEYS)),
        input_audio_tokens=loose.count(inputs.get("audio_tokens")),
        output_audio_tokens=loose.count(outputs.get("audio_tokens")),
        input_image_tokens=loose.count(inputs.get("image_tokens")),
        output_image_tokens=loose.count(outputs.get("image_tokens")),
        audio_ms=milliseconds(sent.get("prompt_audio_seconds", sent.get("seconds"))),
        web_searches=searches(sent) if web_searches is None else web_searches,
        sent=sent,
    )
    if "modality_tokens" in sent:
        told = _with_modalities(told, loose.mapping(sent["modality_tokens"]))
    total = first(sent, TOTAL_KEYS)
    return settled(_with_hidden(told, total, heard="prompt_audio_seconds" in sent), total)


def _with_modalities(told: Usage, modalities: Mapping[str, Any]) -> Usage:
    """`told` with what Helicone's own gateway tells of each modality, where the details do not."""
    audio, image = loose.mapping(modalities.get("audio")), loose.mapping(modalities.get("image"))
    return replace(
        told,
        input_audio_tokens=_either(told.input_audio_tokens, loose.count(audio.get("input_tokens"))),
        output_audio_tokens=_either(told.output_audio_tokens, loose.count(audio.get("output_tokens"))),
        input_image_tokens=_either(told.input_image_tokens, loose.count(image.get("input_tokens"))),
        output_image_tokens=_either(told.output_image_tokens, loose.count(image.get("output_tokens"))),
    )


def milliseconds(seconds: Any) -> int | None:
    """A length told in seconds, whole or broken, as a number or as text."""
    told = _decimal(seconds)
    return None if told is None else loose.count(int(told * 1000))


def _with_hidden(told: Usage, total: int | None, *, heard: bool) -> Usage:
    """`told` with the tokens that the provider's total knows of and its counts do not.

    Mistral counts what it heard in `total_tokens` alone, beside the seconds it lasted.
    """
    if total is None or told.output_tokens is None:
        return told
    known = (told.input_tokens or 0) + told.output_tokens
    if heard and told.audio_ms and told.input_tokens is not None and not told.input_audio_tokens and total > known:
        return replace(told, input_tokens=told.input_tokens + total - known, input_audio_tokens=total - known)
    cache = (told.cache_read_tokens or 0) + (told.cache_write_tokens or 0)
    hidden = _hidden(total, known, cache, reasoning=told.reasoning_tokens or 0)
    return replace(told, output_tokens=told.output_tokens + hidden) if hidden else told


def settled(told: Usage, total: int | None) -> Usage:
    """`told` as the provider's own total explains it: its totals are totals, or the cache comes on top of them."""
    if total is None or told.input_tokens is None:
        return whole(told)
    missing = total - told.input_tokens - (told.output_tokens or 0)
    if missing == 0:
        return told
    cache = (told.cache_read_tokens or 0) + (told.cache_write_tokens or 0)
    return replace(told, input_tokens=told.input_tokens + cache) if missing == cache else whole(told)


def _either(value: Any, otherwise: int | None) -> int | None:
    counted = loose.count(value)
    return otherwise if counted is None else counted


def _hidden(total: int, known: int, cache: int, *, reasoning: int) -> int:
    """Output tokens that the provider's total knows of and its output count does not.

    xAI leaves reasoning out of completion_tokens; Google's OpenAI door leaves thinking out and does not name it.
    A total below the sum says nothing, and one above it by the cache speaks of the input.
    """
    missing = total - known
    if missing <= 0:
        return 0
    if reasoning:
        return missing if missing == reasoning else 0
    return 0 if missing == cache else missing


def told_by(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The usage object of a reply in OpenAI's shape; Groq's streams have it in `x_groq`, Moonshot's in the choice."""
    if isinstance(sent := body.get("usage"), dict) and sent:
        return sent
    for place in (loose.mapping(body.get("x_groq")), loose.first(body.get("choices"))):
        if isinstance(sent := place.get("usage"), dict):
            return sent
    return None


def searches(sent: Mapping[str, Any]) -> int | None:
    for key in ("server_tool_use", "server_tool_use_details"):
        if isinstance(tools := sent.get(key), dict):
            return loose.count(tools.get("web_search_requests"))
    invoked = loose.mapping(loose.mapping(sent.get("tool_calls_details")).get("search_web"))
    return first(sent, SEARCH_KEYS) if not invoked else loose.count(invoked.get("invocation"))


def generic(body: Mapping[str, Any]) -> Usage | None:
    """Usage of a reply no dialect knows: a `usage`-like object, or counts at the root, or within an object that others
    put around them; None where there is none."""
    return _plain(body) or next((found for key in _AROUND if (found := _plain(loose.mapping(body.get(key))))), None)


def _plain(body: Mapping[str, Any]) -> Usage | None:
    for key in ("usageMetadata", "usage_metadata"):
        if isinstance(sent := body.get(key), dict) and sent:
            return google(sent)
    for key in _USAGES:
        if isinstance(sent := body.get(key), dict) and _tells(sent):
            return openai(sent)
    if not _tells(body):
        return None
    keys = {*INPUT_KEYS, *OUTPUT_KEYS, *CACHE_READ_KEYS, *CACHE_WRITE_KEYS}
    return openai({key: value for key, value in body.items() if key in keys})


def anthropic(sent: Mapping[str, Any]) -> Usage:
    """Anthropic's usage: `input_tokens` leaves cache reads and writes out."""
    read, write = loose.count(sent.get("cache_read_input_tokens")), loose.count(sent.get("cache_creation_input_tokens"))
    lasting = loose.mapping(sent.get("cache_creation"))
    hour = loose.count(lasting.get("ephemeral_1h_input_tokens"))
    if write is None and lasting:
        write = (hour or 0) + (loose.count(lasting.get("ephemeral_5m_input_tokens")) or 0)
    own = loose.count(sent.get("input_tokens"))
    return whole(Usage(
        input_tokens=None if own is None else own + (read or 0) + (write or 0),
        output_tokens=loose.count(sent.get("output_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=hour,
        reasoning_tokens=loose.count(loose.mapping(sent.get("output_tokens_details")).get("thinking_tokens")),
        web_searches=searches(sent),
        sent=sent,
    ))


class Beside(NamedTuple):
    """Tokens that another run of a model took within a call, and its totals leave out."""

    what: str
    """`advisor`, `compaction`."""
    model: str | None
    """None: the call's own."""
    usage: Usage


def beside(sent: Mapping[str, Any]) -> list[Beside]:
    """Anthropic tells each run of a model in `iterations`; those of type `message` make up the totals."""
    return [
        Beside(loose.text(item.get("type")).removesuffix("_message"), loose.name(item.get("model")), anthropic(item))
        for item in loose.mappings(sent.get("iterations"))
        if item.get("type") not in (None, "message") and (item.get("input_tokens") or item.get("output_tokens"))
    ]


def all_input(sent: Mapping[str, Any]) -> Usage | None:
    """Usage of what has no output of its own, such as vectors and ranks: who tells a total alone tells the input."""
    told = openai(sent)
    total = first(sent, TOTAL_KEYS) if told.input_tokens is None else told.input_tokens
    return None if total is None else replace(told, input_tokens=total)


def google(sent: Mapping[str, Any], *, web_searches: int | None = None) -> Usage:
    """Gemini's usageMetadata: thoughts and the prompts of tools come on top of what its counts say."""
    sent = _of_the_wire(sent)
    asked, answered = loose.count(sent.get("promptTokenCount")), first(sent, _GOOGLE_OUTPUT)
    tools, thoughts = loose.count(sent.get("toolUsePromptTokenCount")), loose.count(sent.get("thoughtsTokenCount"))
    heard = sent.get("promptTokensDetails") or sent.get("promptTokenDetails")
    said = sent.get("candidatesTokensDetails") or sent.get("responseTokensDetails")
    return whole(Usage(
        input_tokens=None if asked is None and tools is None else (asked or 0) + (tools or 0),
        output_tokens=None if answered is None and thoughts is None else (answered or 0) + (thoughts or 0),
        cache_read_tokens=loose.count(sent.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
        input_audio_tokens=_modality(heard, "AUDIO"),
        output_audio_tokens=_modality(said, "AUDIO"),
        input_image_tokens=_modality(heard, "IMAGE"),
        output_image_tokens=_modality(said, "IMAGE"),
        web_searches=web_searches,
        sent=sent,
    ))


_GOOGLE_OUTPUT: Final = ("candidatesTokenCount", "responseTokenCount")
_MODALITIES: Final = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}
"""As `$alt=json;enum-encoding=int` numbers them."""


def _of_the_wire(sent: Mapping[str, Any]) -> Mapping[str, Any]:
    """`sent` with the names the REST API has: Python's SDK dumps them in snake case, older ones number modalities."""
    details = [item for value in sent.values() if isinstance(value, list) for item in loose.mappings(value)]
    if not any("_token" in key for key in sent) and not any(type(item.get("modality")) is int for item in details):
        return sent
    return {_camel(key): [_detail(item) for item in value] if isinstance(value, list) else value
            for key, value in sent.items()}


def _detail(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    named = {_camel(key): value for key, value in item.items()}
    modality = named.get("modality")
    return {**named, "modality": _MODALITIES.get(modality, modality)} if type(modality) is int else named


def _camel(name: str) -> str:
    if "_token" not in name and name not in ("traffic_type", "service_tier", "token_count"):
        return name
    head, *rest = name.split("_")
    return head + "".join(piece.capitalize() for piece in rest)


def _modality(details: Any, name: str) -> int | None:
    counts = [loose.count(item.get("tokenCount")) for item in loose.mappings(details) if item.get("modality") == name]
    return sum(count or 0 for count in counts) if counts else None


def _tells(sent: Mapping[str, Any]) -> bool:
    return first(sent, INPUT_KEYS) is not None or first(sent, OUTPUT_KEYS) is not None


def whole(usage: Usage) -> Usage:
    """`usage` with totals that hold their parts: where parts exceed a total, the provider told it without them."""
    cache = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
    is_short_in = _exceeds(cache, usage.input_tokens)
    is_short_out = _exceeds(usage.reasoning_tokens, usage.output_tokens)
    if not is_short_in and not is_short_out and not _has_loose_parts(usage):
        return usage
    return _raised(usage, is_short_in=is_short_in, is_short_out=is_short_out)


def is_odd(usage: Usage) -> bool:
    """Whether some part is larger than the total it belongs to. A total that was not told holds anything."""
    cache = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
    return (
        _has_loose_parts(usage)
        or _exceeds(usage.reasoning_tokens, usage.output_tokens)
        or _exceeds(cache, usage.input_tokens)
    )


def _exceeds(part: int | None, total: int | None) -> bool:
    return total is not None and (part or 0) > total


def _has_loose_parts(usage: Usage) -> bool:
    return (
        (usage.cache_write_1h_tokens or 0) > (usage.cache_write_tokens or 0)
        or _exceeds(_unwritten_in(usage), usage.input_tokens)
        or _exceeds(_unwritten_out(usage), usage.output_tokens)
    )


def _unwritten_in(usage: Usage) -> int:
    """Input that is no text; what of it was cached is part of it and of the cache."""
    return (usage.input_audio_tokens or 0) + (usage.input_image_tokens or 0)


def _unwritten_out(usage: Usage) -> int:
    return (usage.reasoning_tokens or 0) + (usage.output_audio_tokens or 0) + (usage.output_image_tokens or 0)


def _raised(usage: Usage, *, is_short_in: bool, is_short_out: bool) -> Usage:
    cache_write = max(usage.cache_write_tokens or 0, usage.cache_write_1h_tokens or 0)
    cache = (usage.cache_read_tokens or 0) + cache_write
    input_tokens, output_tokens = usage.input_tokens, usage.output_tokens
    if is_short_in and input_tokens is not None:
        input_tokens += cache
    if is_short_out and output_tokens is not None:
        output_tokens += usage.reasoning_tokens or 0
    return replace(
        usage,
        input_tokens=_at_least(_at_least(input_tokens, cache), _unwritten_in(usage)),
        output_tokens=_at_least(output_tokens, _unwritten_out(usage)),
        cache_write_tokens=cache_write if usage.cache_write_1h_tokens else usage.cache_write_tokens,
    )


def _at_least(total: int | None, part: int) -> int | None:
    """`total` raised to `part`; what was not told stays untold."""
    return None if total is None else max(total, part)


# --- cost the provider declares ---------------------------------------------------------------------------------------

_TICKS_PER_NANO_USD = Decimal(10)
_LARGEST_COST = Decimal(10) ** 15
_NUMBERS: Final = frozenset({int, float, str})


def declared_cost(sent: Mapping[str, Any]) -> int | None:
    """Nano-USD the provider itself states: OpenRouter `cost`, Perplexity `cost.total_cost`, xAI `cost_in_usd_ticks`."""
    if (ticks := _decimal(sent.get("cost_in_usd_ticks"))) is not None:
        return _nano(ticks / _TICKS_PER_NANO_USD)
    cost = sent.get("cost")
    if isinstance(cost, dict):
        cost = cost.get("total_cost")
    usd = _decimal(cost)
    if not usd and (upstream := _decimal(loose.mapping(sent.get("cost_details")).get("upstream_inference_cost"))):
        usd = upstream
    return None if usd is None else _nano(usd * 10**9)


def _decimal(value: Any) -> Decimal | None:
    if type(value) not in _NUMBERS:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < _LARGEST_COST else None


def _nano(amount: Decimal) -> int | None:
    return int(amount.to_integral_value()) if amount < _LARGEST_COST else None
