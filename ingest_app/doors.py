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
import contextlib
import re
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import parse_qsl, unquote

import orjson

from accounts_app.keys import Speaker, looks_like_key, present, unprefixed
from accounts_app.secrets import Keyring
from ingest_app import forwarding, otlp, records, uploads
from ingest_app.directives import Directives
from ingest_app.envelopes import BY_PATH
from ingest_app.omission import without_omitted
from ingest_app.posting import Answer, NotAccepted, Posting
from ingest_app.records import LateBodies
from ingest_app.redaction import redacted, redacted_sides
from ingest_app.spool import Record, SpoolUnavailable
from lib import clock, loose_json
from lib.frozen import dataclass, replace
from lib.inflate import Broken, TooLarge, UnknownCoding, inflate
from lib.redact import Redactor
from llm import prompt_tags
from llm.exchange import Exchange, Problem

MAX_AHEAD: Final = timedelta(days=1)
"""Clocks differ; further ahead than this none does."""
RETRY_AFTER_SECONDS: Final = 5
_HOST: Final = re.compile(r"[\w.-]+(:\d{1,5})?|\[[0-9a-fA-F:]+\](:\d{1,5})?", re.ASCII)
_NOTHING: Final[Mapping[str, str]] = {}
_JSON: Final = {"content-type": "application/json"}
_PROTOBUF: Final = {"content-type": otlp.PROTOBUF}
MAX_READ_INLINE: Final = 256 * 1024
"""Bytes of a body that are read between two other requests; about 10 ms."""
READ_ASIDE, GIANT_BYTES = 2, 4 * 2**20
"""Large exports read at once, and how large one is that waits for all others of its kind: it may take 300 MB."""
MAX_WAITING: Final = 16
"""Large exports read or waiting for it; one more is to come again."""
GROWTH: Final = 5
"""How many times the largest export its spans may take in the spool: each of them repeats its resource."""
RECORD_OVERHEAD: Final = 1024
OUTGROWN: Final = "spans and their resources are too large together: send smaller batches"
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
    query: str = ""


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

    async def put_all_durably(self, records: Sequence[Record]) -> None:
        """The same for all of them, or none."""


@dataclass(frozen=True, slots=True)
class Doorway:
    """What the doors work with. Bodies are bounded as sent and unpacked: LOG_MAX_BYTES, OTLP_MAX_BYTES."""

    keys: Keys
    spool: Spool
    max_bytes: int
    max_age: timedelta
    now: Callable[[], datetime] = clock.now
    max_export_bytes: int = 20 * 2**20
    public_url: str = "http://localhost"
    secret: str = field(default_factory=secrets.token_urlsafe, repr=False)
    """What leave to upload is signed with; the same for every process that answers."""
    keyring: Keyring | None = None
    """What clients' keys are sealed with until they are used; None: none is taken."""
    redactor_of: Callable[[int], Redactor | None] = lambda organization_id: None
    """What an organisation wants taken out before anything is kept."""
    drops: Counter[str] = field(default_factory=Counter)
    """What the doors did not keep, by reason, since the process started."""
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READ_ASIDE))
    turn_of_giants: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[int] = field(default_factory=list)
    """Large exports being read or waiting for it, by their bytes."""

    def most(self, path: str) -> tuple[int, str]:
        """Bytes of a body at a path, and the setting that says so."""
        if _named(path) in otlp.PATHS:
            return self.max_export_bytes, "OTLP_MAX_BYTES"
        return self.max_bytes, "LOG_MAX_BYTES"


class Refusal(Exception):
    """An answer other than `ok`."""

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] = _NOTHING, *,
        body: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(sentence)
        said = orjson.dumps(body or {"error": sentence})
        self.reply = DoorReply(status, {**_JSON, **_CORS, **headers}, said)


def is_door(path: str) -> bool:
    """Whether a path is a log door's."""
    return (name := _named(path)) in BY_PATH or name in otlp.PATHS or name == uploads.PATH


def too_large(request: DoorRequest, doorway: Doorway) -> DoorReply:
    """The answer to a body whose length alone says that it is too long to be read."""
    return _spoken(_too_large(*doorway.most(request.path)), request)


def no_room(request: DoorRequest) -> DoorReply:
    """The answer while so much is being read that no more is."""
    return _spoken(_unavailable("Too much is being read just now. Send it again in a moment."), request)


async def at_once(request: DoorRequest, doorway: Doorway) -> DoorReply | None:
    """The answer to a request by its head alone, where that is enough: nobody's body is read but who may send one."""
    if request.method == "OPTIONS":
        return _preflight(request)
    try:
        if _named(request.path) == uploads.PATH:
            _leave(request, doorway)
        else:
            await _sender(request, doorway)
    except Refusal as refusal:
        return _spoken(refusal, request)
    return None


