"""What a model call is: bytes as they passed, then what was read from them, then what it cost.

    Exchange ──parse──▶ ParsedExchange ──price──▶ PricedExchange

All of them frozen; nobody fills in fields on the way. Counts are the field's totals: `input_tokens` includes
cache reads, cache writes, audio and images; `output_tokens` includes reasoning. None means "not told", never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from lib.frozen import dataclass

MODEL_KINDS = frozenset({"llm", "embedding", "image", "audio", "rerank", "moderation"})
"""Kinds that call a model; only their tokens and cost are counted."""

ATTEMPT = "attempt"
"""Kind of a call whose answer was not passed on: another was made after it. In no count, token or cost sum."""
ATTEMPTS_FAILED = "attempts_failed"
"""Problem of a request that has some."""
ATTEMPT_OF = "helicone-attempt-of"
"""Its request, by our id, among the request headers of its row."""

STATUS_TIMEOUT = -2
STATUS_CANCELLED = -3
STATUS_THREAT = -4
STATUS_INTERRUPTED = -5
STATUS_UNKNOWN = -100
"""Statuses beside HTTP's: no answer in time, client went away, blocked, our process died, nothing known."""

BodyState = Literal["kept", "omitted", "truncated", "redacted"]


@dataclass(frozen=True, slots=True)
class Body:
    """One side of an exchange as captured. `data` is what was kept, still encoded as on the wire."""

    data: bytes = b""
    content_type: str = ""
    content_encoding: str = ""
    size: int = 0
    """Bytes on the wire, before any cut."""
    state: BodyState = "kept"


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who and what a call belongs to, as its client declared it."""

    client_request_id: str | None = None
    end_user_id: str | None = None
    session_id: str | None = None
    session_path: str | None = None
    session_name: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    prompt_id: str | None = None
    prompt_version: str | None = None
    model_override: str | None = None
    declared_cost_nano_usd: int | None = None
    """Cost the client itself states (`providerResponse.cost`)."""
    input_nano_usd_per_token: float | None = None
    output_nano_usd_per_token: float | None = None
    """Per-request prices the client states (`Helicone-Input-Token-Cost`), ×1e9."""
    given: Mapping[str, int] | None = None
    """What of this a call that is no span has from its trace, as its row's `amended` tells it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a capture that could not be read or had to be changed; `code` is from a closed list in docs."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one call; totals include their parts. `sent` is the provider's own object, untouched."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    """The part of cache_write_tokens kept for an hour."""
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    web_searches: int | None = None
    images: int | None = None
    """Images made, where they and not their tokens are charged."""
    audio_ms: int | None = None
    """Length of the audio heard, where its minutes are charged."""
    characters: int | None = None
    """Characters spoken, where they are charged."""
    search_units: int | None = None
    """Searches of a rerank call."""
    billed_input_tokens: int | None = None
    billed_output_tokens: int | None = None
    """What the provider says it charges for, where that differs from the counts (Cohere)."""
    sent: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Token counts nobody told, guessed from the text. Never summed with told ones, never charged."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    method: str = ""
    """How it was made, as a reader should see it: `characters / 4`."""


@dataclass(frozen=True, slots=True)
class SpanFacts:
    """What a span's attributes say beside its model call; they fill what its exchange left open."""

    name: str = ""
    provider: str = ""
    """Slug of a TOML in llm/providers; empty where the span names none."""
    session_id: str | None = None
    session_name: str | None = None
    session_path: str | None = None
    end_user_id: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    prompt_id: str | None = None
    prompt_version: str | None = None
    time_to_first_token_ms: int | None = None
    http_status: int | None = None
    """What the provider answered, where the span of a failed call tells it."""
    reported: Usage | None = None
    """Totals over its children, as an agent or chain reports them: shown, never counted."""
    reported_nano_usd: int | None = None
    """What they cost, as it reports it: likewise."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the bytes of an exchange say. Every field has a value that means "not told"."""

    dialect: str = ""
    """Name of the file in llm/dialects that read it; empty where none could."""
    kind: str = "llm"
    request_model: str | None = None
    response_model: str | None = None
    usage: Usage = field(default_factory=Usage)
    estimate: Estimate | None = None
    """Only where the usage is missing."""
    is_stream: bool = False
    finish_reason: str | None = None
    provider_response_id: str | None = None
    service_tier: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    provider_cost_nano_usd: int | None = None
    """Cost the provider declared in its reply, ×1e9."""
    end_user_id: str | None = None
    """`user` / `metadata.user_id` of the request body; a header wins over it."""
    request_preview: str = ""
    response_preview: str = ""
    """One line each, at most PREVIEW_LENGTH characters."""
    tool_calls: tuple[str, ...] = ()
    """Names of the tools the reply calls, in order."""
    folded_response: bytes | None = None
    """JSON of the body a stream would have been; None where the reply was no stream or could not be folded."""
    span: SpanFacts | None = None
    """Only of door `otlp` and of logged steps that are spans."""
    problems: tuple[Problem, ...] = ()


