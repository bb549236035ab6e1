"""One call to an upstream on behalf of a client: body up, answer down, and the client's going away noticed."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, Protocol

from gateway_app.connection import Connection, Head
from gateway_app.errors import BodyTooLarge, ClientGone, Stale
from gateway_app.targets import Origin
from gateway_app.upstream import Pool

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

REPLAY_BYTES = 256 * 1024
"""Of a body on its way up, so much is kept to send it again over a new connection."""


class Tap(Protocol):
    """Sees a body's bytes as they pass; `settle` may make the stream wait."""

    def take(self, chunk: bytes) -> None: ...

    async def settle(self) -> None: ...


class Leaving:
    """A client's connection, as a call looks at it that only wants to know when it is lost: lighter than a task that
    waits for `http.disconnect`. One call at a time."""

    def __init__(self) -> None:
        self._listener: Callable[[], None] | None = None
        self._is_lost = False

    def listen(self, listener: Callable[[], None]) -> None:
        """Told at once where the client has left already."""
        self._listener = listener
        if self._is_lost:
            listener()

    def forget(self) -> None:
        self._listener = None

    def tell(self) -> None:
        self._is_lost = True
        if self._listener is not None:
            self._listener()


LEAVING = "helicone.leaving"
"""The key of a Leaving in a request's scope, where the server in front has one."""
HEAD = "helicone.head"
"""The key of a function in a request's scope, where the server in front has one: it is given the answer's status and
headers and sends them, or answers False, and then they go as a message."""


class NoTap:
    def take(self, chunk: bytes) -> None:
        pass

    async def settle(self) -> None:
        pass


NO_TAP = NoTap()


class Outgoing(NamedTuple):
    """A request as it goes out. `first` is what of its body had come by then."""

    method: str
    head: bytes
    first: bytes = b""
    is_complete: bool = True
    """`first` is the whole body."""
    is_chunked: bool = False

    def framed(self, chunk: bytes, *, is_last: bool) -> bytes:
        if not self.is_chunked:
            return chunk
        data = b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunk else b""
        return data + b"0\r\n\r\n" if is_last else data


class Call:
    """`start` sends and waits for the head; `read` until `is_finished`; then `finish`, whatever happened."""

    def __init__(
        self, pool: Pool, origin: Origin, outgoing: Outgoing, receive: Receive, tap: Tap = NO_TAP, *,
        patience: float = 0.0, leaving: Leaving | None = None,
    ) -> None:  # fmt: skip
        """`patience`: seconds the upstream may be silent, where that is more than the pool's own. Where the body is
        there whole, `leaving` is listened to and not `receive`."""
        self._pool = pool
        self._patience = patience
        self._origin = origin
        self._outgoing = outgoing
        self._receive = receive
        self._tap = tap
        self._connection: Connection | None = None
        self._listener: asyncio.Task[None] | None = None
        self._leaving = leaving if outgoing.is_complete else None
        self._sent = [outgoing.framed(outgoing.first, is_last=outgoing.is_complete)]
        self._sent_bytes = len(outgoing.first)
        self._is_uploaded = outgoing.is_complete
        self._is_over = False
        self._is_gone = False

    async def start(self) -> Head:
        """Raises UpstreamError, TargetRefused, ClientGone."""
        connection = await self._dial(is_new=False)
        if self._leaving is not None:
            self._leaving.listen(self._is_left)
        else:
            self._listener = asyncio.create_task(self._listen())
        try:
            head = await connection.head()
        except Stale:
            if self._sent_bytes > REPLAY_BYTES:
                raise
            self._pool.release(connection, self._origin)
            head = await (await self._dial(is_new=True)).head()
        self._sent.clear()
        return head

    async def read(self) -> bytes:
        """The next bytes of the answer. Raises as `start`."""
        assert self._connection is not None
        return await self._connection.read()

    @property
    def is_finished(self) -> bool:
        return self._connection is not None and self._connection.is_finished

    def finish(self) -> None:
        """Gives the connection back, or closes it where the exchange is not whole. Twice is once."""
        if self._is_over:
            return
        self._is_over = True
        if self._leaving is not None:
            self._leaving.forget()
        if self._connection is not None:
            self._connection.is_reusable &= self._is_uploaded and not self._connection.has_unsent
            self._pool.release(self._connection, self._origin)

    def drop(self) -> None:
        """As `finish`, and the client is no longer listened to: another call will do that."""
        self.finish()
        if self._listener is not None:
            self._listener.cancel()

    async def _dial(self, *, is_new: bool) -> Connection:
        is_fresh = not self._outgoing.is_complete
        connection = await self._pool.acquire(self._origin, is_fresh=is_fresh, is_new=is_new)
        self._connection = connection
        if self._is_gone:
            raise ClientGone
        if is_new and self._sent_bytes > REPLAY_BYTES:
            raise Stale("The connection was closed while the request went up, and too much of it had been sent.")
        connection.begin(self._outgoing.method.encode())
        connection.patience = self._patience
        connection.write(b"".join((self._outgoing.head, *self._sent)))
        return connection

    async def _listen(self) -> None:
        """Sends the rest of the client's body on, then waits for the client to go away."""
        while (message := await self._receive())["type"] != "http.disconnect":
            if not self._is_uploaded:
                await self._upload(message.get("body", b""), is_last=not message.get("more_body", False))
        self._is_left()

    def _is_left(self) -> None:
        self._is_gone = True
        if not self._is_over and self._connection is not None:
            self._connection.fail(ClientGone())

    async def _upload(self, chunk: bytes, *, is_last: bool) -> None:
        self._tap.take(chunk)
        data = self._outgoing.framed(chunk, is_last=is_last)
        self._sent_bytes += len(chunk)
        self._sent = [*self._sent, data] if self._sent_bytes <= REPLAY_BYTES else []
        assert self._connection is not None
        self._connection.write(data)
        self._is_uploaded = is_last
        await self._connection.drain()
        await self._tap.settle()


