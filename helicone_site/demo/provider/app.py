"""The fake provider as an ASGI application: one request, top to bottom."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from helicone_site.demo.provider import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    doors,
    framing,
    gemini,
    imagine,
    openai_common,
    openai_embeddings,
    openai_moderations,
)
from helicone_site.demo.provider.doors import Door
from helicone_site.demo.provider.faults import Faults, faults
from helicone_site.demo.provider.framing import Framing
from helicone_site.demo.provider.reply import BadRequestError, Event, Json

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

GZIP_FROM_BYTES = 1024
SEEN_KEPT = 200
MODELS = (
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-5-mini",
    "text-embedding-3-small",
    "claude-haiku-4-5",
    "claude-sonnet-4-5",
)

seen: deque[Json] = deque(maxlen=SEEN_KEPT)
"""The last requests, newest last, for tests to look at: method, path, query, headers, size, how it ended."""


class BrokenError(ConnectionError):
    """The connection is to break here, as a dying provider's does."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read."""

    method: str
    path: str
    headers: dict[str, str]
    data: bytes
    query: str = ""
    door: Door | None = None
    model: str = ""
    """As the path names it."""

    @property
    def is_anthropic(self) -> bool:
        return "anthropic-version" in self.headers or "/messages" in self.path


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and either a JSON body or the events of a stream."""

    status: int
    body: Json | list[Json] | None = None
    events: Iterator[Event] | None = None
    framing: Framing = framing.SSE
    headers: tuple[tuple[str, str], ...] = ()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI's entry."""
    if scope["type"] != "http":
        await _reject(scope, receive, send)
        return
    door, model = doors.find(scope["path"]) or (None, "")
    query = scope["query_string"].decode("latin-1")
    call = Call(scope["method"], scope["path"], _headers(scope), await _read(receive), query, door, model)
    note = _note(call)
    wanted = faults(call.headers, _model(call))
    talking = asyncio.ensure_future(_talk(call, wanted, send))
    leaving = asyncio.ensure_future(_left(receive))
    await asyncio.wait({talking, leaving}, return_when=asyncio.FIRST_COMPLETED)
    note["ended"] = "answered" if talking.done() else "client left"
    for task in (talking, leaving):
        if not task.done():
            task.cancel()
    if talking.done():
        talking.result()


