"""A doorway with fakes behind it, and log bodies, for tests of the log doors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from accounts_app.keys import Speaker
from ingest_app import records
from ingest_app.doors import DoorReply, DoorRequest, Doorway, handle
from ingest_app.spool import Entry, Record, SpoolUnavailable
from lib.redact import Redactor
from llm.exchange import Exchange

NOW = datetime(2026, 11, 18, 12, 0, 0, tzinfo=UTC)
KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
READ_ONLY_KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-eeeeeee"
UNKNOWN_KEY = "sk-helicone-zzzzzzz-bbbbbbb-ccccccc-ddddddd"
MAX_BYTES = 200_000
SECRET = "a secret of these tests"


@dataclass
class KnownKeys:
    """Stands for the snapshot's keeper."""

    current: object | None = "a snapshot"
    speakers: dict[str, Speaker] = field(
        default_factory=lambda: {KEY: Speaker(7, 70, "app", "rw"), READ_ONLY_KEY: Speaker(7, 71, "reader", "r")}
    )

    async def speaker(self, key: str) -> Speaker | None:
        return self.speakers.get(key)


@dataclass
class Shelf:
    """Stands for the spool's writer; what it kept can be read back as the line would."""

    is_full: bool = False
    records: list[Record] = field(default_factory=list)

    async def put_durably(self, record: Record) -> None:
        if self.is_full:
            raise SpoolUnavailable("the spool is full")
        self.records.append(record)

    async def put_all_durably(self, records: Sequence[Record]) -> None:
        for record in records:
            await self.put_durably(record)

    def exchanges(self) -> list[Exchange]:
        entries = [Entry(r.kind, (1,), r.facts, r.request or b"", r.response or b"") for r in self.records]
        return [records.read(entry) for entry in entries]  # type: ignore[misc]


def post(
    body: Any, *, shelf: Shelf | None = None, keys: KnownKeys | None = None, path: str = "/custom/v1/log",
    method: str = "POST", key: str | None = KEY, max_bytes: int = MAX_BYTES, path_key: str | None = None,
    query: str = "", now: datetime = NOW, redactor: Redactor | None = None, **headers: str,
) -> DoorReply:  # fmt: skip
    """The reply to a posting. Keywords are HTTP headers, underscores for dashes; a body that is no bytes is dumped."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        said.setdefault("authorization", f"Bearer {key}")
    request = DoorRequest(method, path, said, data, path_key, query)
    doorway = Doorway(
        keys or KnownKeys(), shelf or Shelf(), max_bytes=max_bytes, max_age=timedelta(days=400), now=lambda: now,
        secret=SECRET, redactor_of=lambda organization_id: redactor if organization_id == 7 else None,
    )  # fmt: skip
    return asyncio.run(handle(request, doorway))


def logged(body: Any, **said: Any) -> Exchange:
    """The one exchange the line will read of an accepted posting."""
    shelf = Shelf()
    reply = post(body, shelf=shelf, **said)
    assert (reply.status, reply.body) == (200, b"ok"), reply.body
    (exchange,) = shelf.exchanges()
    return exchange


def log(**changes: Any) -> dict[str, Any]:
    """A complete log body; keywords replace its parts, `request__x` and `response__x` entries inside a side."""
    body: dict[str, Any] = {
        "providerRequest": {
            "url": "https://api.openai.com/v1/chat/completions",
            "json": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is the time?"}]},
            "meta": {},
        },
        "providerResponse": {
            "json": {
                "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18",
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Noon."}},
                ],
                "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
            },
            "status": 200,
            "headers": {"x-request-id": "req_1"},
        },
        "timing": {
            "startTime": {"seconds": 1795003190, "milliseconds": 250},
            "endTime": {"seconds": 1795003191, "milliseconds": 0},
        },
    }  # fmt: skip
    for name, value in changes.items():
        side, _, entry = name.partition("__")
        if entry:
            body[{"request": "providerRequest", "response": "providerResponse"}[side]][entry] = value
        else:
            body[name] = value
    return body


def without(body: dict[str, Any], *path: str) -> dict[str, Any]:
    """The body with one entry taken out."""
    inside = body
    for name in path[:-1]:
        inside = inside[name]
    del inside[path[-1]]
    return body
