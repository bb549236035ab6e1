"""What the recorded traffic's answer keys say, and what we read, as the same table of facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from llm import frames, render
from llm.exchange import Exchange, Reading, Usage

COUNTS: Final[Mapping[str, Callable[[Usage], int | None]]] = {
    "prompt_tokens_total": lambda usage: usage.input_tokens,
    "completion_tokens_total": lambda usage: usage.output_tokens,
    "cache_read_tokens": lambda usage: usage.cache_read_tokens,
    "cache_write_tokens": lambda usage: usage.cache_write_tokens,
    "cache_write_1h_tokens": lambda usage: usage.cache_write_1h_tokens,
    "reasoning_tokens": lambda usage: usage.reasoning_tokens,
    "audio_input_tokens": lambda usage: usage.input_audio_tokens,
    "audio_output_tokens": lambda usage: usage.output_audio_tokens,
    "image_tokens": lambda usage: _sum(usage.input_image_tokens, usage.output_image_tokens),
    "web_search_requests": lambda usage: usage.web_searches,
    "billed_prompt_tokens": lambda usage: usage.billed_input_tokens,
    "billed_completion_tokens": lambda usage: usage.billed_output_tokens,
}
"""The key's names of counts, and where a usage has them."""
NAMES: Final = ("request_model", "response_model", "finish_reason", "error_type")
SILENT_KEY: Final = frozenset({"web_search_requests", "response_model"})
"""Facts the key does not look for everywhere: where it has none, it says nothing about ours."""
Different = dict[str, tuple[Any, Any]]
"""{fact: (ours, the key's)} of what is not the same."""

EXCEPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "azure-f3f74c4cb4e1": {
        "error_type": "the key took `error.status`, a number, where `type` is null; the code names the error"},
    "openai-54dcba95c27d": {
        "model": "the reply names its model; the key leaves it out where a run has no `usage`"},
    "openai-4be5ebe06cfb": {"model": "the reply names its model; the key does not read moderations"},
    "openai-1a538a35e4d6": {"stream_truncated": "a JSON-lines file downloaded, and no stream of a model"},
    "openai-6ae5ddc4f96d": {
        "request_model": "deleting a model runs none (and `ft:123` is not called `ft`)", "model": "as above"},
    "openrouter-8c882f36338a": {
        "provider_cost_usd": "paid with the caller's own key: `cost` is 0, and `upstream_inference_cost` what it cost"},
    "openrouter-d88cfdae5383": {"provider_cost_usd": "as above"},
    "huggingface-5569fb28f5f3": {
        "completion_tokens_total": "`details` tells how many tokens came out; the key does not look there",
        "finish_reason": "as above"},
    "bedrock-e50813fa562e": {
        "completion_tokens_total": "a guardrail stepped in: `usage` has the input alone, a header the output",
        "cost": "as above"},
    "google-vertex-c0134e66aa62": {
        "image_tokens": "modalities are numbered here (2 is IMAGE); the key looks for their names"},
    "google-vertex-e47254e937fc": {"cost": "a blocked prompt without counts: what it cost is not known"},
    **{f"bedrock-{each}": {
        "request_model": "the path names the model; of Google's countTokens the key takes it from there",
        "model": "as above",
    } for each in (
        "3366ffbca722", "386bfd959213", "3b86953c5804", "4655e0fa47c7", "56c6835289d9", "61e90b2cea81",
        "91b20ba987b4", "b2d8d8152297", "b37400264697",
    )},
}
"""Where the key is wrong or asks for something else; each stands in docs/decisions/0007-reading.md."""


def _sum(*counts: int | None) -> int | None:
    told = [count for count in counts if count is not None]
    return sum(told) if told else None


def difference(exchange: Exchange, reading: Reading, truth: Mapping[str, Any]) -> Different:
    ours, theirs = _ours(reading), _theirs(truth)
    if truth["finish_reasons"]:
        ours["finish_reasons"] = _finish_reasons(exchange, reading)
        theirs["finish_reasons"] = [reason or "" for reason in truth["finish_reasons"]]
    said = {fact: value for fact, value in theirs.items() if value is not None or fact not in SILENT_KEY}
    return {fact: (ours[fact], value) for fact, value in said.items() if ours[fact] != value}


def _ours(reading: Reading) -> dict[str, Any]:
    cost = reading.provider_cost_nano_usd
    return {
        **{name: count(reading.usage) for name, count in COUNTS.items()},
        **{name: getattr(reading, name) for name in NAMES},
        "model": reading.response_model or reading.request_model,
        "stream_truncated": any(problem.code == "stream_truncated" for problem in reading.problems),
        "provider_cost_usd": None if cost is None else round(cost / 1e9, 9),
    }


def _theirs(truth: Mapping[str, Any]) -> dict[str, Any]:
    cost = truth["provider_cost_usd"]
    return {
        **{name: truth[name] for name in COUNTS},
        **{name: _name(truth[name]) for name in NAMES},
        "model": truth["model"] or None,
        "stream_truncated": bool(truth["stream_truncated"]),
        "provider_cost_usd": None if cost is None else round(cost, 9),
    }


def _name(said: Any) -> str | None:
    """As text: Google's enums may be asked for as numbers."""
    return str(said) if said else None


def _finish_reasons(exchange: Exchange, reading: Reading) -> list[str]:
    """Of all choices, as the page that shows them says."""
    came = exchange.response
    shown = render.conversation(
        dialect=reading.dialect, request=exchange.request.data,
        response=reading.folded_response or frames.decoded(came.data, came.content_encoding),
    )
    return [message.finish_reason for message in shown.reply]
