"""What crosses rooms about a stored request: frozen rows, never models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from lib.frozen import dataclass
from llm.exchange import ATTEMPTS_FAILED, STATUS_INTERRUPTED


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One row of `llm_request`, field for column. Money in nano-USD, lengths in ms, None for "not told"."""

    organization_id: int
    requested_at: datetime
    id: UUID
    client_request_id: str | None
    kind: str
    door: str
    provider: str
    model: str | None
    """The name a reader sees: override, else response_model, else request_model."""
    request_model: str | None
    response_model: str | None
    status: int
    error_type: str | None
    error_message: str | None
    finish_reason: str | None
    is_stream: bool
    cached: bool
    duration_ms: int | None
    time_to_first_token_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    input_audio_tokens: int | None
    output_audio_tokens: int | None
    web_searches: int | None
    usage: Mapping[str, Any] | None
    """The provider's own object, untouched."""
    usage_parts: Mapping[str, int] | None
    """The rare counts, by their names in llm.exchange.Usage: images, audio_ms, characters, …; those told."""
    cost_nano_usd: int | None
    cost_reason: str
    price_id: int | None
    estimated_input_tokens: int | None
    estimated_output_tokens: int | None
    estimated_cost_nano_usd: int | None
    """Guesses where the counts were not told: shown as guesses, in no sum, never charged."""
    estimate_method: str | None
    end_user_id: str | None
    session_id: str | None
    session_path: str | None
    session_name: str | None
    properties: Mapping[str, str]
    scores: Mapping[str, float] | None
    prompt_id: str | None
    prompt_version: str | None
    api_key_id: int | None
    country_code: str | None
    threat: bool | None
    method: str
    target_url: str
    dialect: str
    provider_response_id: str | None
    service_tier: str | None
    trace_id: str | None
    span_id: str | None
    parent_span_id: str | None
    name: str | None
    request_preview: str
    response_preview: str
    tool_calls: tuple[str, ...]
    request_bytes: int
    response_bytes: int
    request_state: str
    response_state: str
    problems: tuple[str, ...]
    """`code` or `code: detail`, oldest first."""
    amended: Mapping[str, int] | None = None
    """When each late fact was said, in microseconds since 1970, by `properties.<key>` or `scores.<key>`; and 0 by
    `trace.<field>` for what a call that is no span has from its trace."""
    cached_from: UUID | None = None
    """The request whose reply this one was given; `usage_parts` then holds what that saved: `saved_nano_usd`,
    `saved_ms`, `saved_input_tokens`, `saved_output_tokens`."""


def is_error(status: int) -> bool:
    """Whether a call failed: anything but HTTP's 2xx and 3xx. In SQL: `status NOT BETWEEN 200 AND 399`."""
    return not 200 <= status <= 399


LONGEST_AFTER = timedelta(hours=1)
"""How long a request whose end was not told may have gone on."""


def has_attempts(row: RequestRow) -> bool:
    """Whether calls may have failed before its answer; of an interrupted request nobody told."""
    is_told = any(problem.startswith(ATTEMPTS_FAILED) for problem in row.problems)
    return is_told or (row.status == STATUS_INTERRUPTED and row.door == "gateway")


def went_on(row: RequestRow) -> timedelta:
    """How long after its beginning an attempt of it can have begun."""
    if row.duration_ms is None:
        return LONGEST_AFTER
    return timedelta(milliseconds=row.duration_ms, seconds=1)


@dataclass(frozen=True, slots=True)
class BodyRow:
    """One row of `llm_request_body`; zstd frames.

    `together` has request, response and headers (`body_frame.py`). A row without it, as of long bodies, has a frame of
    each; None for a side that was omitted or never came.
    """

    organization_id: int
    requested_at: datetime
    id: UUID
    dict_version: int
    key_version: int
    request: bytes | None
    response: bytes | None
    response_raw: bytes | None
    headers: bytes | None
    together: bytes | None
    request_type: str
    response_type: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a stored batch did to one row: `before` is taken away from the sums, `after` is added."""

    before: RequestRow | None
    after: RequestRow | None
