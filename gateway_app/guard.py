"""What stands between a request with policies and its call: the cache, its limits, and who asks for the same thing.

    draw  ─▶ which limits, budgets and session it counts for, and what it may cost
    enter ─▶ the same is being asked here: wait for that answer
          ─▶ ONE script: a kept answer? else is another process asking? else limits, budgets, session: all or none
    leave ─▶ ONE script: keep the answer, or give the place up

Redis away or slow is a miss; limits and budgets are then open or closed, as the operator has set.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

import zstandard

from alerts_app.segments import Facts
from gateway_app import cache, limits, scripts, sessions, spending
from gateway_app.cache import Entry, Question
from gateway_app.connection import Headers
from gateway_app.errors import (
    BUDGETS_AWAY,
    LIMITS_AWAY,
    BudgetsUnreachable,
    GatewayError,
    LimitsUnreachable,
    RateLimited,
)
from gateway_app.limits import Limit
from gateway_app.policies import READ_BYTES, SESSION_ERROR_HEADER, CacheRules, Policies
from gateway_app.redis_pipe import Pipe, RedisAway, RedisError
from gateway_app.scripts import Said
from gateway_app.sessions import Bounded
from gateway_app.spending import Asking, Count, Draw
from ingest_app.directives import Directives
from lib.frozen import dataclass
from llm.exchange import CacheHit, Hold, Meter, Problem

PLACE_MS: Final = 6000
"""Another process waits so long for an asker that says nothing more (it was killed)."""
RENEW_SECONDS: Final = 2.0
LOOK_SECONDS: Final = (0.02, 0.05, 0.1, 0.2)
"""How often one looks whether another process has its answer."""
NO_CACHE: Final = CacheRules(reads=False, saves=False)
INLINE_BYTES: Final = 64 * 1024
"""A larger reply is read and compressed beside the event loop."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator has set."""

    cache_max_bytes: int = 64 * 2**20
    """Of compressed replies in Redis, all organizations together."""
    reply_max_bytes: int = 2 * 2**20
    """A longer reply is not kept."""
    is_open_without_redis: bool = True
    """Limits and bounds of sessions; budgets have their own word."""
    are_budgets_open: bool = True
    """Also while Redis has been emptied and not yet told again what is spent."""
    output_tokens: int = spending.DEFAULT_OUTPUT_TOKENS
    """A call is taken to answer with where it sets no bound itself."""