async def handle(request: DoorRequest, doorway: Doorway) -> DoorReply:
    """The answer to a request whose path `is_door`; 200 only when what it told is durable."""
    if request.method == "OPTIONS":
        return _preflight(request)
    try:
        return await _taker(_named(request.path))(request, doorway)
    except Refusal as refusal:
        return _spoken(refusal, request)
    except NotAccepted as reason:
        return _spoken(Refusal(400, str(reason), body=reason.body), request)
    except SpoolUnavailable:
        full = "The log cannot be kept just now: the spool is full. Send it again later."
        return _spoken(_unavailable(full), request)


def _taker(path: str) -> Callable[[DoorRequest, Doorway], Awaitable[DoorReply]]:
    if path == uploads.PATH:
        return _take_upload
    return _take_export if path in otlp.PATHS else _take


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
            "access-control-allow-methods": "GET, POST, PUT, OPTIONS",
            "access-control-allow-headers": "".join(char for char in allowed if char.isprintable()),
            "access-control-max-age": "86400",
        },
        b"",
    )


async def _sender(request: DoorRequest, doorway: Doorway) -> Speaker:
    """Who posts, by a method the path takes."""
    path = _named(request.path)
    if path not in BY_PATH and path not in otlp.PATHS:
        raise Refusal(404, "Logs are not posted here. Post them to /custom/v1/log.")
    methods = BY_PATH[path].PATHS[path] if path in BY_PATH else ("POST",)
    if request.method not in methods:
        allowed = ", ".join((*methods, "OPTIONS"))
        raise Refusal(405, f"Here it is {' or '.join(methods)}, not {request.method[:20]}.", {"allow": allowed})
    return await _speaker(_key(request), doorway.keys)


async def _posting(request: DoorRequest, doorway: Doorway) -> Posting:
    speaker = await _sender(request, doorway)
    return Posting(
        path=_named(request.path),
        headers=request.headers,
        body=await _aside(len(request.body) * _grows(request), _unpacked, request, doorway),
        organization_id=speaker.organization_id,
        api_key_id=speaker.key_id,
        arrived_at=doorway.now(),
        own_url=_own_url(request, doorway),
        secret=doorway.secret,
    )


