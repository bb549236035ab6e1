"""One exchange as it happened in a story."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from helicone_site.demo.provider.reply import Json, Reply


@dataclass(frozen=True, slots=True)
class Failure:
    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """A call and what came of it: a model's `reply`, a `failure`, or an `event` of a tool, a search or other data."""

    id: UUID
    """Always the same for the same step, so that posting it twice is posting it once."""
    at: datetime
    duration_ms: int
    provider: str
    """`openai`, `anthropic`, another provider's host, or `custom` for an event."""
    path: str
    """Of the call at its provider, `/v1/chat/completions`; empty for an event."""
    request: Json
    reply: Reply | None = None
    failure: Failure | None = None
    event: Json | None = None
    time_to_first_token_ms: int | None = None
    """Set on streams only."""
    meta: Mapping[str, str] = field(default_factory=dict)
    """Helicone-* names and values."""
