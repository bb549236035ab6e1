"""The record of one exchange: begun beside the call, ended with it, whatever happens between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from gateway_app.errors import RateLimited
from gateway_app.shelf import Shelf
from gateway_app.tee import MEMORY_BYTES, Pieces, Tee
from ingest_app import omission, records, redaction, traceparent
from ingest_app.directives import Directives
from ingest_app.spool import Record, Writer
from ingest_app.traceparent import Parent
from lib.frozen import dataclass, replace
from lib.redact import Redactor
from llm import parse
from llm.exchange import (
    STATUS_INTERRUPTED,
    Attribution,
    CacheHit,
    Exchange,
    Forward,
    Hold,
    Meter,
    Problem,
    Prompt,
)

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
    notes: tuple[Problem, ...] = ()
    cache_hit: CacheHit | None = None
    meters: tuple[Meter, ...] = ()
    threat: bool | None = None


class Facts(NamedTuple):
    """What is known of an exchange when it begins, beside its client's directives."""

    id: UUID
    organization_id: int
    api_key_id: int
    requested_at: datetime
    provider: str
    method: str
    url: str
    """Without credentials."""
    request_headers: Mapping[str, str]
    country_code: str | None
    parent: Parent | None = None
    """The step of its client's trace it was made in."""
    holds: tuple[Hold, ...] = ()
    prompt: Prompt | None = None
    forward: Forward | None = None


