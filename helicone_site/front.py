"""What anybody may send before we know who it is: uvicorn's HTTP, with bounds it does not have."""

from __future__ import annotations

import asyncio
import re
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway_app.connection import MAX_NAME_BYTES, Headers
from gateway_app.relay import HEAD, LEAVING, Leaving, Scope

MAX_HEAD_BYTES = 512 * 1024
"""Above any read of the event loop (256 KB), so that a head is counted only where it takes several."""


HEAD_SECONDS = 30.0
"""A head begun and not ended, or a connection that says nothing at all, is given up after this long."""


class Bounded(HttpToolsProtocol):
    """A head that does not end is refused; what stands behind a body is no header, whatever it calls itself."""

    head_seconds = HEAD_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = False
        self._head_bytes = 0
        self._patience: asyncio.TimerHandle | None = None
        self._leaving = Leaving()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._patience = self.loop.call_later(self.head_seconds, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_patient()
        super().connection_lost(exc)
        self._leaving.tell()

    def _give_up(self) -> None:
        self._patience = None
        if self._is_in_head:
            self.send_400_response(f"The headers did not come within {self.head_seconds:g} seconds.")
        else:
            self.transport.close()

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        if self._is_in_head and self._patience is None:
            self._patience = self.loop.call_later(self.head_seconds, self._give_up)
        if was_in_head and self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response(f"The headers are longer than {MAX_HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_begin()
        cast(Scope, self.scope)[LEAVING] = self._leaving

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) > MAX_NAME_BYTES:
            raise ValueError("a header's name is too long")
        if self._is_in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._be_patient()
        super().on_headers_complete()
        if self.cycle is not None:  # by a weak reference: a request that held itself would wait for the collector
            cast(Scope, self.cycle.scope)[HEAD] = partial(_send_head, weakref.ref(self.cycle))


_NEVER = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Stands in no head; CR and LF are counted."""
_LEFT_TO_UVICORN = (b"content-length", b"connection", b"transfer-encoding")
"""A second length, or one that is none, too."""


def _send_head(reference: Callable[[], Any], status: int, headers: Headers) -> bool:
    cycle = reference()
    return cycle is not None and send_head(cycle, status, headers)


def send_head(cycle: Any, status: int, headers: Headers) -> bool:
    """Sends an answer's head as uvicorn's `RequestResponseCycle.send` would, a third of the work for a dozen headers:
    what may stand in them is looked at once, not in each. Their names must be tokens, as a parser gave them or as we
    write them. False where nothing was sent, since there is more to it than that."""
    if cycle.response_started or cycle.flow.write_paused or cycle.access_log or cycle.default_headers:
        return False
    if cycle.disconnected:
        return True
    length, lines = None, [STATUS_LINE[status]]
    for name, value in headers:
        name = name.lower()
        if name == b"content-length" and length is None and value.isdigit():
            length = int(value)
        elif name in _LEFT_TO_UVICORN:
            return False
        lines += (name, b": ", value, b"\r\n")
    is_chunked = length is None and cycle.scope["method"] != "HEAD" and status not in (204, 304)
    if not cycle.keep_alive:
        lines.append(b"connection: close\r\n")
    if is_chunked:
        lines.append(b"transfer-encoding: chunked\r\n")
    ends = len(headers) + 2 - cycle.keep_alive + is_chunked
    head = b"".join(lines)
    if head.count(b"\r") != ends or head.count(b"\n") != ends or _NEVER.search(head):
        return False
    cycle.response_started, cycle.waiting_for_100_continue = True, False
    cycle.chunked_encoding, cycle.expected_content_length = is_chunked or None, length or 0
    cycle.transport.write(head + b"\r\n")
    return True
