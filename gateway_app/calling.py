"""From candidates to the answer that is passed on: one after the other, and each as often as it may be.

All is decided on an answer's head, before a byte of its body went to the client; after that there is no other try.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from gateway_app import headers, retries
from gateway_app.candidates import Incoming, Prepared
from gateway_app.connection import Head
from gateway_app.errors import AllFailed, ClientGone, GatewayError, TargetRefused, UpstreamError
from gateway_app.health import Health
from gateway_app.relay import LEAVING, Call, Receive, Tap
from gateway_app.upstream import Pool
from lib import loose_json
from lib.clock import now
from llm import errors as said

LONGEST_ERROR: Final = 64 * 1024
ERROR_SECONDS: Final = 2.0
"""So much of a failed answer, and so long, is read before the next try."""
LONG_SECONDS: Final = 1_800.0
"""How long a call may be silent whose client asks for more time."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call whose answer was not passed on."""

    prepared: Prepared
    began_at: datetime
    duration_ms: int
    status: int
    recorded_status: int
    headers: Mapping[str, str]
    body: bytes
    """As much as was read."""
    sent_bytes: int
    error_type: str | None
    message: str
    then: str
    """What was done next."""


class Answered(NamedTuple):
    call: Call
    head: Head
    prepared: Prepared


class _Tried(NamedTuple):
    """One call: its head, or what it failed of."""

    prepared: Prepared
    call: Call
    head: Head | None
    error: GatewayError | None
    began_at: datetime
    started: float
    sent_bytes: int

    @property
    def status(self) -> int:
        return self.head.status if self.head is not None else self.error.status  # type: ignore[union-attr]


class _Next(NamedTuple):
    place: int
    wait: float
    then: str


class Calling:
    """One request's. `answered` once; a call that failed and is not the last is told to `keep`."""

    def __init__(
        self, pool: Pool, health: Health, incoming: Incoming, candidates: Sequence[Prepared], *,
        receive: Receive, tap: Tap, keep: Callable[[Attempt], None], tells_all: bool = False,
    ) -> None:  # fmt: skip
        """`tells_all`: where every candidate failed the client is told of each, not what the last one answered."""
        self._pool = pool
        self._health = health
        self._incoming = incoming
        self._candidates = candidates
        self._receive = receive
        self._tap = tap
        self._keep = keep
        self._tells_all = tells_all and len(candidates) > 1
        self._calls = 0
        """To the candidate whose turn it is."""
        self.made = 0
        self.last = candidates[0]
        """Called last, whatever came of it."""
        self._is_long = incoming.directives.increase_timeout
        self.failed: list[Attempt] = []

    async def answered(self, sent: bytes) -> Answered:
        """`sent` is the body as the first candidate gets it.

        Raises UpstreamError, TargetRefused, AllFailed, ClientGone.
        """
        place = self._healthy(range(len(self._candidates))) if len(self._candidates) > 1 else 0
        body = self._body(place) if place else sent
        while True:
            self._calls += 1
            self.made += 1
            self.last = self._candidates[place]
            tried = await self._try(self._candidates[place], body)
            step = self._next(place, tried)
            if step is None:
                return await self._last(tried)
            await self._lose(tried, step.then)
            if step.wait:
                await _wait(self._receive, step.wait)
            if step.place != place:
                place, self._calls, body = step.place, 0, self._body(step.place)

    def _body(self, place: int) -> bytes:
        return self._candidates[place].body(self._incoming.first)

    async def _try(self, ready: Prepared, body: bytes) -> _Tried:
        outgoing = ready.outgoing(self._incoming, body)
        call = Call(
            self._pool, ready.target.origin, outgoing, self._receive, self._tap,
            patience=LONG_SECONDS if self._is_long else 0.0, leaving=self._incoming.scope.get(LEAVING),
        )  # fmt: skip
        began_at, started = now(), time.monotonic()
        try:
            head, error = await call.start(), None
        except (UpstreamError, TargetRefused) as failure:
            head, error = None, failure
        except BaseException:
            call.finish()
            raise
        tried = _Tried(ready, call, head, error, began_at, started, len(body))
        self._health.note(ready.target.origin.text, is_failure=tried.status >= 500)
        return tried

    def _next(self, place: int, tried: _Tried) -> _Next | None:
        """What to do after this call; None where it was the last."""
        candidate = self._candidates[place].candidate
        if tried.status < 300 and tried.status not in candidate.goes_on:
            return None
        rules = candidate.retries
        if rules is not None and retries.is_retryable(tried.status):
            came = headers.read(tried.head.headers) if tried.head is not None else {}
            asked = retries.asked_wait(came, at=now())
            if rules.may_go_on(self._calls, asked):
                wait = rules.delay(self._calls, asked)
                return _Next(place, wait, f"again after {wait:.1f} s")
        if tried.status in candidate.goes_on and place + 1 < len(self._candidates):
            following = self._healthy(range(place + 1, len(self._candidates)))
            return _Next(following, 0.0, f"then {self._candidates[following].name}")
        return None

    def _healthy(self, places: Sequence[int]) -> int:
        """The first that may be tried; where all of them rest, the first."""
        may_try = self._health.may_try
        return next((place for place in places if may_try(self._candidates[place].target.origin.text)), places[0])

    async def _last(self, tried: _Tried) -> Answered:
        if self._tells_all and tried.status >= 400:
            await self._lose(tried, "no other is left")
            raise all_failed(self.failed)
        if tried.head is None:
            tried.call.finish()
            raise tried.error or UpstreamError("The provider did not answer.")
        return Answered(tried.call, tried.head, tried.prepared)

    async def _lose(self, tried: _Tried, then: str) -> None:
        """The answer of this call goes no further than its record."""
        try:
            body = await _error_body(tried.call) if tried.head is not None else b""
        finally:
            tried.call.drop()
        came = headers.read(tried.head.headers) if tried.head is not None else {}
        kind, message = said.of(_read(body), came) if tried.head is not None else (None, None)
        error = tried.error
        attempt = Attempt(
            tried.prepared, tried.began_at, round((time.monotonic() - tried.started) * 1000), tried.status,
            error.row_status() if error else tried.status, came, body, tried.sent_bytes,
            kind or (error.code if error else None), message or (error.message if error else f"HTTP {tried.status}"),
            then,
        )  # fmt: skip
        self.failed.append(attempt)
        self._keep(attempt)


