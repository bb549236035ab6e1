"""The record of one exchange: begun beside the call, ended with it, whatever happens between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

from gateway_app.errors import AllFailed, RateLimited
from gateway_app.shelf import Shelf
from gateway_app.tee import MEMORY_BYTES, Pieces, Tee
from ingest_app import omission, records, redaction, traceparent
from ingest_app.directives import Directives
from ingest_app.spool import Record, SpoolUnavailable, Writer
from ingest_app.traceparent import Parent
from lib.frozen import dataclass, replace
from lib.redact import Redactor
from llm import parse
from llm.exchange import (
    STATUS_INTERRUPTED,
    Attribution,
    Body,
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
    duration_ms: int | None
    time_to_first_token_ms: int | None = None
    headers: Mapping[str, str] | None = None
    problem: Problem | None = None
    notes: tuple[Problem, ...] = ()
    cache_hit: CacheHit | None = None
    meters: tuple[Meter, ...] = ()
    threat: bool | None = None


BEGUN: Final = Outcome(STATUS_INTERRUPTED, None)
NO_BODY: Final = Body()


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
        self._trace = _trace(facts)
        self._directives = directives
        self._counts = counts
        self._on_lost = on_lost
        self._round = -1
        """Of the shelf, that takes the begin to the spool."""
        self._waiting: asyncio.Future[None] | None = None
        """Whoever must know that it is durable."""
        self._has_begun = False
        self._is_refused = False
        """The spool did not take the begin: everything goes into one record at the end."""
        self._begun_with = b""
        self._redactor = redactor
        self._reads = directives.omit_request or directives.omit_response or redactor is not None
        self._pieces = Pieces(partial(_put_piece, spool, facts.id))
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
        begun = records.begin(self._exchange(BEGUN, body, NO_BODY, self._directives.attribution, None))
        self._round = self._shelf.lay(begun, self._keep_begun)
        self._counts.begun += 1
        if not is_small:
            self._shelf.flush()
            self.request.take(first)

    def _keep_begun(self, refusal: SpoolUnavailable | None) -> None:
        self._is_refused = refusal is not None
        self._has_begun = not self._is_refused
        if self._is_refused:
            self.request.stay_in_memory()
            self.response.stay_in_memory()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def begun(self) -> None:
        """Waits until the begin is durable, or known not to be: then this exchange is kept in memory until its end."""
        if self._has_begun or self._is_refused:
            return
        self._shelf.flush_soon(self._round)
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

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
        exchange = self._exchange(
            outcome, self.request.body(*self._sent_types(), front=front), self.response.body(*came),
            _with_refusal(self._directives.attribution, outcome.problem),
            None if self._directives.omit_request else self._facts.prompt,
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
        problems = _unquoted(exchange.problems) if omits.omit_response else exchange.problems
        return replace(exchange, reading=reading, problems=problems)

    def _put_end(self, exchange: Exchange) -> None:
        self._shelf.lay(self._end_record(exchange), self._count)

    def _spool_end(self, exchange: Exchange) -> None:
        """From another thread, where there is no shelf."""
        put = self._spool.put(self._end_record(exchange))
        put.add_done_callback(lambda done: self._count(done.exception()))

    def _end_record(self, exchange: Exchange) -> Record:
        return records.whole(exchange) if self._is_refused else records.end(exchange)

    def _problems(self, outcome: Outcome) -> tuple[Problem, ...]:
        if not outcome.notes and outcome.problem is None and not self._pieces.has_lost:
            return self._directives.problems
        found = [*self._directives.problems, *outcome.notes]
        if outcome.problem is not None:
            found.append(outcome.problem)
        if self._pieces.has_lost:
            found.append(Problem("capture_incomplete"))
        return tuple(found)

    def _count(self, refusal: BaseException | None) -> None:
        if refusal is None:
            self._counts.ended += 1
            return
        self._counts.lost += 1
        if self._on_lost is not None:
            self._on_lost()

    def _sent_types(self) -> tuple[str, str]:
        headers = self._facts.request_headers
        return headers.get("content-type", ""), headers.get("content-encoding", "")

    def _exchange(
        self, outcome: Outcome, request: Body, response: Body, attribution: Attribution, prompt: Prompt | None
    ) -> Exchange:
        facts, told = self._facts, outcome
        trace_id, span_id, parent_span_id = self._trace
        return Exchange(
            id=facts.id, organization_id=facts.organization_id, requested_at=facts.requested_at, door="gateway",
            provider=facts.provider, status=told.status, method=facts.method, url=facts.url,
            duration_ms=told.duration_ms, time_to_first_token_ms=told.time_to_first_token_ms, request=request,
            response=response, request_headers=facts.request_headers, response_headers=told.headers or {},
            attribution=attribution, api_key_id=facts.api_key_id, country_code=facts.country_code, trace_id=trace_id,
            span_id=span_id, parent_span_id=parent_span_id, problems=self._problems(told), cache_hit=told.cache_hit,
            meters=told.meters, holds=facts.holds, threat=told.threat, prompt=prompt, forward=facts.forward,
        )  # fmt: skip


def _with_refusal(said: Attribution, problem: Problem | None) -> Attribution:
    """Of a call a rate limit refused, with the property Helicone writes."""
    if problem is None or problem.code != RateLimited.code:
        return said
    return replace(said, properties={**said.properties, "helicone-rate-limit-status": "bucket_rate_limited"})


def _unquoted(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Without what a provider said, where its answers are omitted."""
    return tuple(Problem(one.code) if one.code == AllFailed.code else one for one in problems)


def _trace(facts: Facts) -> tuple[str | None, str | None, str | None]:
    """(trace, its own step, the step it was made in)."""
    if facts.parent is None:
        return (None, None, None)
    trace_id, parent_span_id = facts.parent
    return (trace_id, traceparent.span_id(facts.id), parent_span_id)


def _put_piece(spool: Writer, exchange_id: UUID, is_request: bool, data: bytes) -> Future[None]:
    """No method of a capture: one that holds itself in a circle waits for the garbage collector."""
    if is_request:
        return spool.put(records.piece(exchange_id, request=data))
    return spool.put(records.piece(exchange_id, response=data))
