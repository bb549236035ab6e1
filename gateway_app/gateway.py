"""One request, top to bottom: route ▸ key ▸ directives ▸ target ▸ begin ▸ upstream ▸ tee ▸ client ▸ end.

The begin record is written beside the upstream call; the first byte of the answer goes to the client when it is
durable. Where the spool takes nothing, calls still pass, and what could not be kept is counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from accounts_app.keys import Presented, Speaker, present
from accounts_app.secrets import Keyring
from accounts_app.snapshot import Keeper
from accounts_app.snapshot_safety import safety
from gateway_app import cors, errors, headers, lending, policies, regions, screens, shaping
from gateway_app.asking import Desk
from gateway_app.cache import Entry, Question
from gateway_app.capture import Capture, Counts, Facts, Outcome
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
from gateway_app.guard import Guard, Options, Turn
from gateway_app.headers import Framing
from gateway_app.policies import Policies
from gateway_app.relay import Call, Held, Outgoing, Receive, Scope, Send, answer, first_of_body, rest_of_body
from gateway_app.routes import Route, target_url
from gateway_app.screens import Asker, Screening
from gateway_app.shaping import Asked, Shaping
from gateway_app.shelf import Shelf
from gateway_app.targets import Target, read_target, without_credentials
from gateway_app.upstream import Pool
from ingest_app import forwarding, traceparent
from ingest_app.directives import Directives
from ingest_app.spool import Writer
from lib.clock import now, uuid7
from llm import prompt_tags, providers
from llm.exchange import STATUS_CANCELLED, STATUS_INTERRUPTED, Problem, Prompt

FLUSH_LOOK_SECONDS = 0.5
STREAM_TYPES = ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream", "application/jsonl")
SAFE_ANSWER: Headers = [(b"content-security-policy", b"sandbox"), (b"x-content-type-options", b"nosniff")]
"""A provider's answer is data: opened in a browser it must not act as one of our pages."""
WHAT_TO_SEND = (
    "Send your Helicone key in the header 'Helicone-Auth: Bearer sk-helicone-...', and the provider's own key where "
    "the provider wants it. Keys are made under Settings, API keys."
)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator has set."""

    requires_key: bool = True
    capture_max_bytes: int = 64 * 2**20
    silence_seconds: float = 600
    """A client that takes nothing of its answer for so long has gone."""
    provider_urls: Mapping[str, str] = field(default_factory=dict)


class Visit(NamedTuple):
    """A request as it came in, read."""

    scope: Scope
    receive: Receive
    send: Send
    route: Route
    headers: Mapping[str, str]
    directives: Directives


class Gateway:
    """Door 1. `run` must be running: it brings a stream's newest bytes to the spool each second."""

    def __init__(
        self, *, keeper: Keeper, spool: Writer, pool: Pool, policy: Policy, guard: Guard | None = None,
        screens_options: screens.Options = screens.DEFAULTS, keyring: Keyring | None = None,
    ) -> None:  # fmt: skip
        self.keeper = keeper
        self.spool = spool
        self.shelf = Shelf(spool)
        self.pool = pool
        self.policy = policy
        self.guard = guard or Guard(None, Options())
        self.counts = Counts()
        self.screens_options = screens_options
        self.keyring = keyring
        self.desk = Desk(pool, spool, self.shelf, self.counts, policy.capture_max_bytes, self._defer)
        self._live: set[Passage] = set()
        self._deferred: set[asyncio.Future[None]] = set()
        providers.all_providers()  # a file that cannot be used stops the start, and not the first call

    async def answer(self, visit: Visit) -> None:
        if self.grants(visit) and cors.is_preflight(visit.scope["method"], visit.headers):
            start = {"status": 204, "headers": cors.preflight_headers(visit.headers)}
            await visit.send({"type": "http.response.start", **start})
            await visit.send({"type": "http.response.body", "body": b""})
            return
        await Passage(self, visit).run()

    def grants(self, visit: Visit) -> bool:
        """Whether a page of another origin calls, and may read the answer."""
        return "origin" in visit.headers and self.policy.requires_key

    def watch(self, passage: Passage) -> None:
        self._live.add(passage)

    def close(self, passage: Passage, capture: Capture, outcome: Outcome) -> None:
        self._live.discard(passage)
        capture.end(outcome, self._defer)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_LOOK_SECONDS)
            moment = time.monotonic()
            for passage in list(self._live):
                passage.look(moment)

    async def settled(self) -> None:
        """Returns when everything ended is on its way to the spool."""
        self.shelf.flush()
        await asyncio.gather(*self._deferred, return_exceptions=True)
        await self.guard.settled()

    def _defer(self, work: Callable[[], None]) -> None:
        future = asyncio.get_running_loop().run_in_executor(None, work)
        self._deferred.add(future)
        future.add_done_callback(self._deferred.discard)


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
        self._lender = lending.NOBODY
        self._screening: Screening | None = None
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
            problem = error.problem()
            self._status = error.row_status()
            if not self._has_answered:
                await self._tell(error)
        finally:
            if self._turn is not None:
                self._turn.leave()
            self._end(problem)

    async def _pass(self) -> None:
        presented = present(self._visit.headers, self._visit.route.path_key)
        speaker = await self._speaker(presented)
        if self._visit.headers.get("upgrade", "").lower() == "websocket":
            raise NotSupported("WebSocket is not supported here. Use the provider's HTTP API, streamed or not.")
        query = self._visit.scope["query_string"].decode("latin-1")
        lender = lending.lender(self._gateway.keeper.current, speaker, presented, self._visit.headers, query)
        self._lender = lender
        told = self._visit.headers
        if aws := lender.aws_headers(self._visit.route.provider):
            told = {**aws, **told}
        route = regions.settled(self._visit.route, told)
        slug, url, is_client_named = target_url(
            route, self._visit.directives, self._gateway.policy.provider_urls, lender
        )
        is_guarded = is_client_named or url == lender.base_url(slug)
        target = read_target(url, is_guarded=is_guarded, keeps_path=not is_client_named)
        path = target.path_for(route.path)
        loan = lender.lend(slug, target, is_client_named=is_client_named)
        if loan is not None:
            presented = replace(presented, credentials={**(presented.credentials or {}), **loan.headers})
            query = loan.query(path, query)
        asked = Asked(
            self._visit.scope["method"], path, query, self._visit.headers if loan is None else told, route.region
        )
        plan = shaping.plan(
            asked, providers.by_slug(slug), target, is_client_target=is_client_named,
            told=self._visit.directives.stream_usage, default=speaker is not None and speaker.asks_stream_usage,
        )  # fmt: skip
        await self._forward(speaker, presented, slug or target.origin.authority, target, asked=asked, plan=plan)

    async def _speaker(self, presented: Presented) -> Speaker | None:
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

    async def _forward(
        self, speaker: Speaker | None, presented: Presented, provider: str, target: Target, *,
        asked: Asked, plan: Shaping | None,
    ) -> None:  # fmt: skip
        asks = None if speaker is None else policies.read(self._visit.directives, self._visit.headers)
        framing, is_empty = request_framing(self._visit.headers)
        first, is_complete = await first_of_body(self._visit.receive, is_empty)
        is_screened = speaker is not None and screens.wanted(self._visit.directives)
        has_prompt = self._visit.directives.has_prompt
        is_asked = asks is not None and asks.needs_body(self._visit.directives)
        if (plan is not None or is_asked or is_screened or has_prompt) and not is_complete:
            first, is_complete = await rest_of_body(self._visit.receive, first, most=shaping.LONGEST_BODY), True
        first, prompt = prompt_tags.strip(first) if has_prompt else (first, None)
        sent, credentials = first, presented.credentials
        if plan is not None:
            sent = plan.body(first)
            credentials = plan.credentials(asked, target.origin.authority, sent, credentials)
        head = headers.request_head(
            asked.method, f"{asked.path}?{asked.query}" if asked.query else asked.path, host=target.origin.authority,
            headers=self._visit.scope["headers"], credentials=credentials,
            framing=Framing(length=len(sent)) if is_complete and not is_empty else framing,
        )  # fmt: skip
        if speaker is not None:
            recorded_query = without_credentials(asked.query)
            url = f"{target.origin.text}{asked.path}" + (f"?{recorded_query}" if recorded_query else "")
            self._begin(speaker, provider=provider, url=url, first=first, prompt=prompt)
            whole_url = f"{target.origin.text}{asked.path}?{asked.query}"
            if asks is not None and await self._is_answered(asks, speaker, whole_url, sent):
                return
            if is_screened:
                self._screening = self._screening_of(speaker, provider, url)
                await self._screening.request(sent)
        if self._capture is not None and not is_complete:
            await self._capture.begun()
        outgoing = Outgoing(asked.method, head, sent, is_complete, framing.is_chunked and not is_complete)
        await self._call(Call(self._gateway.pool, target.origin, outgoing, self._visit.receive, _Up(self._capture)))

    def _begin(
        self, speaker: Speaker, *, provider: str, url: str, first: bytes, prompt: Prompt | None
    ) -> None:
        visit = self._visit
        facts = Facts(
            self._id, speaker.organization_id, speaker.key_id, self._requested_at, provider, visit.scope["method"], url,
            headers.recorded(visit.headers), _country(visit.headers),
            traceparent.read(visit.headers.get(traceparent.HEADER)), prompt,
            forwarding.order(visit.directives, self._gateway.keyring, speaker.organization_id, self._id),
        )  # fmt: skip
        self._capture = Capture(
            self._gateway.spool, self._gateway.shelf, facts, directives=visit.directives,
            cap=self._gateway.policy.capture_max_bytes, counts=self._gateway.counts,
            redactor=safety(self._gateway.keeper.current, speaker.organization_id).redactor,
        )  # fmt: skip
        self._capture.begin(first)
        self._gateway.watch(self)

    async def _is_answered(self, asks: Policies, speaker: Speaker, url: str, sent: bytes) -> bool:
        """Whether the cache had the answer. Raises RateLimited, LimitsUnreachable."""
        visit = self._visit
        self._turn = Turn(self._gateway.guard, asks, organization_id=speaker.organization_id, request_id=self._id)
        question = Question(speaker.organization_id, visit.scope["method"], url, visit.headers, sent)
        entry = await self._turn.enter(question, visit.directives)
        if entry is not None:
            await self._replay(entry)
        return entry is not None

    def _screening_of(self, speaker: Speaker, provider: str, url: str) -> Screening:
        house, visit = self._gateway, self._visit
        asker = Asker.of(
            house.keeper.current, speaker, self._lender, request_id=self._id, directives=visit.directives,
            headers=visit.headers, provider=provider, url=url, provider_urls=house.policy.provider_urls,
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

    async def _replay(self, entry: Entry) -> None:
        if self._capture is not None:
            await self._capture.begun()
        await self._send_head(Head(200, entry.headers))
        for piece in entry.pieces():
            self.came(piece)
            await self._visit.send({"type": "http.response.body", "body": piece, "more_body": True})
            await self.settle()
        await self._visit.send({"type": "http.response.body", "body": b""})
        self._status = 200

    async def _call(self, call: Call) -> None:
        try:
            head = await call.start()
            if self._capture is not None:
                await self._capture.begun()
            is_held = self._screening is not None and self._screening.holds_reply
            source = await self._held(call, head) if is_held else call
            await self._send_head(head)
            await answer(source, self._visit.send, _Down(self))
            self._status = head.status
            if self._turn is not None:
                self._turn.leave(head.status, head.headers, latency_ms=self._elapsed_ms())
        finally:
            call.finish()

    async def _send_head(self, head: Head) -> None:
        has_body = head.status not in (204, 304)
        self._answer_headers = headers.read(head.headers)
        self._is_stream = self._answer_headers.get("content-type", "").startswith(STREAM_TYPES)
        passed = headers.answer_headers(head.headers, has_body=has_body)
        more = [*passed, *self._own_headers(is_success=True)]
        if self._gateway.grants(self._visit):
            more = cors.granted(more)
        if self._is_stream:
            more.append((b"x-accel-buffering", b"no"))
        self._has_answered = True
        await self._visit.send({"type": "http.response.start", "status": head.status, "headers": more})

    def _own_headers(self, *, is_success: bool) -> Headers:
        shown = self._visit.directives.attribution.client_request_id or str(self._id)
        return [
            (b"helicone-id", shown.encode()),
            (b"helicone-status", b"success" if is_success else b"failed"),
            *SAFE_ANSWER,
            *(self._turn.headers if self._turn is not None else ()),
        ]

    async def _tell(self, error: GatewayError) -> None:
        """Answers with the error in the client's own shape; it is this exchange's answer in the record too."""
        data = errors.body(error, _shape(self._visit))
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
        outcome = Outcome(
            status=self._status,
            duration_ms=self._elapsed_ms(),
            time_to_first_token_ms=self._first_token_ms,
            headers=headers.recorded(self._answer_headers or {}),
            problem=problem,
        )
        if (turn := self._turn) is not None:
            outcome = replace(outcome, notes=tuple(turn.notes), cache_hit=turn.hit, meters=turn.meters)
        if (seen := self._screening) is not None:
            outcome = replace(outcome, notes=(*outcome.notes, *seen.notes), threat=seen.threat)
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
        is_stuck = self._sending_since is not None and moment - self._sending_since > patience
        if is_stuck and self._task is not None and not self._is_given_up:
            self._is_given_up = True
            self._task.cancel()


class _Down:
    """Sees the answer pass."""

    def __init__(self, passage: Passage) -> None:
        self.take = passage.came
        self.settle = passage.settle


class _Up:
    """Sees the request's body pass."""

    def __init__(self, capture: Capture | None) -> None:
        self._capture = capture

    def take(self, chunk: bytes) -> None:
        if self._capture is not None:
            self._capture.request.take(chunk)

    async def settle(self) -> None:
        if self._capture is not None:
            await self._capture.settle()


def request_framing(found: Mapping[str, str]) -> tuple[Framing, bool]:
    """How the client frames its body, and whether there is none."""
    if "transfer-encoding" in found:
        return Framing(is_chunked=True), False
    length = found.get("content-length")
    if length is None:
        return Framing(), True
    return Framing(length=int(length)), int(length) == 0


def _shape(visit: Visit) -> errors.Shape:
    """Anthropic's for who speaks to Anthropic, AWS's for its SDKs, OpenAI's for everybody else."""
    provider = visit.route.provider
    if provider is not None and provider.aws_service:
        return "aws"
    is_anthropic = "anthropic-version" in visit.headers or (provider is not None and provider.slug == "anthropic")
    return "anthropic" if is_anthropic else "openai"


def _country(found: Mapping[str, str]) -> str | None:
    """Two letters a proxy in front has found out; XX and T1 (Tor) say nothing."""
    code = found.get("cf-ipcountry", "").upper()
    return code if len(code) == 2 and code.isalpha() and code != "XX" else None
