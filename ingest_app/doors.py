"""The log doors: where clients post calls they made themselves. Answered when durable, and not before.

Refusal                  an answer in JSON: {"error": "<a sentence saying what to do>"}
 ├─ 400 NotAccepted      nothing can be made of the body
 ├─ 401                  no key, or none of ours, or one that may only read
 ├─ 404, 405, 413, 415   no door; another method; too large; an encoding we do not undo
 └─ 503 + Retry-After    a key cannot be judged yet, or the spool cannot keep more
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar
from urllib.parse import unquote

import orjson

from accounts_app.keys import Speaker, looks_like_key, present, unprefixed
from ingest_app import otlp, records
from ingest_app.envelopes import BY_PATH
from ingest_app.omission import without_omitted
from ingest_app.posting import Logged, NotAccepted, Posting
from ingest_app.spool import Record, SpoolUnavailable
from lib import clock
from lib.inflate import Broken, TooLarge, UnknownCoding, inflate
from llm.exchange import Exchange, Problem

MAX_AHEAD: Final = timedelta(days=1)
"""Clocks differ; further ahead than this none does."""
RETRY_AFTER_SECONDS: Final = 5
_NOTHING: Final[Mapping[str, str]] = {}
_JSON: Final = {"content-type": "application/json"}
_PROTOBUF: Final = {"content-type": otlp.PROTOBUF}
MAX_READ_INLINE: Final = 256 * 1024
"""Bytes of a body that are read between two other requests; about 10 ms."""
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")
_CORS: Final = {"access-control-allow-origin": "*", "access-control-expose-headers": "helicone-id"}
"""Browsers may log too: what speaks here is a key, never a cookie."""


@dataclass(frozen=True, slots=True)
class DoorRequest:
    method: str
    path: str
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    """As it came, still encoded."""
    path_key: str | None = None
    """A key that stood in the path and was taken out of it."""


@dataclass(frozen=True, slots=True)
class DoorReply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Keys(Protocol):
    """What `edge` knows of keys: `accounts_app.snapshot.Keeper`."""

    @property
    def current(self) -> object | None:
        """None until keys were ever read."""

    async def speaker(self, key: str) -> Speaker | None: ...


class Spool(Protocol):
    async def put_durably(self, record: Record) -> None:
        """Returns when the record is durable. Raises SpoolUnavailable."""


@dataclass(frozen=True, slots=True)
class Doorway:
    """What the doors work with. `max_bytes` bounds a body, as sent and unpacked (LOG_MAX_BYTES)."""

    keys: Keys
    spool: Spool
    max_bytes: int
    max_age: timedelta
    now: Callable[[], datetime] = clock.now


class Refusal(Exception):
    """An answer other than `ok`."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] = _NOTHING) -> None:
        super().__init__(sentence)
        body = orjson.dumps({"error": sentence})
        self.reply = DoorReply(status, {**_JSON, **_CORS, **headers}, body)


def is_door(path: str) -> bool:
    """Whether a path is a log door's."""
    return (name := _named(path)) in BY_PATH or name in otlp.PATHS


def too_large(max_bytes: int) -> DoorReply:
    """The answer to a body whose length alone says that it is too long to be read."""
    return _too_large(max_bytes).reply


async def handle(request: DoorRequest, doorway: Doorway) -> DoorReply:
    """The answer to a request whose path `is_door`; 200 only when what it told is durable."""
    if request.method == "OPTIONS":
        return _preflight(request)
    try:
        posting = await _posting(request, doorway)
        return await (_take_export if posting.path in otlp.PATHS else _take)(posting, doorway)
    except Refusal as refusal:
        return _spoken(refusal, request)
    except NotAccepted as reason:
        return _spoken(Refusal(400, str(reason)), request)
    except SpoolUnavailable:
        full = "The log cannot be kept just now: the spool is full. Send it again later."
        return _spoken(_unavailable(full), request)


def _spoken(refusal: Refusal, request: DoorRequest) -> DoorReply:
    """In the client's own encoding where it speaks protobuf."""
    reply = refusal.reply
    if not otlp.is_protobuf(request.headers):
        return reply
    return DoorReply(reply.status, {**reply.headers, **_PROTOBUF}, otlp.status(reply.status, str(refusal)))


def _named(path: str) -> str:
    return unquote(path).rstrip("/")


def _preflight(request: DoorRequest) -> DoorReply:
    allowed = request.headers.get("access-control-request-headers", "authorization, content-type")
    return DoorReply(
        204,
        {
            **_CORS,
            "access-control-allow-methods": "POST, OPTIONS",
            "access-control-allow-headers": "".join(char for char in allowed if char.isprintable()),
            "access-control-max-age": "86400",
        },
        b"",
    )


async def _posting(request: DoorRequest, doorway: Doorway) -> Posting:
    if request.method != "POST":
        raise Refusal(405, f"Logs are posted: use POST, not {request.method[:20]}.", {"allow": "POST, OPTIONS"})
    path = _named(request.path)
    if path not in BY_PATH and path not in otlp.PATHS:
        raise Refusal(404, "Logs are not posted here. Post them to /custom/v1/log.")
    speaker = await _speaker(_key(request), doorway.keys)
    return Posting(
        path=path,
        headers=request.headers,
        body=await _aside(len(request.body) * _grows(request), _unpacked, request, doorway),
        organization_id=speaker.organization_id,
        api_key_id=speaker.key_id,
        arrived_at=doorway.now(),
    )