def _own_url(request: DoorRequest, doorway: Doorway) -> str:
    """Where this client reaches us: inside a network that is seldom PUBLIC_URL."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        return doorway.public_url
    is_secure = request.headers.get("x-forwarded-proto", "") == "https" or doorway.public_url == f"https://{host}"
    return f"{'https' if is_secure else 'http'}://{host}"


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
    encoding = request.headers.get("content-encoding", "")
    most, setting = doorway.most(request.path)
    if len(request.body) > most:
        raise _too_large(most, setting)
    try:
        return inflate(request.body, encoding, limit=most) if encoding else request.body
    except TooLarge:
        raise _too_large(most, setting) from None
    except Broken:
        raise Refusal(400, f"The body is not what its content-encoding says ({encoding[:40]}).") from None
    except UnknownCoding:
        sentence = "The content-encoding is not known here. Send the body plain, or as gzip or deflate."
        raise Refusal(415, sentence, {"accept-encoding": "gzip, deflate"}) from None


def _too_large(most: int, setting: str) -> Refusal:
    return Refusal(413, f"The body is larger than the {most} bytes taken here (setting {setting}).")


async def _take(request: DoorRequest, doorway: Doorway) -> DoorReply:
    posting = await _posting(request, doorway)
    is_large = len(posting.body) > MAX_READ_INLINE
    async with doorway.turns if is_large else contextlib.nullcontext():
        ids, answer, taken = await _aside(len(posting.body), _logged, posting, doorway)
    await asyncio.gather(*(doorway.spool.put_durably(record) for record in taken))
    return DoorReply(answer.status, {"content-type": answer.content_type, **_CORS, **ids}, answer.body)


def _logged(posting: Posting, doorway: Doorway) -> tuple[Mapping[str, str], Answer, list[Record]]:
    taken = BY_PATH[posting.path].take(posting)
    exchanges = [
        _kept(_placed(logged.exchange, posting.arrived_at, doorway.max_age), logged.directives, doorway)
        for logged in taken.logged
    ]
    spooled = [*map(records.whole, exchanges), *map(records.amendment, taken.amendments)]
    return _ids(exchanges), taken.answer, spooled


def _kept(exchange: Exchange, asked: Directives, doorway: Doorway) -> Exchange:
    """As it may be kept: without what its client omits and its organisation wants taken out."""
    redactor = doorway.redactor_of(exchange.organization_id)
    if forward := forwarding.order(asked, doorway.keyring, exchange.organization_id, exchange.id):
        exchange = replace(exchange, forward=forward)
    if asked.has_prompt and exchange.request.data:
        body, prompt = prompt_tags.strip(exchange.request.data)
        exchange = replace(exchange, request=replace(exchange.request, data=body), prompt=prompt)
    return without_omitted(redacted(exchange, redactor) if redactor else exchange, asked)


async def _aside(size: int, work: Callable[[_Given, Doorway], _Made], given: _Given, doorway: Doorway) -> _Made:
    """What `work` makes of a body of `size` bytes: in passing where it is short, else in a thread."""
    if size > MAX_READ_INLINE:
        return await asyncio.to_thread(work, given, doorway)
    return work(given, doorway)


# --- bodies uploaded apart --------------------------------------------------------------------------------------------


def _leave(request: DoorRequest, doorway: Doorway) -> uploads.Leave:
    if request.method != "PUT":
        raise Refusal(405, f"Bodies are PUT here, not {request.method[:20]}.", {"allow": "PUT, OPTIONS"})
    token = dict(parse_qsl(request.query)).get("token", "")
    leave = uploads.read(token, doorway.secret, now=doorway.now())
    if leave is None:
        raise Refusal(403, "The leave to upload is unknown or has ended. Ask for another.")
    return leave


async def _take_upload(request: DoorRequest, doorway: Doorway) -> DoorReply:
    """Both bodies of a call, from whoever holds leave to upload them."""
    leave = _leave(request, doorway)
    data = await _aside(len(request.body) * _grows(request), _unpacked, request, doorway)
    sides = await _aside(len(data), _sides, data, doorway)
    if redactor := doorway.redactor_of(leave.organization_id):
        sides = await _aside(len(data), lambda sides, _: redacted_sides(*sides, redactor), sides, doorway)
    late = LateBodies(leave.organization_id, leave.request_id, doorway.now(), *sides)
    await doorway.spool.put_durably(records.late_bodies(late))
    return DoorReply(200, {"content-type": "text/plain", **_CORS}, b"")


def _sides(data: bytes, doorway: Doorway) -> tuple[bytes, bytes]:
    """Request and reply of {"request": "<raw>", "response": "<raw>"}; JSON that is not packed into text does too."""
    try:
        told = loose_json.loads(data)[0]
    except ValueError as error:
        raise NotAccepted(f"The body is not valid JSON: {error}.") from None
    if not isinstance(told, dict) or not told.keys() & {"request", "response"}:
        raise NotAccepted('PUT {"request": "…", "response": "…"}.')
    found = (told.get(name) for name in ("request", "response"))
    sides = [b"" if one is None else one.encode() if isinstance(one, str) else loose_json.dumps(one) for one in found]
    return sides[0], sides[1]


# --- exports of OpenTelemetry -----------------------------------------------------------------------------------------


async def _take_export(request: DoorRequest, doorway: Doorway) -> DoorReply:
    """Every span of an export, durable together; of the large ones only so many at once."""
    if not _may_be(request, MAX_READ_INLINE):
        return await _taken(request, doorway)
    if len(doorway.waiting) >= MAX_WAITING:
        raise _unavailable("Too many large exports are being read just now. Send it again in a moment.")
    doorway.waiting.append(len(request.body))
    try:
        async with doorway.turn_of_giants if _may_be(request, GIANT_BYTES) else doorway.turns:
            return await _taken(request, doorway)
    finally:
        doorway.waiting.pop()


def _may_be(request: DoorRequest, size: int) -> bool:
    """Whether a body may be longer than `size` once it is unpacked."""
    return len(request.body) * max(1, _grows(request)) > size


async def _taken(request: DoorRequest, doorway: Doorway) -> DoorReply:
    posting = await _posting(request, doorway)
    if posting.path in otlp.METRIC_PATHS:
        account, found = otlp.Account(dropped=Counter({otlp.METRICS_NOT_KEPT: 1})), list[Record]()
    else:
        account, found = await _aside(len(posting.body), _spans, posting, doorway)
    await doorway.spool.put_all_durably(found)
    doorway.drops.update(account.dropped)
    is_protobuf = otlp.is_protobuf(posting.headers)
    spoken = _PROTOBUF if is_protobuf else _JSON
    return DoorReply(200, {**_CORS, **spoken}, otlp.answer(account, posting.path, is_protobuf=is_protobuf))


def _spans(posting: Posting, doorway: Doorway) -> tuple[otlp.Account, list[Record]]:
    """Each span as its record at once, so that never more than one is held as objects."""
    account, redactor = otlp.Account(), doorway.redactor_of(posting.organization_id)
    taken: list[Record] = []
    room = doorway.max_export_bytes * GROWTH
    for document in otlp.documents(posting, account):
        told = otlp.exchange(document, posting)
        exchange = _placed(redacted(told, redactor) if redactor else told, posting.arrived_at, doorway.max_age)
        record = records.whole(exchange)
        room -= record.size + RECORD_OVERHEAD
        if room < 0:
            account.refuse(OUTGROWN)
        else:
            taken.append(record)
    return account, taken


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
