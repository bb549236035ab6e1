"""One HTTP/1.1 connection to an upstream, from our end: one exchange at a time, bytes as they come.

Nothing is decoded or re-ordered: header bytes and body bytes are what the upstream sent, only the transfer framing is
taken off. Both directions hold back: a slow reader pauses the socket, a slow upstream makes `drain` wait.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

import httptools

from gateway_app.errors import Broken, Stale

Headers = list[tuple[bytes, bytes]]
MAX_HEAD_BYTES = 256 * 1024
MAX_NAME_BYTES = 1024
"""A longer header name is no header: names are remembered by the thousand."""
HIGH_WATER_BYTES = 256 * 1024
"""Unread body above which the socket is no longer read."""
STALE_SECONDS = 1.0
"""A kept connection lost later than this after the request went out may have served it: it is not sent again."""
REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
"""Methods that do no more when they come twice (RFC 9110, 9.2.2)."""


class Head(NamedTuple):
    status: int
    headers: Headers


class Connection(asyncio.Protocol):
    """`begin`, then `write` and `drain`, `head`, `read` until b""; then it may be used again if `is_reusable`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._name = name
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._reading: asyncio.Future[None] | None = None
        self._draining: asyncio.Future[None] | None = None
        self._is_full = False
        self._is_paused = False
        self.is_reusable = True
        self.is_open = False
        self.is_kept = False
        """Whether it has served an exchange before."""
        self.patience = 0.0
        """Seconds its exchange may be silent, where that is more than others may."""
        self.moved_at = 0.0
        """Loop time at which a byte last moved either way."""
        self._begun_at = 0.0
        self._reset(b"")

    def _reset(self, method: bytes) -> None:
        self._method = method
        self._is_expecting = bool(method)
        self._head: Head | None = None
        self._headers: Headers = []
        self._head_bytes = 0
        self._was_heard = False
        self._is_interim = False
        self._has_length = False
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._is_complete = False
        self._error: Exception | None = None

    # --- what the gateway calls -------------------------------------------------------------------------------------

    def begin(self, method: bytes) -> None:
        """A new exchange on this connection."""
        self._reset(method)
        self.moved_at = self._begun_at = self._loop.time()

    def write(self, data: bytes) -> None:
        if self.is_open and self._transport is not None:
            self.moved_at = self._loop.time()
            self._transport.write(data)

    async def drain(self) -> None:
        """Waits while the upstream does not take what was written; returns at once on a lost connection."""
        while self._is_full and self.is_open:
            self._draining = self._loop.create_future()
            await self._draining

    async def head(self) -> Head:
        """Status and headers of the answer. Raises UpstreamError, or what `fail` was given."""
        while self._head is None:
            await self._news()
        return self._head

    async def read(self) -> bytes:
        """The next bytes of the answer's body; b"" at its end. Raises as `head` does."""
        while not self._chunks:
            if self._is_complete:
                return b""
            await self._news()
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._buffered = 0
        if self._is_paused:
            self._resume()
        return data

    @property
    def is_finished(self) -> bool:
        """The whole answer came and was read."""
        return self._is_complete and not self._chunks

    @property
    def has_unsent(self) -> bool:
        """Whether the upstream has yet to take some of what was written."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    @property
    def is_waiting_for_reader(self) -> bool:
        return self._is_paused

    def fail(self, error: Exception) -> None:
        """Ends the exchange from our side: whoever waits gets `error`, the socket is closed."""
        self._end(error)
        self.close()

    def close(self) -> None:
        self.is_reusable = False
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def finish(self) -> None:
        """The exchange is over; what comes now was not asked for."""
        self._is_expecting = False
        self.is_kept = True
        self._chunks = []

    # --- what the event loop calls ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True
        self.moved_at = self._loop.time()

    def data_received(self, data: bytes) -> None:
        if not self._is_expecting or self._is_complete:
            self.close()
            return
        self.moved_at = self._loop.time()
        self._was_heard = True
        if self._head is None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.fail(Broken(f"{self._name} sent more than {MAX_HEAD_BYTES} bytes of headers."))
                return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.is_reusable = False
            if not self._is_complete:
                self.fail(Broken(f"{self._name} sent an answer that is not valid HTTP ({error})."))
        self._wake()
        if self._buffered > HIGH_WATER_BYTES and self._transport is not None and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = self.is_reusable = False
        if self._is_expecting and not self._is_complete:
            if self._head is not None and not self._has_length and exc is None:
                self._is_complete = True
            else:
                self._end(self._loss(exc))
        self._wake()
        self._wake_writer()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self.moved_at = self._loop.time()
        self._wake_writer()

    # --- what the parser calls --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A second answer on the heels of the first answers nothing: what it says is not read, and no more comes."""
        if self._is_complete:
            raise httptools.HttpParserError("an answer nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) > MAX_NAME_BYTES:
            raise httptools.HttpParserError("a header's name is too long")
        if self._head is None:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101 or not 100 <= status <= 599:
            raise httptools.HttpParserError(f"status {status}")
        if status < 200:
            self._is_interim = True
            self._headers = []
            return
        self._has_length = any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)
        self._head = Head(status, self._headers)
        if self._method == b"HEAD":
            self.is_reusable = False
            self._is_complete = True

    def on_body(self, data: bytes) -> None:
        if not self._is_complete:
            self._chunks.append(data)
            self._buffered += len(data)

    def on_message_complete(self) -> None:
        if self._is_interim:
            self._is_interim = False
            self._head_bytes = 0
            return
        self._is_complete = True
        if not self._parser.should_keep_alive():
            self.is_reusable = False

    # --- inside -----------------------------------------------------------------------------------------------------

    def _loss(self, cause: Exception | None) -> Broken:
        reason = f" ({cause})" if cause else ""
        if self._head is not None:
            return Broken(f"{self._name} closed the connection before its answer was whole{reason}.")
        if self.is_kept and not self._was_heard and self._may_repeat():
            return Stale(f"{self._name} closed the connection before it answered{reason}.")
        return Broken(f"{self._name} closed the connection before it answered{reason}.")

    def _may_repeat(self) -> bool:
        """Whether sending it again does no harm: by its method, or since it was lost before it can have arrived."""
        return self._method in REPEATABLE or self._loop.time() - self._begun_at < STALE_SECONDS

    def _end(self, error: Exception) -> None:
        if self._error is None and not self._is_complete:
            self._error = error
        self._wake()
        self._wake_writer()

    async def _news(self) -> None:
        """Waits until something came in. Raises the error that ended the exchange."""
        if self._error is not None:
            raise self._error
        self._reading = self._loop.create_future()
        await self._reading

    def _wake(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.set_result(None)

    def _wake_writer(self) -> None:
        if self._draining is not None and not self._draining.done():
            self._draining.set_result(None)

    def _resume(self) -> None:
        self._is_paused = False
        self.moved_at = self._loop.time()
        if self._transport is not None and self.is_open:
            self._transport.resume_reading()
