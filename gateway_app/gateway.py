"""One request, top to bottom: route ▸ key ▸ directives ▸ target ▸ begin ▸ upstream ▸ tee ▸ client ▸ end.

The begin record is written beside the upstream call; the first byte of the answer goes to the client when it is
durable. Where the spool takes nothing, calls still pass, and what could not be kept is counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from accounts_app.keys import Presented, Speaker, present
from accounts_app.snapshot_safety import safety
from alerts_app import snapshot
from gateway_app import (
    attempts,
    chains,
    cors,
    errors,
    headers,
    hidden_usage,
    lending,
    policies,
    regions,
    request_head,
    screens,
    shaping,
    token_limit,
)
from gateway_app.cache import STREAM_TYPES, Entry, Question
from gateway_app.calling import Attempt, Calling
from gateway_app.candidates import Incoming, Prepared
from gateway_app.capture import Capture, Facts, Outcome
from gateway_app.chains import Chain, Known
from gateway_app.connection import Head, Headers
from gateway_app.errors import (
    ClientGone,
    GatewayError,
    KeyMayNotWrite,
    KeyMissing,
    KeyUnknown,
    NotReady,
    NotSupported,
    ThreatDetected,
)
from gateway_app.guard import Turn
from gateway_app.hidden_usage import HiddenUsage
from gateway_app.house import House, Visit
from gateway_app.lending import Lender
from gateway_app.policies import NOTHING_STORED, Policies
from gateway_app.relay import HEAD, Call, Held, answer, body_up_to, first_of_body, rest_of_body
from gateway_app.screens import Asker, Screening
from gateway_app.taps import Down, Up
from gateway_app.tee import MEMORY_BYTES
from ingest_app import forwarding, traceparent
from ingest_app.spool import SpoolUnavailable
from lib.clock import now, uuid7
from llm import prompt_tags
from llm.exchange import ATTEMPTS_FAILED, STATUS_CANCELLED, STATUS_INTERRUPTED, Problem, Prompt

LEAST_CHUNK = 50
"""Bytes below which a chunk waits for the next, where its client asks for that."""
STEP_ASIDE_SECONDS = 1.0
"""A client may hold its answer up for so long before those who wait for the same one no longer wait for it."""
SAFE_ANSWER: Headers = [(b"content-security-policy", b"sandbox"), (b"x-content-type-options", b"nosniff")]
"""A provider's answer is data: opened in a browser it must not act as one of our pages."""
WHAT_TO_SEND = (
    "Send your Helicone key in the header 'Helicone-Auth: Bearer sk-helicone-...', and the provider's own key where "
    "the provider wants it. Keys are made under Settings, API keys."
)


FAILED_HERE = "The gateway failed at this request; its log says why. The provider may have been called all the same."
log = logging.getLogger("gateway_app")


class Gateway(House):
    """Door 1."""

    async def answer(self, visit: Visit) -> None:
        if self.grants(visit) and cors.is_preflight(visit.scope["method"], visit.headers):
            start = {"status": 204, "headers": cors.preflight_headers(visit.headers)}
            await visit.send({"type": "http.response.start", **start})
            await visit.send({"type": "http.response.body", "body": b""})
            return
        await Passage(self, visit).run()


