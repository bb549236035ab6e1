"""What goes into an envelope and what comes out of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ingest_app.directives import Directives
from llm.exchange import Exchange


class NotAccepted(ValueError):
    """A posting nothing can be made of. Its text is a sentence for whoever sent it."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One request to a log door, decompressed, from a client whose key is good."""

    path: str
    """One of its envelope's PATHS."""
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    organization_id: int
    api_key_id: int
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class Logged:
    """An exchange as its client tells it, and what the client asks of us about it."""

    exchange: Exchange
    directives: Directives


class Envelope(Protocol):
    """What a module in `ingest_app/envelopes/` has."""

    PATHS: Collection[str]
    """Where it is posted to; no two envelopes share one."""

    def split(self, posting: Posting) -> Sequence[Logged]:
        """The exchanges inside. Times are as told: the door clamps them. Raises NotAccepted."""