async def _reject(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "lifespan":
        await send({"type": "websocket.close", "code": 1008})
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def _read(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _note(call: Call) -> Json:
    note = {
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "headers": call.headers,
        "size": len(call.data),
        "ended": "",
    }
    if not call.path.startswith("/_"):
        seen.append(note)
    return note


def _model(call: Call) -> str:
    if call.model:
        return call.model
    try:
        body = orjson.loads(call.data)
    except orjson.JSONDecodeError:
        return ""
    return str(body.get("model", "")) if isinstance(body, dict) else ""


async def _talk(call: Call, wanted: Faults, send: Send) -> None:
    if wanted.delay:
        await asyncio.sleep(wanted.delay)
    answer = _failure(call, wanted) if wanted.status else _answer(call)
    if answer.events is None:
        await _send_json(call, answer, send)
    else:
        await _send_events(answer, wanted, send)


def _failure(call: Call, wanted: Faults) -> Answer:
    waits = wanted.status in {429, 503, 529}
    return _error(
        call,
        wanted.status or 500,
        wanted.message,
        headers=(("retry-after", str(wanted.retry_after)),) if waits else (),
    )


def _error(
    call: Call,
    status: int,
    message: str,
    *,
    param: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """An error in the shape the caller's provider would use."""
    talker = call.door.talker if call.door is not None else None
    if talker in (bedrock_converse, bedrock_invoke):
        headers = (*headers, ("x-amzn-errortype", bedrock_converse.error_kind(status)))
    if call.is_anthropic:
        return Answer(status, anthropic_messages.error(status, message), headers=headers)
    if talker is not None and hasattr(talker, "own_error"):
        return Answer(status, talker.own_error(status, message), headers=headers)
    return Answer(status, openai_common.error(status, message, param=param), headers=headers)


def _answer(call: Call) -> Answer:
    """The reply to a request nobody asked to fail."""
    if call.path == "/_fake/seen":
        return Answer(200, list(seen))
    if not doors.is_allowed(call.door, call.headers, call.query):
        return _error(call, 401, "You didn't provide an API key.")
    try:
        return _routed(call)
    except BadRequestError as error:
        return _error(call, 400, str(error), param=error.param)


def _routed(call: Call) -> Answer:
    if call.path.endswith("/models") and call.method == "GET":
        return Answer(200, _models(call))
    if call.door is not None and call.method == "POST":
        return _spoken(call, call.door)
    if call.path.endswith("/embeddings") and call.method == "POST":
        return Answer(200, openai_embeddings.reply_body(_json(call)))
    if call.path.endswith("/moderations") and call.method == "POST":
        return Answer(200, openai_moderations.reply_body(_json(call)))
    if call.path.endswith("/messages/count_tokens") and call.method == "POST":
        return Answer(200, {"input_tokens": anthropic_messages.input_tokens(_json(call))})
    return _error(call, 404, f"Invalid URL ({call.method} {call.path})")


def _json(call: Call) -> Json:
    try:
        body = orjson.loads(call.data)
    except orjson.JSONDecodeError:
        raise BadRequestError("We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise BadRequestError("The body of your request must be a JSON object.")
    return body


def _spoken(call: Call, door: Door) -> Answer:
    body = _json(call) | ({"model": _own_name(call, door)} if call.model else {})
    reply = imagine.reply(door.talker.question(body), call.data)
    streams = body.get("stream", door.streams_unless_told) if door.streams is None else door.streams
    if not streams:
        return Answer(200, door.talker.reply_body(reply, body))
    is_array = door.talker is gemini and "alt=sse" not in call.query
    return Answer(200, events=door.talker.events(reply, body), framing=framing.ARRAY if is_array else door.framing)


def _own_name(call: Call, door: Door) -> str:
    return bedrock_invoke.own_name(call.model) if door.talker is bedrock_invoke else call.model


def _models(call: Call) -> Json:
    if call.is_anthropic:
        made = "2025-10-01T00:00:00Z"
        listed = [{"type": "model", "id": m, "display_name": m, "created_at": made} for m in MODELS if "claude" in m]
        return {"data": listed, "has_more": False, "first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
    return {
        "object": "list",
        "data": [{"id": m, "object": "model", "created": 1, "owned_by": "fake"} for m in MODELS],
    }


async def _send_json(call: Call, answer: Answer, send: Send) -> None:
    data = orjson.dumps(answer.body)
    headers = [("content-type", "application/json"), *answer.headers, *_identity(call)]
    if len(data) >= GZIP_FROM_BYTES and "gzip" in call.headers.get("accept-encoding", ""):
        data = gzip.compress(data, compresslevel=1, mtime=0)
        headers.append(("content-encoding", "gzip"))
    await _start(send, answer.status, [*headers, ("content-length", str(len(data)))])
    await send({"type": "http.response.body", "body": data})


def _identity(call: Call) -> Iterator[tuple[str, str]]:
    yield (
        "request-id" if call.is_anthropic else "x-request-id",
        "req_" + hashlib.sha256(call.data).hexdigest()[:24],
    )


async def _send_events(answer: Answer, wanted: Faults, send: Send) -> None:
    await _start(
        send,
        answer.status,
        [("content-type", answer.framing.content_type), ("cache-control", "no-cache")],
    )
    async for data in _written(answer, wanted):
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _written(answer: Answer, wanted: Faults) -> AsyncIterator[bytes]:
    for number, data in enumerate(answer.framing.write(answer.events or ())):
        if wanted.break_after == number:
            raise BrokenError(f"asked to break after {number} events")
        if wanted.chunk_delay:
            await asyncio.sleep(wanted.chunk_delay)
        yield data


async def _start(send: Send, status: int, headers: list[tuple[str, str]]) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