class Passage:
    """One request on its way through."""

    def __init__(self, gateway: Gateway, visit: Visit) -> None:
        self._gateway = gateway
        self._visit = visit
        self._requested_at = now()
        self._started = time.monotonic()
        self._id = uuid7(self._requested_at)
        self._capture: Capture | None = None
        self._turn: Turn | None = None
        self._told: Headers = []
        """Of how it was called, for the client."""
        self._notes: tuple[Problem, ...] = ()
        self._waited = 0.0
        """Seconds until the client's body was there."""
        self._overhead_ms: float | None = None
        self._speaker: Speaker | None = None
        self._first = b""
        self._is_whole = False
        """What has come of the body, and whether that is all."""
        self._screening: Screening | None = None
        self._prompt: Prompt | None = None
        self._has_answered = False
        self._answer_headers: Mapping[str, str] | None = None
        self._status = STATUS_INTERRUPTED
        self._first_token_ms: int | None = None
        self._is_stream = False
        self._task = asyncio.current_task()
        self._sending_since: float | None = None
        self._is_given_up = False

    async def run(self) -> None:
        problem: Problem | None = None
        try:
            await self._pass()
        except ClientGone:
            self._status = STATUS_CANCELLED
        except asyncio.CancelledError:
            if not self._is_given_up:
                raise
            self._status = STATUS_CANCELLED
        except GatewayError as error:
            problem = await self._refuse(error)
        except Exception:  # a fault of ours: said in the log, and told like any other failure
            log.exception("gateway_failed request=%s", self._id)
            problem = await self._refuse(GatewayError(FAILED_HERE))
        finally:
            if self._turn is not None:
                self._turn.leave()
            self._end(problem)

    async def _refuse(self, error: GatewayError) -> Problem | None:
        """Tells the client, where nothing was answered yet; what its row says of it."""
        self._status = error.row_status()
        if self._turn is not None:
            self._turn.leave(error.status)
        self._keep_refused()
        if not self._has_answered:
            await self._tell(error)
        return error.problem()

    def _keep_refused(self) -> None:
        """A row also of what was refused before anybody was chosen to call, with as much of its body as had come."""
        if self._capture is not None or self._speaker is None:
            return
        visit = self._visit
        query = visit.scope["query_string"].decode("latin-1")
        first = self._first[:MEMORY_BYTES]
        if not self._is_whole or len(first) < len(self._first):
            self._notes += (Problem("request_not_read"),)
        self._begin(self._speaker, *request_head.meant(visit.route, visit.directives, query), first)

    async def _pass(self) -> None:
        presented = present(self._visit.headers, self._visit.route.path_key)
        self._speaker = speaker = await self._who(presented)
        if self._visit.headers.get("upgrade", "").lower() == "websocket":
            raise NotSupported("WebSocket is not supported here. Use the provider's HTTP API, streamed or not.")
        snapshot, query = self._gateway.keeper.current, self._visit.scope["query_string"].decode("latin-1")
        lender = lending.lender(snapshot, speaker, presented, self._visit.headers, query)
        known = Known(
            snapshot, speaker.organization_id if speaker is not None else None, self._gateway.policy.provider_urls,
            lender if lender.only_for else lending.own(snapshot, speaker),
        )  # fmt: skip
        incoming = await self._incoming(speaker, presented, lender)
        asks = None if speaker is None else self._asks(speaker)
        if asks is not None and asks.has_money:
            incoming = incoming._replace(has_money=True)
        if self._visit.directives.has_prompt:
            incoming = await self._more(incoming, most=shaping.LONGEST_BODY, is_needed=True)
            first, self._prompt = prompt_tags.strip(incoming.first)
            incoming = incoming._replace(first=first)
        if chains.is_plain(incoming, known):
            chain = chains.plain(incoming, known)
        else:
            incoming = self._fitted(await self._more(incoming, most=chains.LONGEST_BODY), known)
            chain = chains.chain(incoming, known)
        await self._forward(speaker, incoming, chain, asks)

    async def _who(self, presented: Presented) -> Speaker | None:
        """Whom to log for; None only where keys are not required."""
        requires, keeper = self._gateway.policy.requires_key, self._gateway.keeper
        if keeper.current is None and (requires or presented.key):
            raise NotReady("The gateway has not read its keys yet. Try again in a moment.")
        if presented.key is None:
            if requires:
                raise KeyMissing(f"No Helicone key was sent. {WHAT_TO_SEND}")
            return None
        speaker = await keeper.speaker(presented.key)
        if speaker is None and requires:
            raise KeyUnknown(f"This Helicone key is unknown or revoked. {WHAT_TO_SEND}")
        if speaker is not None and not speaker.may_write:
            raise KeyMayNotWrite("This Helicone key may only read. Use one that may write.")
        return speaker

    async def _incoming(self, speaker: Speaker | None, presented: Presented, lender: Lender) -> Incoming:
        """The request, with as much of its body as is there. Raises ClientGone."""
        visit = self._visit
        framing, is_empty = request_head.framing(visit.headers)
        waited = time.monotonic()
        first, is_complete = await first_of_body(visit.receive, is_empty)
        self._waited += time.monotonic() - waited
        self._first, self._is_whole = first, is_complete
        told = {**lender.aws_headers(visit.route.provider), **visit.headers}
        return Incoming(
            visit.scope, visit.headers, visit.directives, regions.settled(visit.route, told), presented, lender,
            speaker is not None and speaker.asks_stream_usage, framing, is_empty, first, is_complete,
        )  # fmt: skip

    async def _more(self, incoming: Incoming, *, most: int, is_needed: bool = False) -> Incoming:
        """With as much of its body as may be kept; all of it where it `is_needed`. Raises ClientGone, BodyTooLarge."""
        if incoming.is_complete:
            return incoming
        waited = time.monotonic()
        if is_needed:
            first, is_complete = await rest_of_body(self._visit.receive, incoming.first, most=most), True
        else:
            first, is_complete = await body_up_to(self._visit.receive, incoming.first, most=most)
        self._waited += time.monotonic() - waited
        self._first, self._is_whole = first, is_complete
        return incoming._replace(first=first, is_complete=is_complete)

    def _fitted(self, incoming: Incoming, known: Known) -> Incoming:
        """With a prompt its model takes, where its client wants it so."""
        rule = incoming.directives.token_limit
        if not rule:
            return incoming
        if incoming.is_complete:
            own = chains.own_provider(incoming, known)
            found = token_limit.fitted(incoming.first, rule, own=own, snapshot=known.snapshot)
        else:
            found = token_limit.too_long(incoming.first)
        self._told.append((token_limit.HEADER, found.state.encode()))
        self._notes += found.notes
        return incoming._replace(first=found.body)

    async def _forward(
        self, speaker: Speaker | None, incoming: Incoming, chain: Chain, asks: Policies | None
    ) -> None:
        ready, is_screened = chain.ready[0], speaker is not None and screens.wanted(self._visit.directives)
        most, is_needed = policies.awaited(
            asks, self._visit.directives, incoming.framing.length or 0, wants=ready.plan is not None,
            needs=is_screened or (ready.plan is not None and ready.plan.needs_body),
        )  # fmt: skip
        incoming = await self._more(incoming, most=most, is_needed=is_needed) if most else incoming
        if asks is not None and asks.cache is not None and not incoming.is_complete:
            asks = self._uncached(asks)
        sent = ready.body(incoming.first) if incoming.is_complete else incoming.first
        if chain.complaint:
            self._told.append((chains.ERROR_HEADER, chain.complaint.encode("ascii", "replace")))
        self._notes += chain.notes
        if speaker is not None:
            if asks is not None:
                self._draw(asks, speaker, ready.provider, chain.question_url, sent)
            # what is asked of another model is recorded as its candidate was asked, else as it came
            first = sent if ready.candidate.model else incoming.first
            self._begin(speaker, ready.provider, ready.recorded_url, first)
            if self._turn is not None and (entry := await self._turn.enter()) is not None:
                await self._replay(entry, hidden_usage.of(ready.plan, 200, entry.headers))
                return
            if is_screened:
                self._screening = self._screening_of(speaker, incoming.lender, ready)
                await self._screening.request(sent)
        if self._capture is not None and not incoming.is_complete:
            await self._capture.begun()
        await self._call(incoming, chain, sent)

    def _begin(self, speaker: Speaker, provider: str, url: str, first: bytes) -> None:
        visit = self._visit
        facts = Facts(
            self._id, speaker.organization_id, speaker.key_id, self._requested_at, provider,
            visit.scope["method"], url, headers.recorded(visit.headers), request_head.country(visit.headers),
            traceparent.read(visit.headers.get(traceparent.HEADER)), self._turn.holds if self._turn else (),
            self._prompt, forwarding.order(visit.directives, self._gateway.keyring, speaker.organization_id, self._id),
        )  # fmt: skip
        self._capture = Capture(
            self._gateway.spool, self._gateway.shelf, facts, directives=visit.directives,
            cap=self._gateway.policy.capture_max_bytes, counts=self._gateway.counts,
            on_lost=self._turn.lost if self._turn else None,
            redactor=safety(self._gateway.keeper.current, speaker.organization_id).redactor,
        )  # fmt: skip
        self._capture.begin(first)
        self._gateway.watch(self)

    def _asks(self, speaker: Speaker) -> Policies | None:
        visit, known = self._visit, self._gateway.keeper.current
        stored = NOTHING_STORED if known is None else snapshot.stored(known.parts, speaker.organization_id)
        return policies.read(visit.directives, visit.headers, stored, visit.scope["method"])

    def _uncached(self, asks: Policies) -> Policies:
        """What is asked beside the cache, of a question too long to be known whole."""
        self._told.append((policies.CACHE_ERROR_HEADER, policies.CACHE_TOO_LONG))
        if asks.cache is not None and asks.cache.reads:
            self._told.append((b"helicone-cache", b"MISS"))
        self._notes += (Problem("cache_body_too_long"),)
        return asks.without_cache()

    def _draw(self, asks: Policies, speaker: Speaker, provider: str, url: str, sent: bytes) -> None:
        visit = self._visit
        self._turn = Turn(
            self._gateway.guard, asks, organization_id=speaker.organization_id, request_id=self._id,
            key_id=speaker.key_id, provider=provider,
        )  # fmt: skip
        question = Question(speaker.organization_id, visit.scope["method"], url, visit.headers, sent)
        self._turn.draw(question, visit.directives)

    def _screening_of(self, speaker: Speaker, lender: Lender, ready: Prepared) -> Screening:
        house, visit = self._gateway, self._visit
        asker = Asker.of(
            house.keeper.current, speaker, lender, request_id=self._id, directives=visit.directives,
            headers=visit.headers, provider=ready.provider, url=ready.recorded_url,
            provider_urls=house.policy.provider_urls,
        )  # fmt: skip
        return Screening(house.desk, house.screens_options, asker)

    async def _held(self, call: Call, head: Head) -> Held:
        """The answer, looked at before the client has any of it. Raises ThreatDetected, ScreenFailed."""
        assert self._screening is not None
        held, found = await Held.of(call, most=shaping.LONGEST_BODY), headers.read(head.headers)
        try:
            await self._screening.reply(head.status, found, held.body)
        except GatewayError:
            self._answer_headers = found
            if self._capture is not None:
                self._capture.response.take(held.body)
            raise
        return held

    async def _replay(self, entry: Entry, hiding: HiddenUsage | None) -> None:
        if self._capture is not None:
            await self._capture.begun()
        await self._send_head(Head(200, entry.head()))
        for piece, shown in hidden_usage.pairs(entry.pieces(), hiding):
            self.came(piece)
            if shown:
                await self._visit.send({"type": "http.response.body", "body": shown, "more_body": True})
            await self.settle()
        await self._visit.send({"type": "http.response.body", "body": b""})
        self._status = 200

    async def _call(self, incoming: Incoming, chain: Chain, sent: bytes) -> None:
        house, kept = self._gateway, self._capture
        calling = Calling(
            house.pool, house.health, house.tokens, incoming, chain.ready, receive=self._visit.receive, tap=Up(kept),
            keep=self._keep, tells_all=chain.tells_all, skipped=chain.skipped,
            organization_id=kept.facts.organization_id if kept is not None else 0,
        )  # fmt: skip
        self._overhead_ms = (time.monotonic() - self._started - self._waited) * 1000
        try:
            call, head, ready = await calling.answered(sent)
        finally:
            self._tell_attempts(calling, chain.ready[0])
        try:
            if chain.is_list or incoming.route.is_ai_gateway:
                self._told += chains.answered_by(chain, ready, incoming)
            if self._capture is not None:
                await self._capture.begun()
            is_held = self._screening is not None and self._screening.holds_reply
            source = await self._held(call, head) if is_held else call
            await self._send_head(head)
            least, tap = LEAST_CHUNK * self._visit.directives.force_format, Down(self.came, self.settle)
            hiding = hidden_usage.of(ready.plan, head.status, head.headers)
            await answer(source, self._visit.send, tap, least=least, hiding=hiding)
            self._status = head.status
            if self._turn is not None:
                self._turn.leave(head.status, head.headers, latency_ms=self._elapsed_ms())
        finally:
            call.finish()

    def _keep(self, attempt: Attempt) -> None:
        """An attempt goes into a record of its own."""
        if self._capture is not None:
            is_withheld = self._capture.withholds_response
            self._gateway.shelf.lay(attempts.record(attempt, self._capture.facts, is_withheld=is_withheld), _let_go)

    def _tell_attempts(self, calling: Calling, first: Prepared) -> None:
        """What became of the tries, for the client and the row."""
        if calling.failed:
            self._told.append((b"helicone-attempts", b"%d" % calling.made))
            self._notes += (Problem(ATTEMPTS_FAILED, str(len(calling.failed))),)
        self._notes += chains.notes_of(calling.rested)
        if calling.last is not first:
            self._notes += (Problem("fell_back", calling.last.name),)
            if self._capture is not None:
                self._capture.move(calling.last.provider, calling.last.recorded_url)

    async def _send_head(self, head: Head) -> None:
        has_body = head.status not in (204, 304)
        self._answer_headers = headers.read(head.headers)
        self._is_stream = self._answer_headers.get("content-type", "").startswith(STREAM_TYPES)
        passed = headers.answer_headers(head.headers, has_body=has_body)
        more = [*passed, *self._own_headers(is_success=True)]
        if self._overhead_ms is not None:
            more.append((b"helicone-overhead-ms", b"%.1f" % self._overhead_ms))
        if self._gateway.grants(self._visit):
            more = cors.granted(more)
        if self._is_stream:
            more.append((b"x-accel-buffering", b"no"))
        self._has_answered = True
        sends = self._visit.scope.get(HEAD)
        if sends is None or not sends(head.status, more):
            await self._visit.send({"type": "http.response.start", "status": head.status, "headers": more})

    def _own_headers(self, *, is_success: bool) -> Headers:
        shown = self._visit.directives.attribution.client_request_id or str(self._id)
        return [
            (b"helicone-id", shown.encode()),
            (b"helicone-status", b"success" if is_success else b"failed"),
            *SAFE_ANSWER,
            *(self._turn.headers if self._turn is not None else ()),
            *self._told,
        ]

    async def _tell(self, error: GatewayError) -> None:
        """Answers with the error in the client's own shape; it is this exchange's answer in the record too."""
        data = errors.body(error, request_head.shape(self._visit.route, self._visit.headers))
        more: Headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(data)),
            *self._own_headers(is_success=False),
        ]
        if error.retry_after_seconds is not None:
            more.append((b"retry-after", b"%d" % error.retry_after_seconds))
        if "upgrade" in self._visit.headers:
            more.append((b"connection", b"close"))
        if self._gateway.grants(self._visit):
            more = cors.granted(more)
        if self._capture is not None:
            await self._capture.begun()
        if self._answer_headers is None:
            self._answer_headers = headers.read(more)
            if self._capture is not None:
                self._capture.response.take(b"{}" if isinstance(error, ThreatDetected) else data)
        self._has_answered = True
        await self._visit.send({"type": "http.response.start", "status": error.status, "headers": more})
        await self._visit.send({"type": "http.response.body", "body": data})

    def _end(self, problem: Problem | None) -> None:
        if self._capture is None:
            return
        turn, seen = self._turn, self._screening
        notes = (*(turn.notes if turn else ()), *self._notes, *(seen.notes if seen else ()))
        outcome = Outcome(
            self._status, self._elapsed_ms(), self._first_token_ms, headers.recorded(self._answer_headers or {}),
            problem, notes, turn.hit if turn else None, turn.meters if turn else (), seen.threat if seen else None,
        )  # fmt: skip
        self._gateway.close(self, self._capture, outcome)

    def _elapsed_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    def came(self, chunk: bytes) -> None:
        """A part of the answer's body is about to go to the client."""
        self._sending_since = time.monotonic()
        if self._is_stream and chunk and self._first_token_ms is None:
            self._first_token_ms = self._elapsed_ms()
        if self._capture is not None:
            self._capture.response.take(chunk)
        if self._turn is not None:
            self._turn.take(chunk)

    async def settle(self) -> None:
        """The client has taken that part."""
        self._sending_since = None
        if self._capture is not None:
            await self._capture.settle()

    def look(self, moment: float) -> None:
        """From time to time: the newest bytes go to the spool, and a client that takes nothing is given up."""
        if self._capture is not None:
            self._capture.flush_if_old(moment)
        patience = self._gateway.policy.silence_seconds
        sending_for = 0.0 if self._sending_since is None else moment - self._sending_since
        if self._turn is not None and sending_for > STEP_ASIDE_SECONDS:
            self._turn.step_aside()
        is_stuck = sending_for > patience
        if is_stuck and self._task is not None and not self._is_given_up:
            self._is_given_up = True
            self._task.cancel()


def _let_go(_: SpoolUnavailable | None) -> None:
    """An attempt's record: the spool counts what it does not take."""
