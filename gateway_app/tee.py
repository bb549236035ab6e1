"""What passes is also kept: a little in memory, the rest in the spool, never more than a bound.

    chunk ─▶ client
        └──▶ held (≤ MEMORY_BYTES) ──▶ pieces in the spool ──▶ … up to CAPTURE_MAX_BYTES, then only the last TAIL_BYTES
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from llm.exchange import Body, BodyState

MEMORY_BYTES = 256 * 1024
PIECE_BYTES = 64 * 1024
TAIL_BYTES = 64 * 1024
FLUSH_SECONDS = 1.0
"""A stream's newest bytes are in the spool after this long: what a killed process had seen is not lost."""
UNDERWAY_BYTES = 4 * 2**20
"""Pieces given to the spool and not yet durable; beyond, the stream waits for the disk."""
REREAD_BYTES = 8 * 2**20
"""Of an exchange with an omitted side, this much of each side stays in memory to be read at its end."""


class Pieces:
    """Where both sides of one exchange put their pieces; knows how much of it the disk has yet to take."""

    def __init__(self, put: Callable[[bool, bytes], Future[None]]) -> None:
        self._put = put
        self._underway: deque[tuple[Future[None], int]] = deque()
        self._bytes = 0
        self.has_lost = False
        """A piece could not be kept."""

    def put(self, is_request: bool, data: bytes) -> None:
        self._underway.append((self._put(is_request, data), len(data)))
        self._bytes += len(data)
        while self._underway and self._underway[0][0].done():
            self._settle()

    @property
    def is_behind(self) -> bool:
        return self._bytes > UNDERWAY_BYTES

    async def catch_up(self) -> None:
        """Waits until the disk has taken enough of what was put."""
        while self._bytes > UNDERWAY_BYTES // 2 and self._underway:
            await asyncio.wait([asyncio.wrap_future(self._underway[0][0])])
            self._settle()

    def _settle(self) -> None:
        future, size = self._underway.popleft()
        self._bytes -= size
        self.has_lost = self.has_lost or future.cancelled() or future.exception() is not None


class Tee:
    """One side of an exchange, as it passes."""

    __slots__ = ("_cap", "_held", "_held_bytes", "_is_omitted", "_is_request", "_is_reread", "_pieces", "_reread",
                 "_reread_room", "_spooled_at", "_tail", "_tail_bytes", "size")  # fmt: skip

    def __init__(
        self, pieces: Pieces | None, *, is_request: bool, cap: int, is_omitted: bool = False, is_reread: bool = False
    ) -> None:
        """`pieces` None: there is no spool to put into, so only memory is used."""
        self._pieces = pieces
        self._is_request = is_request
        self._is_omitted = is_omitted
        self._cap = 0 if is_omitted else cap if pieces else min(cap, MEMORY_BYTES)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._reread: list[bytes] = []
        self._reread_room = REREAD_BYTES if is_reread else 0
        self._is_reread = is_reread
        self._spooled_at = time.monotonic()
        self.size = 0
        """Bytes that passed."""

    def take(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._reread_room > 0:
            self._reread.append(chunk[: self._reread_room])
            beyond, self._reread_room = chunk[self._reread_room :], self._reread_room - len(chunk)
        else:
            beyond = chunk
        if self._is_omitted:
            if beyond and self._is_reread:
                self._keep_tail(beyond)
            return
        if self.size > self._cap:
            chunk = self._fill_to_cap(chunk)
            self._keep_tail(chunk)
            return
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes > MEMORY_BYTES:
            self.flush()

    def flush(self) -> None:
        """Puts what is held into the spool."""
        if not self._held or self._pieces is None:
            return
        data = b"".join(self._held)
        for start in range(0, len(data), PIECE_BYTES):
            self._pieces.put(self._is_request, data[start : start + PIECE_BYTES])
        self._held, self._held_bytes = [], 0
        self._spooled_at = time.monotonic()

    def flush_if_old(self, now: float) -> None:
        """`now` by time.monotonic()."""
        if self._held and now - self._spooled_at >= FLUSH_SECONDS:
            self.flush()

    def stay_in_memory(self) -> None:
        """The spool takes nothing: keep what memory may hold."""
        self._pieces = None
        self._cap = min(self._cap, MEMORY_BYTES)

    def begun_with(self) -> bytes:
        """What is held, given away: it stands in the BEGIN record."""
        data = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        return data

    def body(self, content_type: str = "", content_encoding: str = "", *, front: bytes = b"") -> Body:
        """The side as a record tells it; `data` is `front` and what no piece holds yet."""
        held, self._held = self._held, []
        self._held_bytes = 0
        if self._is_omitted:
            return Body(b"", content_type, content_encoding, self.size, "omitted")
        tail = b"".join(self._tail)[-TAIL_BYTES:]
        data = b"".join((front, *held, tail)) if held or tail else front
        return Body(data, content_type, content_encoding, self.size, self._state())

    def reread(self, content_type: str = "", content_encoding: str = "") -> Body:
        """The side as it passed, as far as it was kept in memory: its head, and of an omitted one its tail."""
        tail = b"".join(self._tail)[-TAIL_BYTES:] if self._is_omitted else b""
        data = b"".join((*self._reread, tail))
        state: BodyState = "kept" if len(data) == self.size else "truncated"
        return Body(data, content_type, content_encoding, self.size, state)

    def _state(self) -> BodyState:
        has_hole = self.size > self._cap + TAIL_BYTES or (self._pieces is not None and self._pieces.has_lost)
        return "truncated" if has_hole else "kept"

    def _fill_to_cap(self, chunk: bytes) -> bytes:
        """Holds what still fits under the cap; the rest of the chunk."""
        room = max(0, self._cap - (self.size - len(chunk)))
        if room:
            self._held.append(chunk[:room])
            self._held_bytes += room
            self.flush()
        return chunk[room:]

    def _keep_tail(self, chunk: bytes) -> None:
        self._tail.append(chunk)
        self._tail_bytes += len(chunk)
        while self._tail_bytes - len(self._tail[0]) >= TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())