# --- who speaks -----------------------------------------------------------------------------------------------------


async def _speaker(key: str, keys: Keys) -> Speaker:
    if not key:
        raise Refusal(401, "No API key was sent. Send the header: Authorization: Bearer <your API key>.")
    if keys.current is None:
        raise _unavailable("API keys cannot be checked just now. Send it again in a moment.")
    speaker = await keys.speaker(key)
    if speaker is None and not looks_like_key(key):
        raise Refusal(401, "The API key is not well formed. Send it whole, as it was shown when it was made.")
    if speaker is None:
        raise Refusal(401, "The API key is unknown or was revoked. Make a new one under Settings, API keys.")
    if not speaker.may_write:
        raise Refusal(401, "The API key may only read. Logging needs one that may write.")
    return speaker


def _key(request: DoorRequest) -> str:
    """Here no provider's credential is expected, so whatever stands in its place is meant as ours."""
    if key := present(request.headers, request.path_key).key:
        return key
    places = ("authorization", "x-api-key", "api-key")
    return next((_unpaired(unprefixed(value)) for name in places if (value := request.headers.get(name))), "")


def _unpaired(credential: str) -> str:
    """The key of a Basic pair: Langfuse's clients send public and secret key; either may be ours."""
    scheme, _, packed = credential.partition(" ")
    if scheme.lower() != "basic":
        return credential
    try:
        halves = base64.b64decode(packed.strip() + "==").decode().split(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return next((half for half in reversed(halves) if looks_like_key(half)), halves[-1])


def _unavailable(sentence: str) -> Refusal:
    return Refusal(503, sentence, {"retry-after": str(RETRY_AFTER_SECONDS)})


# --- what they say --------------------------------------------------------------------------------------------------


def _grows(request: DoorRequest) -> int:
    """How many times its size a body may be once it is unpacked, as a guess; a plain one is not copied at all."""
    return 20 if request.headers.get("content-encoding") else 0


def _unpacked(request: DoorRequest, doorway: Doorway) -> bytes:
    encoding, max_bytes = request.headers.get("content-encoding", ""), doorway.max_bytes
    if len(request.body) > max_bytes:
        raise _too_large(max_bytes)
    try:
        return inflate(request.body, encoding, limit=max_bytes) if encoding else request.body
    except TooLarge:
        raise _too_large(max_bytes) from None
    except Broken:
        raise Refusal(400, f"The body is not what its content-encoding says ({encoding[:40]}).") from None
    except UnknownCoding:
        sentence = "The content-encoding is not known here. Send the body plain, or as gzip or deflate."
        raise Refusal(415, sentence, {"accept-encoding": "gzip, deflate"}) from None


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(413, f"The body is larger than the {max_bytes} bytes taken here (setting LOG_MAX_BYTES).")


async def _take(posting: Posting, doorway: Doorway) -> DoorReply:
    exchanges, taken = await _aside(len(posting.body), _logged, posting, doorway)
    for record in taken:
        await doorway.spool.put_durably(record)
    return DoorReply(200, {"content-type": "text/plain", **_CORS, **_ids(exchanges)}, b"ok")


def _logged(posting: Posting, doorway: Doorway) -> tuple[list[Exchange], list[Record]]:
    exchanges = [
        _placed(without_omitted(logged.exchange, logged.directives), posting.arrived_at, doorway.max_age)
        for logged in _split(posting)
    ]
    return exchanges, [records.whole(exchange) for exchange in exchanges]


async def _aside(size: int, work: Callable[[_Given, Doorway], _Made], given: _Given, doorway: Doorway) -> _Made:
    """What `work` makes of a body of `size` bytes: in passing where it is short, else in a thread."""
    if size > MAX_READ_INLINE:
        return await asyncio.to_thread(work, given, doorway)
    return work(given, doorway)


async def _take_export(posting: Posting, doorway: Doorway) -> DoorReply:
    """Every span of an export, durable together."""
    export, taken = await _aside(len(posting.body), _spans, posting, doorway)
    await asyncio.gather(*(doorway.spool.put_durably(record) for record in taken))
    is_protobuf = otlp.is_protobuf(posting.headers)
    spoken = _PROTOBUF if is_protobuf else _JSON
    return DoorReply(200, {**_CORS, **spoken}, otlp.answer(export, is_protobuf=is_protobuf))


def _spans(posting: Posting, doorway: Doorway) -> tuple[otlp.Export, list[Record]]:
    export = otlp.read(posting)
    placed = (_placed(otlp.exchange(span, posting), posting.arrived_at, doorway.max_age) for span in export.spans)
    return export, [records.whole(exchange) for exchange in placed]


def _split(posting: Posting) -> Sequence[Logged]:
    return BY_PATH[posting.path].split(posting)


def _placed(exchange: Exchange, now: datetime, max_age: timedelta) -> Exchange:
    """The exchange at a time for which there is room: partitions are made this far and no further."""
    moment = min(max(exchange.requested_at, now - max_age), now + MAX_AHEAD)
    if moment == exchange.requested_at:
        return exchange
    told = Problem("time_clamped", f"told as {exchange.requested_at.isoformat()}")
    return replace(exchange, id=clock.uuid7(moment), requested_at=moment, problems=(*exchange.problems, told))


def _ids(exchanges: Sequence[Exchange]) -> Mapping[str, str]:
    """The id the client chose, else ours: either finds the request."""
    if not exchanges:
        return {}
    first = exchanges[0]
    return {"helicone-id": first.attribution.client_request_id or str(first.id)}