async def _error_body(call: Call) -> bytes:
    """What there is of a failed answer, within bounds; an upstream that dies meanwhile has failed already."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(ERROR_SECONDS):
            while size < LONGEST_ERROR:
                chunks.append(await call.read())
                size += len(chunks[-1])
                if call.is_finished:
                    break
    except (TimeoutError, UpstreamError):
        pass
    return b"".join(chunks)[:LONGEST_ERROR]


def _read(body: bytes) -> Any:
    try:
        return loose_json.loads(body)[0]
    except ValueError:
        return body.decode("utf-8", "replace")


async def _wait(receive: Receive, seconds: float) -> None:
    """Raises ClientGone as soon as the client has gone. Its body must have come whole."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
    raise ClientGone


def all_failed(failed: Sequence[Attempt]) -> GatewayError:
    """One answer for all: what a caller can do something about first, as Helicone decides it, with its own status."""
    last = {attempt.prepared.candidate.index: attempt for attempt in failed}.values()
    by_status = {attempt.status: attempt for attempt in reversed(list(last))}
    other = next((attempt for attempt in last if attempt.status != 429), None)
    chosen = by_status.get(403) or by_status.get(401) or other or next(iter(last))
    names = ", ".join(attempt.prepared.name for attempt in last)
    return AllFailed(
        f"All that were asked failed ({names}). {chosen.prepared.name} said: {chosen.message}",
        [detail(attempt.prepared.name, attempt.message, _kind(attempt.status), attempt.status) for attempt in last],
        status=chosen.status,
    )


def detail(source: str, message: str, kind: str, status: int | None = None) -> dict[str, Any]:
    """As Helicone's AI gateway tells of one candidate."""
    told: dict[str, Any] = {"source": source, "type": kind, "message": message}
    return told if status is None else {**told, "statusCode": status}


def _kind(status: int) -> str:
    return "rate_limited" if status == 429 else "request_failed"
