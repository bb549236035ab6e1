"""From candidates to the answer that is passed on: one after the other, and each as often as it may be.

All is decided on an answer's head, before a byte of its body went to the client; after that there is no other try.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from gateway_app import headers, model_lists, retries
from gateway_app.candidates import Incoming, Prepared
from gateway_app.connection import Head
from gateway_app.errors import AllFailed, ClientGone, GatewayError, TargetRefused, TokenRefused, UpstreamError
from gateway_app.google_tokens import Tokens
from gateway_app.health import Health, Place
from gateway_app.relay import LEAVING, Call, Receive, Tap
from gateway_app.upstream import Pool
from lib import loose_json
from lib.clock import now
from lib.frozen import dataclass
from llm import errors as said

LONGEST_ERROR: Final = 64 * 1024
ERROR_SECONDS: Final = 2.0
"""So much of a failed answer, and so long, is read before the next try."""
NEAR_THE_END: Final = 16 * 1024
"""So many bytes of a body's beginning and end are searched for whether it asks for a stream."""
_STREAM: Final = re.compile(rb'"stream"\s*:\s*true')
LONGEST_REASON: Final = 200
"""Characters of why a target rests."""
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


class Skipped(NamedTuple):
    """A candidate nobody called."""

    label: str
    reason: str
    kind: str
    """As Helicone's AI gateway calls it; `resting` is our own."""


class _Next(NamedTuple):
    place: int
    wait: float
    then: str


class Calling:
    """One request's. `answered` once; a call that failed and is not the last is told to `keep`."""

    def __init__(
        self, pool: Pool, health: Health, tokens: Tokens, incoming: Incoming, candidates: Sequence[Prepared], *,
        receive: Receive, tap: Tap, keep: Callable[[Attempt], None], tells_all: bool = False,
        skipped: Sequence[Skipped] = (), organization_id: int = 0,
    ) -> None:  # fmt: skip
        """`tells_all`: where every candidate failed the client is told of each, not what the last one answered, and
        of those that were `skipped` before."""
        self._pool = pool
        self._health = health
        self._tokens = tokens
        self._incoming = incoming
        self._candidates = candidates
        self._receive = receive
        self._tap = tap
        self._keep = keep
        self._tells_all = tells_all and len(candidates) + len(skipped) > 1
        self._skipped = skipped
        self.rested: list[Skipped] = []
        """Passed over because they rest."""
        self._of = organization_id
        self._places: Sequence[Place] = self._compared() if len(candidates) > 1 else ()
        """Beside them, where there are several."""
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
            tried = await self._try(place, body)
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

    async def _try(self, place: int, body: bytes) -> _Tried:
        ready, refused = await self._borrowed(self._candidates[place])
        outgoing = ready.outgoing(self._incoming, body)
        call = Call(
            self._pool, ready.target.origin, outgoing, self._receive, self._tap,
            patience=LONG_SECONDS if self._is_long else 0.0, leaving=self._incoming.scope.get(LEAVING),
        )  # fmt: skip
        began_at, started = now(), time.monotonic()
        timed = self._health.timed(self._places[place]) if self._places else None
        head: Head | None = None
        error: GatewayError | None = refused
        try:
            head = await call.start() if refused is None else None
        except (UpstreamError, TargetRefused) as failure:
            error = failure
        except BaseException:
            call.finish()
            if timed is not None:
                timed.ends()
            raise
        tried = _Tried(ready, call, head, error, began_at, started, len(body))
        if timed is not None:
            timed.ends(tried.status)
        if refused is None:
            is_failure = tried.status >= 500
            said = "" if not is_failure else error.message[:LONGEST_REASON] if error else f"HTTP {tried.status}"
            self._health.note(self._of, ready.target.origin.text, is_failure=is_failure, said=said)
        return tried

    async def _borrowed(self, ready: Prepared) -> tuple[Prepared, TokenRefused | None]:
        """With an access token, where its key is a service account's."""
        loan = ready.loan
        if loan is None or loan.account is None:
            return ready, None
        try:
            return ready._replace(loan=loan.bearing(await self._tokens.bearer(loan.account))), None
        except TokenRefused as refusal:
            return ready, refusal

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
        chosen = next((place for place in places if self._health.may_try(self._places[place])), places[0])
        for place in range(places[0], chosen):
            why = f"it rests: {self._health.why(self._places[place])}"
            self.rested.append(Skipped(self._candidates[place].name, why, "resting"))
        return chosen

    def _compared(self) -> list[Place]:
        """With which calls those to the candidates are compared."""
        is_stream, own = _asks_stream(self._incoming), model_lists.model_of(self._incoming.first)
        models = [str(one.candidate.override.get("model", own))[:200] for one in self._candidates]
        return [
            Place(self._of, one.target.origin.text, model, is_stream)
            for one, model in zip(self._candidates, models, strict=True)
        ]  # fmt: skip

    async def _last(self, tried: _Tried) -> Answered:
        if self._tells_all and tried.status >= 400:
            await self._lose(tried, "no other is left")
            raise all_failed(self.failed, [*self._skipped, *self.rested])
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


def _asks_stream(incoming: Incoming) -> bool:
    """As its path or either end of its body says: long prompts stand between."""
    body, near = incoming.first, NEAR_THE_END
    return "stream" in incoming.route.path.lower() or any(map(_STREAM.search, (body[:near], body[-near:])))


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


def all_failed(failed: Sequence[Attempt], skipped: Sequence[Skipped] = ()) -> GatewayError:
    """One answer for all: what a caller can do something about first, as Helicone decides it, with its own status.

    Those `skipped` stand in its details after those that were asked.
    """
    last = {attempt.prepared.candidate.index: attempt for attempt in failed}.values()
    by_status = {attempt.status: attempt for attempt in reversed(list(last))}
    other = next((attempt for attempt in last if attempt.status != 429), None)
    chosen = by_status.get(403) or by_status.get(401) or other or next(iter(last))
    names = [attempt.prepared.name for attempt in last]
    told = [detail(attempt.prepared.name, attempt.message, _kind(attempt.status), attempt.status) for attempt in last]
    return AllFailed(
        f"All that were asked failed ({', '.join(names)}). {chosen.prepared.name} said: {chosen.message}",
        [*told, *(detail(*one) for one in _uncalled(skipped, names))],
        status=chosen.status,
    )


def _uncalled(skipped: Sequence[Skipped], called: Collection[str]) -> list[Skipped]:
    """Each once; one that was passed over at first may have been called in the end."""
    return [one for one in dict.fromkeys(skipped) if one.kind != "resting" or one.label not in called]


def detail(source: str, message: str, kind: str, status: int | None = None) -> dict[str, Any]:
    """As Helicone's AI gateway tells of one candidate."""
    told: dict[str, Any] = {"source": source, "type": kind, "message": message}
    return told if status is None else {**told, "statusCode": status}


def _kind(status: int) -> str:
    return "rate_limited" if status == 429 else "request_failed"
