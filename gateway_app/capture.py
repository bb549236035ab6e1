"""The record of one exchange: begun beside the call, ended with it, whatever happens between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace

from gateway_app.tee import MEMORY_BYTES, Pieces, Tee
from ingest_app import records
from ingest_app.directives import Directives
from ingest_app.spool import Record, SpoolError, Writer
from llm import parse
from llm.exchange import Body, Exchange, Problem

READ_AT_ONCE_BYTES = 32 * 1024
"""A larger body with an omitted side is read in a thread, beside the event loop."""


@dataclass(slots=True)
class Counts:
    """What the captures of this process came to; shown in its heartbeat."""

    begun: int = 0
    ended: int = 0
    lost: int = 0
    """Exchanges that passed and could not be kept."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an exchange ended; times in ms since it was begun."""

    status: int
    duration_ms: int
    time_to_first_token_ms: int | None = None
    headers: Mapping[str, str] | None = None
    problem: Problem | None = None


class Capture:
    """`begin`, then the tees take what passes, `begun` before the first byte goes to the client, `end`."""

    def __init__(self, spool: Writer, exchange: Exchange, directives: Directives, *, cap: int, counts: Counts) -> None:
        self._spool = spool
        self._exchange = exchange
        self._directives = directives
        self._counts = counts
        self._begun: Future[None] | None = None
        self._has_begun = False
        self._begun_with = b""
        self._reads = directives.omit_request or directives.omit_response
        self._pieces = Pieces(self._put_piece)
        self.request = Tee(
            self._pieces, is_request=True, cap=cap, is_omitted=directives.omit_request, is_reread=self._reads
        )
        self.response = Tee(
            self._pieces, is_request=False, cap=cap, is_omitted=directives.omit_response, is_reread=self._reads
        )

    def begin(self, first: bytes) -> None:
        """`first`: what of the request's body is there already; it stands in the record where it is small."""
        is_small = len(first) <= MEMORY_BYTES
        if is_small:
            self.request.take(first)
            self._begun_with = self.request.begun_with()
        body = replace(self._sent_body(), data=self._begun_with)
        self._begun = self._spool.put(records.begin(replace(self._exchange, request=body)))
        self._counts.begun += 1
        if not is_small:
            self.request.take(first)

    async def begun(self) -> None:
        """Waits until the begin is durable, or known not to be: then this exchange is kept in memory until its end."""
        if self._has_begun or self._begun is None:
            return
        if not self._begun.done():
            with contextlib.suppress(SpoolError):
                await asyncio.wrap_future(self._begun)
        self._has_begun = self._begun.exception() is None
        if not self._has_begun:
            self._begun = None
            self.request.stay_in_memory()
            self.response.stay_in_memory()

    async def settle(self) -> None:
        """Makes the stream wait while the disk is far behind."""
        if self._pieces.is_behind:
            await self._pieces.catch_up()

    def flush_if_old(self, now: float) -> None:
        if self._has_begun:
            self.request.flush_if_old(now)
            self.response.flush_if_old(now)

    def end(self, outcome: Outcome, defer: Callable[[Callable[[], None]], None]) -> None:
        """Closes the record. `defer` runs what takes long beside the event loop."""
        headers = outcome.headers or {}
        came = (headers.get("content-type", ""), headers.get("content-encoding", ""))
        exchange = replace(
            self._exchange, status=outcome.status, duration_ms=outcome.duration_ms,
            time_to_first_token_ms=outcome.time_to_first_token_ms, response_headers=headers,
            request=self._sent_body(), response=self.response.body(*came),
            problems=(*self._exchange.problems, outcome.problem) if outcome.problem else self._exchange.problems,
        )  # fmt: skip
        if not self._reads:
            self._put_end(exchange)
            return
        seen = replace(exchange, request=self.request.reread(*self._sent_types()), response=self.response.reread(*came))
        if seen.request.size + seen.response.size <= READ_AT_ONCE_BYTES:
            self._put_end(self._with_reading(exchange, seen))
        else:
            defer(lambda: self._put_end(self._with_reading(exchange, seen)))

    def _with_reading(self, exchange: Exchange, seen: Exchange) -> Exchange:
        """The exchange with what its bytes said, and nothing of the text of an omitted side."""
        omits = self._directives
        reading = parse.without(parse.parse(seen), request=omits.omit_request, response=omits.omit_response)
        return replace(exchange, reading=reading)

    def _put_end(self, exchange: Exchange) -> None:
        self._spool.put(self._end_record(exchange)).add_done_callback(self._count)

    def _end_record(self, exchange: Exchange) -> Record:
        if self._begun is not None:
            return records.end(exchange)
        request = replace(exchange.request, data=self._begun_with + exchange.request.data)
        return records.whole(replace(exchange, request=request))

    def _count(self, done: Future[None]) -> None:
        if done.exception() is None:
            self._counts.ended += 1
        else:
            self._counts.lost += 1

    def _put_piece(self, is_request: bool, data: bytes) -> Future[None]:
        if is_request:
            return self._spool.put(records.piece(self._exchange.id, request=data))
        return self._spool.put(records.piece(self._exchange.id, response=data))

    def _sent_types(self) -> tuple[str, str]:
        headers = self._exchange.request_headers
        return headers.get("content-type", ""), headers.get("content-encoding", "")

    def _sent_body(self) -> Body:
        return self.request.body(*self._sent_types())