class Held:
    """An answer held back as far as `most` bytes, to be looked at. Read, it comes as it came, and then the rest."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._chunks: deque[bytes] = deque()

    @classmethod
    async def of(cls, call: Call, *, most: int) -> Held:
        held, size = cls(call), 0
        while size <= most:
            held._chunks.append(await call.read())
            size += len(held._chunks[-1])
            if call.is_finished or not held._chunks[-1]:
                break
        return held

    @property
    def body(self) -> bytes:
        return b"".join(self._chunks)

    async def read(self) -> bytes:
        return self._chunks.popleft() if self._chunks else await self._call.read()

    @property
    def is_finished(self) -> bool:
        return not self._chunks and self._call.is_finished

    def finish(self) -> None:
        self._call.finish()


async def first_of_body(receive: Receive, framing_is_empty: bool) -> tuple[bytes, bool]:
    """What of a request's body is there, and whether that is all. Raises ClientGone."""
    if framing_is_empty:
        return b"", True
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), not message.get("more_body", False)


async def body_up_to(receive: Receive, first: bytes, *, most: int) -> tuple[bytes, bool]:
    """As much of a body as is not longer than `most`, and whether that is all of it. Raises ClientGone."""
    chunks, size, has_more = [first], len(first), True
    while has_more and size <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        has_more = message.get("more_body", False)
    return b"".join(chunks), not has_more


async def rest_of_body(receive: Receive, first: bytes, *, most: int) -> bytes:
    """The whole body, of which `first` had come. Raises ClientGone, BodyTooLarge."""
    chunks, size, has_more = [first], len(first), True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        has_more = message.get("more_body", False)
        if size > most:
            raise BodyTooLarge(f"The body of a call that is signed or changed here may have {most} bytes at most.")
    return b"".join(chunks)


class Hiding(Protocol):
    """A whole line without an empty list it never changes, and need not be shown."""

    begun: bytes

    def pass_on(self, chunk: bytes, *, is_last: bool) -> bytes: ...


async def answer(
    call: Call | Held, send: Send, tap: Tap = NO_TAP, *, least: int = 0, hiding: Hiding | None = None
) -> None:
    """Sends the body down as it comes; a head must have been sent. Raises as `Call.read`.

    `least`: a shorter chunk waits for the next one. `hiding` says what of it the client gets; the tap sees all.
    """
    held = b""
    while True:
        chunk = held + await call.read() if held else await call.read()
        is_last = call.is_finished
        if len(chunk) < least and not is_last:
            held = chunk
            continue
        held = b""
        tap.take(chunk)
        if is_last:
            call.finish()
        if hiding is not None and (hiding.begun or b"[]" in chunk or not chunk.endswith(b"\n")):
            chunk = hiding.pass_on(chunk, is_last=is_last)
        if chunk or is_last:
            await send({"type": "http.response.body", "body": chunk, "more_body": not is_last})
        if is_last:
            return
        await tap.settle()