PREVIEW_LENGTH = 160


@dataclass(frozen=True, slots=True)
class CacheHit:
    """The reply was another call's, kept. Nobody was asked and nothing paid."""

    original: UUID
    """Our id of the call that was made for it."""
    latency_ms: int
    """How long that one took."""


@dataclass(frozen=True, slots=True)
class Meter:
    """A limit in cents this call is counted against once its cost is known."""

    key: str
    quota: float
    window: int
    """Seconds in which the quota comes back."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Where in Redis money is held for this call until its cost is known; keys of alerts_app/budgets.py."""

    spent: str
    holds: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What of a request was a template, and what was put into it (llm/prompt_tags.py). JSON values."""

    template: Any
    inputs: Mapping[str, str] = field(default_factory=dict)
    auto_inputs: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Forward:
    """An event about this call is to be sent there, with a key that is sealed until then."""

    host: str
    sealed: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its reply as bytes and facts, not yet read. `organization_id` never changes."""

    id: UUID
    organization_id: int
    requested_at: datetime
    """UTC, microseconds; fixed at the door before the spool, so a replay is the same row."""
    door: Literal["gateway", "log", "otlp"]
    provider: str
    """Slug of a TOML in llm/providers, or the host for one nobody described."""
    status: int
    """HTTP's, or one of STATUS_*."""
    method: str = "POST"
    url: str = ""
    """Where it went, without credentials."""
    duration_ms: int | None = None
    time_to_first_token_ms: int | None = None
    """To the first body byte; only for streams."""
    request: Body = field(default_factory=Body)
    response: Body = field(default_factory=Body)
    request_headers: Mapping[str, str] = field(default_factory=dict)
    response_headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names; credentials never among them."""
    attribution: Attribution = field(default_factory=Attribution)
    api_key_id: int | None = None
    country_code: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    reading: Reading | None = None
    """Read already at the door, because a side is omitted and its bytes are gone."""
    problems: tuple[Problem, ...] = ()
    """Named at the door: a clamped time, a cut body."""
    cache_hit: CacheHit | None = None
    meters: tuple[Meter, ...] = ()
    holds: tuple[Hold, ...] = ()
    threat: bool | None = None
    """What the security screens found; None where none looked."""
    prompt: Prompt | None = None
    forward: Forward | None = None


@dataclass(frozen=True, slots=True)
class ParsedExchange:
    exchange: Exchange
    reading: Reading


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call cost and how that was reached. `nano_usd` None means unknown, and `reason` says why."""

    nano_usd: int | None
    reason: str
    """`price`, `provider`, `client`, `cached`, or why not: `no_price`, `no_usage`, `no_model`, `not_a_model_call`,
    `failed`."""
    price_id: int | None = None
    estimated_nano_usd: int | None = None
    """What the reading's estimate would cost; stands apart and is in no sum."""


@dataclass(frozen=True, slots=True)
class PricedExchange:
    exchange: Exchange
    reading: Reading
    charge: Charge