class Capture:
    """`begin`, then the tees take what passes, `begun` before the first byte goes to the client, `end`."""

    def __init__(
        self, spool: Writer, shelf: Shelf, facts: Facts, *, directives: Directives, cap: int, counts: Counts,
        on_lost: Callable[[], None] | None = None, redactor: Redactor | None = None,
    ) -> None:  # fmt: skip
        """`on_lost` is called, from any thread, where the spool did not take the end."""
        self._spool = spool
        self._shelf = shelf
        self._facts = facts
        self._directives = directives
        self._counts = counts
        self._on_lost = on_lost
        self._begun: Future[None] | None = None
        self._has_begun = False
        self._is_refused = False
        """The spool did not take the begin: everything goes into one record at the end."""
        self._begun_with = b""
        self._redactor = redactor
        self._reads = directives.omit_request or directives.omit_response or redactor is not None
        self._pieces = Pieces(self._put_piece)
        is_omitted = directives.omit_request or redactor is not None
        self.request = Tee(self._pieces, is_request=True, cap=cap, is_omitted=is_omitted, is_reread=self._reads)
        is_omitted = self.withholds_response
        self.response = Tee(self._pieces, is_request=False, cap=cap, is_omitted=is_omitted, is_reread=self._reads)

    @property
    def facts(self) -> Facts:
        return self._facts

    @property
    def withholds_response(self) -> bool:
        """Whether the answer's bytes may not be kept as they come: omitted, or to be redacted first."""
        return self._directives.omit_response or self._redactor is not None

    def move(self, provider: str, url: str) -> None:
        """It ends with another target than it began with."""
        self._facts = self._facts._replace(provider=provider, url=url)

    def begin(self, first: bytes) -> None:
        """`first`: what of the request's body is there already; it stands in the record where it is small."""
        is_small = len(first) <= MEMORY_BYTES
        if is_small:
            self.request.take(first)
            self._begun_with = self.request.begun_with()
        body = self.request.body(*self._sent_types(), front=self._begun_with)
        self._shelf.lay(records.begin(self._exchange(STATUS_INTERRUPTED, request=body)), self._keep_begun)
        self._counts.begun += 1
        if not is_small:
            self._shelf.flush()
            self.request.take(first)

    def _keep_begun(self, future: Future[None]) -> None:
        self._begun = future

    async def begun(self) -> None:
        """Waits until the begin is durable, or known not to be: then this exchange is kept in memory until its end."""
        if self._has_begun or self._is_refused:
            return
        if self._begun is None:
            self._shelf.flush()
        begun: Future[None] = self._begun  # type: ignore[assignment]  # the shelf has just given it
        if not begun.done():
            await _done(begun)
        self._is_refused = begun.exception() is not None
        self._has_begun = not self._is_refused
        if self._is_refused:
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
        front = self._begun_with if self._is_refused else b""
        response = self.response.body(*came)
        exchange = self._exchange(
            outcome.status, duration_ms=outcome.duration_ms, time_to_first_token_ms=outcome.time_to_first_token_ms,
            request=self.request.body(*self._sent_types(), front=front), response=response, response_headers=headers,
            attribution=_with_refusal(self._directives.attribution, outcome.problem),
            problems=self._problems(outcome), cache_hit=outcome.cache_hit, meters=outcome.meters, threat=outcome.threat,
            prompt=None if self._directives.omit_request else self._facts.prompt,
        )  # fmt: skip
        if not self._reads:
            self._put_end(exchange)
            return
        seen = replace(exchange, request=self.request.reread(*self._sent_types()), response=self.response.reread(*came))
        if seen.request.size + seen.response.size <= READ_AT_ONCE_BYTES:
            self._put_end(self._with_reading(exchange, seen))
        else:
            self._shelf.flush()
            defer(lambda: self._spool_end(self._with_reading(exchange, seen)))

    def _with_reading(self, exchange: Exchange, seen: Exchange) -> Exchange:
        """The exchange with what its bytes said, without the text of an omitted side; a redacted one has its bytes."""
        omits = self._directives
        reading = parse.parse(seen)
        if self._redactor is not None:
            redacted = redaction.redacted(replace(seen, reading=reading), self._redactor)
            return omission.without_sides(redacted, request=omits.omit_request, response=omits.omit_response)
        reading = parse.without(reading, request=omits.omit_request, response=omits.omit_response)
        return replace(exchange, reading=reading)

    def _put_end(self, exchange: Exchange) -> None:
        self._shelf.lay(self._end_record(exchange), lambda future: future.add_done_callback(self._count))

    def _spool_end(self, exchange: Exchange) -> None:
        """From another thread, where there is no shelf."""
        self._spool.put(self._end_record(exchange)).add_done_callback(self._count)

    def _end_record(self, exchange: Exchange) -> Record:
        return records.whole(exchange) if self._is_refused else records.end(exchange)

    def _problems(self, outcome: Outcome) -> tuple[Problem, ...]:
        found = [*self._directives.problems, *outcome.notes]
        if outcome.problem is not None:
            found.append(outcome.problem)
        if self._pieces.has_lost:
            found.append(Problem("capture_incomplete"))
        return tuple(found)

    def _count(self, done: Future[None]) -> None:
        if done.exception() is None:
            self._counts.ended += 1
            return
        self._counts.lost += 1
        if self._on_lost is not None:
            self._on_lost()

    def _put_piece(self, is_request: bool, data: bytes) -> Future[None]:
        if is_request:
            return self._spool.put(records.piece(self._facts.id, request=data))
        return self._spool.put(records.piece(self._facts.id, response=data))

    def _sent_types(self) -> tuple[str, str]:
        headers = self._facts.request_headers
        return headers.get("content-type", ""), headers.get("content-encoding", "")

    def _exchange(self, status: int, **more: Any) -> Exchange:
        facts = self._facts
        return Exchange(
            id=facts.id, organization_id=facts.organization_id, requested_at=facts.requested_at, door="gateway",
            provider=facts.provider, status=status, method=facts.method, url=facts.url, api_key_id=facts.api_key_id,
            request_headers=facts.request_headers, country_code=facts.country_code, holds=facts.holds,
            forward=facts.forward, **_traced(facts),
            **{"attribution": self._directives.attribution, "problems": self._directives.problems, **more},
        )  # fmt: skip


def _with_refusal(said: Attribution, problem: Problem | None) -> Attribution:
    """Of a call a rate limit refused, with the property Helicone writes."""
    if problem is None or problem.code != RateLimited.code:
        return said
    return replace(said, properties={**said.properties, "helicone-rate-limit-status": "bucket_rate_limited"})


def _traced(facts: Facts) -> dict[str, Any]:
    if facts.parent is None:
        return {}
    trace_id, parent_span_id = facts.parent
    own = traceparent.span_id(facts.id)
    return {"trace_id": trace_id, "span_id": own, "parent_span_id": parent_span_id}


async def _done(future: Future[None]) -> None:
    """Waits for another thread's future; lighter than asyncio.wrap_future, and there is one for every call."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    future.add_done_callback(lambda _: loop.call_soon_threadsafe(_wake, waiter))
    await waiter


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