class Flight:
    """A call under way that others wait for. Lands once, with its answer or without."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.landed: asyncio.Future[Entry | None] = asyncio.get_running_loop().create_future()
        self.is_shareable = True
        """False where its answer is no use to others: they need not ask one after the other."""

    def land(self, entry: Entry | None) -> None:
        if not self.landed.done():
            self.landed.set_result(entry)


class Guard:
    """One a process. `run` must be running."""

    def __init__(self, pipe: Pipe | None, options: Options) -> None:
        self.pipe = pipe
        self.options = options
        self.flights: dict[str, Flight] = {}
        self.places: dict[str, str] = {}
        """Who asks, by the name of what is asked for in this process and must not be asked for in another."""
        self._late: set[asyncio.Task[None]] = set()

    def call(
        self, script: Any, keys: Sequence[Any], args: Sequence[Any], *, lasting: tuple[str, ...] = ()
    ) -> Awaitable[Any]:
        """To be awaited. Raises RedisError, then or at once."""
        if self.pipe is None:
            raise RedisAway("There is no Redis.")
        return self.pipe.call(script, keys, args, lasting=lasting)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def run(self) -> None:
        if self.pipe is None:
            return
        renewing = asyncio.create_task(self._renew())
        try:
            await self.pipe.run()
        finally:
            renewing.cancel()

    async def settled(self) -> None:
        """Returns when what was to be kept is kept."""
        await asyncio.gather(*self._late, return_exceptions=True)
        if self.pipe is not None:
            self.pipe.close()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for name, token in list(self.places.items()):
                self.later(self.release(name, token, ms=PLACE_MS))

    async def release(self, name: str, token: str, *, ms: int = 0) -> None:
        try:
            await self.call(scripts.RELEASE, [_key(name)], [token, ms])
        except RedisError:
            return


class Turn:
    """One request's. `enter`, then `take` what comes, then `leave`, whatever happened."""

    def __init__(
        self, guard: Guard, policies: Policies, *, organization_id: int, request_id: UUID, key_id: int, provider: str
    ) -> None:
        self._guard = guard
        self._policies = policies
        self._rules = policies.cache or NO_CACHE
        self._organization_id = organization_id
        self._id = request_id
        self._key_id = key_id
        self._provider = provider
        self._loop = asyncio.get_running_loop()
        self._name = ""
        self._flight: Flight | None = None
        self._token = ""
        self._holds_place = False
        self._has_left = False
        self._limits: list[Limit] = []
        self._draws: list[Draw] = []
        self._session: Bounded | None = None
        self._bounded: Bounded | None = None
        """The session, where Redis counts for it."""
        self._unpriced = ""
        """The model no price is known for."""
        self._estimate = 0
        self._question: Question | None = None
        """Where its answer may be kept."""
        self._kept: list[bytes] | None = None
        self._kept_bytes = 0
        self.headers: Headers = []
        """For the client."""
        self.notes: list[Problem] = []
        self.hit: CacheHit | None = None
        self.meters: tuple[Meter, ...] = ()
        self.holds: tuple[Hold, ...] = ()
        """Where money may be held for it."""

    def draw(self, question: Question, directives: Directives) -> None:
        """Which limits, budgets and session the request counts for. Touches nothing yet."""
        self._draw_limits(question, directives)
        asking = self._draw_stored(question, directives)
        self._bounded = self._session if self._session is not None and self._policies.caps.is_counted else None
        self.holds = tuple([one.hold for one in (*self._draws, self._bounded) if one is not None])
        if (rules := self._policies.cache) is not None:
            told = asking.body if asking is not None and asking.is_whole else None
            self._question = question
            self._name = cache.name_of(question, seed=rules.seed, ignored=rules.ignored, told=told)

    async def enter(self) -> Entry | None:
        """The kept answer, or None where the call may be made. Raises RateLimited, LimitsUnreachable."""
        try:
            if self._session is not None and (stopped := self._session.look()) is not None:
                raise self._told(stopped)
            rules = self._rules
            is_single = rules.reads and rules.saves and rules.slots == 1
            entry, slot = await (self._ask_together() if is_single else self._ask())
        except BaseException:
            self.leave()
            raise
        if entry is None:
            if self._rules.reads:
                self.headers.append((b"helicone-cache", b"MISS"))
            self._kept = [] if self._rules.saves else None
            return None
        self.hit = CacheHit(entry.original, entry.latency_ms)
        self.headers += [
            (b"helicone-cache", b"HIT"), (b"helicone-cache-bucket-idx", b"%d" % slot),
            (b"helicone-cache-latency", b"%d" % entry.latency_ms),
        ]  # fmt: skip
        return entry

    def take(self, chunk: bytes) -> None:
        """A part of the provider's answer."""
        if self._kept is None:
            return
        self._kept_bytes += len(chunk)
        if self._kept_bytes > self._guard.options.reply_max_bytes:
            self._kept = None
            return
        self._kept.append(chunk)

    def lost(self) -> None:
        """From any thread: nobody will tell the line of this call, so its estimate stands for its cost."""
        if self.holds:
            self._loop.call_soon_threadsafe(lambda: self._guard.later(self._settle()))

    def leave(self, status: int = 0, headers: Headers | None = None, *, latency_ms: int = 0) -> None:
        """`status` and `headers` of an answer that came whole, or the status of a failure; 0 where the client went
        away before there was either. Twice is once."""
        if self._has_left:
            return
        self._has_left = True
        kept, self._kept = self._kept, None
        if status != 200 or kept is None:
            self._close(None, status)
            return
        judge = partial(self._entry, b"".join(kept), headers or [], latency_ms)
        if self._kept_bytes <= INLINE_BYTES:
            self._close(judge(), status)
        else:
            self._guard.later(self._close_long(judge, status))

    async def _close_long(self, judge: Callable[[], Entry | None], status: int) -> None:
        """Megabytes are not read while others wait."""
        entry = None
        try:
            entry = await asyncio.to_thread(judge)
        finally:
            self._close(entry, status)

    def _close(self, entry: Entry | None, status: int) -> None:
        """Who waits has it, and it is kept."""
        if self._flight is not None:
            self._flight.is_shareable = entry is not None or not status
        self._share(entry)
        if entry is None:
            self._give_place_up()
            return
        if self._holds_place:  # saving gives it up
            self._holds_place = False
            self._guard.places.pop(self._name, None)
        self._guard.later(self._save(entry, self._token))

    def step_aside(self) -> None:
        """Its client is slow to take the answer: others need not wait for that. It may still be kept in the end."""
        self._share(None)
        self._give_place_up()

    def _give_place_up(self) -> None:
        if self._holds_place:
            self._holds_place = False
            self._guard.places.pop(self._name, None)
            self._guard.later(self._guard.release(self._name, self._token))

    # --- before -----------------------------------------------------------------------------------------------------

    def _draw_stored(self, question: Question, directives: Directives) -> Asking | None:
        """What the organization has set. Answers the request as it was read for that; None where nothing is set."""
        asks, told = self._policies, directives.attribution
        if asks.session_complaint:
            self.headers.append((SESSION_ERROR_HEADER, asks.session_complaint.encode("ascii", "replace")))
        if asks.lacks_session:
            self.notes.append(Problem("session_bounds_without_session"))
        if not (asks.rules or asks.budgets or asks.caps):
            return None
        length = question.headers.get("content-length", "")
        is_long = length.isdecimal() and int(length) > READ_BYTES
        unread = int(length) - len(question.body) if is_long else 0
        asking = spending.read(question.url, question.body, told, unread=unread)
        if asks.has_money:
            found = spending.estimate(
                asking, asks.prices, provider=self._provider, organization_id=self._organization_id, attribution=told,
                default_tokens=self._guard.options.output_tokens,
            )  # fmt: skip
            self._estimate = found.nano_usd or 0
            self._unpriced = (asking.model or "this call") if found.nano_usd is None else ""
        facts = spending.facts(asking, told, self._key_id)
        self._limits += [limit for rule in asks.rules if (limit := limits.of_rule(rule, facts)) is not None]
        self._draws = spending.drawn(asks.budgets, facts, self._estimate)
        self._bound_session(facts, directives, asking.body)
        if not self._draws and asks.caps.max_cost_nano_usd is None:
            self._unpriced = ""
        if self._unpriced:
            self.notes.append(Problem("budget_without_price", self._unpriced))
        return asking

    def _bound_session(self, facts: Facts, directives: Directives, body: Mapping[str, Any]) -> None:
        if self._policies.caps and facts.session_id is not None:
            self._session = sessions.bounded(
                self._organization_id, facts.session_id, self._policies.caps,
                path=directives.attribution.session_path, body=body, estimate=self._estimate,
            )  # fmt: skip

    def _draw_limits(self, question: Question, directives: Directives) -> None:
        """Which buckets the request draws from by what it says itself."""
        if self._policies.complaint:
            self.headers.append((limits.ERROR_HEADER, self._policies.complaint.encode("ascii", "replace")))
        for policy in self._policies.limits:
            limit = limits.of_request(self._organization_id, policy, directives, question.body)
            if limit is not None:
                self._limits.append(limit)
                continue
            reason = f"this request names no {policy.segment}"
            self.notes.append(Problem("limit_without_segment", policy.text))
            self.headers.append((b"helicone-ratelimit-policy", policy.text.encode()))
            self.headers.append((limits.ERROR_HEADER, reason.encode()))

    async def _ask_together(self) -> tuple[Entry | None, int]:
        """As `_ask`; who gets no kept answer asks the provider, and others wait for him."""
        is_single = True
        while is_single and (flight := self._guard.flights.get(self._name)) is not None:
            entry = await asyncio.shield(flight.landed)
            if entry is not None:
                return entry, 0
            is_single = flight.is_shareable
        if is_single:
            self._token = secrets.token_hex(8)
            self._flight = self._guard.flights[self._name] = Flight(self._name)
        return await self._ask()

    async def _ask(self) -> tuple[Entry | None, int]:
        """A kept answer and its slot."""
        slots, looks = self._rules.slots if self._rules.reads else 0, 0
        try:
            while slots or self._counts:
                reply = await self._before(slots)
                if isinstance(reply, bytes):
                    self._count(scripts.read(reply))
                    break
                if reply[0] == b"hit":
                    if (entry := _read(reply[2])) is not None:
                        self._share(entry)
                        return entry, int(reply[1])
                    slots = 0
                else:
                    await asyncio.sleep(LOOK_SECONDS[min(looks, len(LOOK_SECONDS) - 1)])
                    looks += 1
        except RedisError:
            self._without_redis()
        return None, 0

    @property
    def _counts(self) -> bool:
        return bool(self._limits or self._draws or self._bounded)

    def _before(self, slots: int) -> Awaitable[Any]:
        session, options, at = self._bounded, self._guard.options, time.time()
        lasting = [one.key for one in self._limits]
        for draw in self._draws:
            lasting += draw.keys
        own = () if session is None else (session.hold.spent, session.hold.holds)
        args = scripts.before(
            str(self._id), slots=slots, pick=random.randrange(2**30) if slots > 1 else 0, token=self._token,  # noqa: S311
            ms=PLACE_MS, is_closed=not options.are_budgets_open,
            limits=[one.numbers for one in self._limits],
            budgets=[(draw.numbers(at), draw.value) for draw in self._draws],
            session=None if session is None else (session.numbers, session.tools),
        )  # fmt: skip
        return self._guard.call(scripts.BEFORE, (*own, _key(self._name)), args, lasting=tuple(lasting))

    def _share(self, entry: Entry | None) -> None:
        """With who waits for it here."""
        flight, self._flight = self._flight, None
        if flight is not None:
            self._guard.flights.pop(flight.name, None)
            flight.land(entry)

    def _count(self, said: Said) -> None:
        """Limits, budgets and session have been asked. Raises what they say."""
        if self._limits:
            self.headers += limits.headers_of(self._limits, said.tokens)
        if said.is_refused:
            raise self._refusal(said, spending.counts(said.budgets))
        if self._unpriced or not spending.are_quiet(self._draws, said.budgets):
            self._warn(spending.counts(said.budgets))
        self.meters = tuple([limit.meter() for limit in self._limits if limit.policy.unit == "cents"])
        if self._token:
            self._holds_place = True
            self._guard.places[self._name] = self._token

    def _warn(self, counts: Sequence[Count]) -> None:
        self.headers += spending.warnings(self._draws, counts, is_unpriced=self._unpriced)
        if not all(count.is_known for count in counts):
            self.notes.append(Problem("budgets_not_known_yet"))

    def _refusal(self, said: Said, counts: Sequence[Count]) -> GatewayError:
        which, number = said.which, said.number - 1
        if which == "unknown":
            self.notes.append(Problem("budgets_not_known_yet"))
            return BudgetsUnreachable("What is spent is being counted anew. Try again in a moment.")
        if which == "limit":
            error: RateLimited = limits.refusal(self._limits[number], said.tokens[number])
        elif which == "budget":
            error = spending.refusal(self._draws[number], counts[number])
        else:
            assert self._session is not None
            error = self._session.refusal(which, said.session)
        return self._told(error)

    def _told(self, error: RateLimited) -> RateLimited:
        """The client is told what it was in a header too, and not to try again by itself what will not pass."""
        self.headers.append((b"x-helicone-error", error.code.encode()))
        if error.is_final:
            self.headers.append((b"x-should-retry", b"false"))
        return error

    def _without_redis(self) -> None:
        if self._rules.reads:
            self.notes.append(Problem("cache_unreachable"))
        options = self._guard.options
        if self._limits or self._bounded:
            self.notes.append(Problem("limits_unreachable"))
            self.headers.append((limits.ERROR_HEADER, b"Redis did not answer, so the limit could not be looked at"))
            if not options.is_open_without_redis:
                raise LimitsUnreachable(LIMITS_AWAY)
        if self._draws:
            self.notes.append(Problem("budgets_unreachable"))
            said = b"Redis did not answer, so budgets could not be looked at"
            self.headers.append((spending.WARNING_HEADER, said))
            if not options.are_budgets_open and any(draw.budget.is_hard for draw in self._draws):
                raise BudgetsUnreachable(BUDGETS_AWAY)

    # --- after ------------------------------------------------------------------------------------------------------

    def _entry(self, body: bytes, headers: Headers, latency_ms: int) -> Entry | None:
        """The answer as it may be kept."""
        if self._question is None or not cache.is_whole_answer(self._question, headers, body):
            return None
        return Entry(self._id, latency_ms, cache.replayable(headers), body)

    async def _settle(self) -> None:
        keys = [key for hold in self.holds for key in (hold.spent, hold.holds)]
        try:
            await self._guard.call(scripts.SETTLE, keys, [str(self._id), self._estimate] * len(self.holds))
        except RedisError:
            return

    async def _save(self, entry: Entry, token: str) -> None:
        rules, most = self._rules, self._guard.options.cache_max_bytes
        packed = entry.packed() if len(entry.body) <= INLINE_BYTES else await asyncio.to_thread(entry.packed)
        keys = [_key(self._name), "helicone:ci", "helicone:cb"]
        try:
            await self._guard.call(scripts.SAVE, keys, [rules.slots, packed, rules.ttl, most, token])
        except RedisError:
            return


def _key(name: str) -> str:
    return f"helicone:c:{name}"


def _read(packed: bytes) -> Entry | None:
    """None for what cannot be read, as nothing was kept."""
    try:
        return cache.unpacked(packed)
    except (ValueError, KeyError, IndexError, zstandard.ZstdError):
        return None
