"""What goes into an envelope and what comes out of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Final, Protocol

import orjson

from ingest_app.directives import Directives
from ingest_app.records import Amendment
from lib.frozen import dataclass
from llm.exchange import Exchange


class NotAccepted(ValueError):
    """A posting nothing can be made of. Its text is a sentence for whoever sent it, in JSON of the client's own shape
    where `body` is given."""

    def __init__(self, sentence: str, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(sentence)
        self.body = body


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
    own_url: str = ""
    """Where its client found us: scheme and host."""
    secret: str = ""
    """What leave to upload is signed with."""


@dataclass(frozen=True, slots=True)
class Logged:
    """An exchange as its client tells it, and what the client asks of us about it."""

    exchange: Exchange
    directives: Directives


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client is told once everything it told is durable."""

    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b"ok"


OK: Final = Answer()


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, "application/json", orjson.dumps(value))


@dataclass(frozen=True, slots=True)
class Taken:
    """What was in a posting. Times are as told: the door clamps those of exchanges."""

    logged: Sequence[Logged] = ()
    amendments: Sequence[Amendment] = ()
    answer: Answer = field(default=OK)


class Envelope(Protocol):
    """What a module in `ingest_app/envelopes/` has."""

    PATHS: Mapping[str, Collection[str]]
    """The HTTP methods of each path it is posted to; no two envelopes share one."""

    def take(self, posting: Posting) -> Taken:
        """What is inside. Raises NotAccepted."""
