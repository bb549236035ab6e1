"""What stands between a request with policies and its call: the cache, its limits, and who asks for the same thing.

    enter ─▶ the same is being asked here: wait for that answer
          ─▶ ONE script: a kept answer? else is another process asking? else the limits
    leave ─▶ ONE script: keep the answer, or give the place up

Redis away or slow is a miss; limits are then open or closed, as the operator has set.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import zstandard

from gateway_app import cache, limits, scripts
from gateway_app.cache import Entry, Question
from gateway_app.connection import Headers
from gateway_app.errors import LimitsUnreachable
from gateway_app.limits import Limit
from gateway_app.policies import CacheRules, Policies
from gateway_app.redis_pipe import Pipe, RedisAway, RedisError
from ingest_app.directives import Directives
from llm.exchange import CacheHit, Meter, Problem

PLACE_SECONDS: Final = 6.0
"""Another process waits so long for an asker that says nothing more (it was killed)."""
RENEW_SECONDS: Final = 2.0
LOOK_SECONDS: Final = (0.02, 0.05, 0.1, 0.2)
"""How often one looks whether another process has its answer."""
INLINE_BYTES: Final = 64 * 1024
"""A larger reply is compressed beside the event loop."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator has set."""

    cache_max_bytes: int = 64 * 2**20
    """Of compressed replies in Redis, all organizations together."""
    reply_max_bytes: int = 2 * 2**20
    """A longer reply is not kept."""
    is_open_without_redis: bool = True


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

    async def call(self, script: Any, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        if self.pipe is None:
            raise RedisAway("There is no Redis.")
        return await self.pipe.call(script, keys, args)

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
                self.later(self.release(name, token, ms=int(PLACE_SECONDS * 1000)))

    async def release(self, name: str, token: str, *, ms: int = 0) -> None:
        try:
            await self.call(scripts.RELEASE, [_key(name)], [token, ms])
        except RedisError:
            return


class Turn:
    """One request's. `enter`, then `take` what comes, then `leave`, whatever happened."""

    def __init__(self, guard: Guard, policies: Policies, *, organization_id: int, request_id: UUID) -> None:
        self._guard = guard
        self._policies = policies
        self._organization_id = organization_id
        self._id = request_id
        self._name = ""
        self._flight: Flight | None = None
        self._token = ""
        self._holds_place = False
        self._limits: list[Limit] = []
        self._kept: list[bytes] | None = None
        self._kept_bytes = 0
        self.headers: Headers = []
        """For the client."""
        self.notes: list[Problem] = []
        self.hit: CacheHit | None = None
        self.meters: tuple[Meter, ...] = ()

    @property
    def _rules(self) -> CacheRules:
        return self._policies.cache or CacheRules(reads=False, saves=False)

    async def enter(self, question: Question, directives: Directives) -> Entry | None:
        """The kept answer, or None where the call may be made. Raises RateLimited, LimitsUnreachable."""
        self._draw(question, directives)
        if self._policies.cache is not None:
            self._name = cache.name_of(question, seed=self._rules.seed, ignored=self._rules.ignored)
        try:
            entry, slot = await self._ask()
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

    def leave(self, status: int = 0, headers: Headers | None = None, *, latency_ms: int = 0) -> None:
        """`status` and `headers` of an answer that came whole, or the status of a failure; 0 where the client went
        away before there was either. Twice is once."""
        entry = self._entry(headers or [], latency_ms) if status == 200 else None
        if self._flight is not None:
            self._flight.is_shareable = entry is not None or not status
        self._share(entry)
        self._kept = None
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

    def _draw(self, question: Question, directives: Directives) -> None:
        """Which buckets the request draws from."""
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

    async def _ask(self) -> tuple[Entry | None, int]:
        """A kept answer and its slot; who gets none asks the provider, and others wait for him."""
        is_single = self._rules.reads and self._rules.saves and self._rules.slots == 1
        while is_single and (flight := self._guard.flights.get(self._name)) is not None:
            entry = await asyncio.shield(flight.landed)
            if entry is not None:
                return entry, 0
            is_single = flight.is_shareable
        if is_single:
            self._token = secrets.token_hex(8)
            self._flight = self._guard.flights[self._name] = Flight(self._name)
        try:
            return await self._ask_redis()
        except RedisError:
            self._without_redis()
            return None, 0

    async def _ask_redis(self) -> tuple[Entry | None, int]:
        slots, looks = self._rules.slots if self._rules.reads else 0, 0
        while slots or self._limits:
            reply = await self._before(slots)
            if reply[0] == b"hit":
                if (entry := _read(reply[2])) is not None:
                    self._share(entry)
                    return entry, int(reply[1])
                slots = 0
            elif reply[0] == b"busy":
                await asyncio.sleep(LOOK_SECONDS[min(looks, len(LOOK_SECONDS) - 1)])
                looks += 1
            else:
                self._count(int(reply[1]), [float(told) for told in reply[2:]])
                break
        return None, 0

    async def _before(self, slots: int) -> Any:
        args: list[Any] = [slots, random.randrange(2**30), self._token, int(PLACE_SECONDS * 1000)]  # noqa: S311
        for limit in self._limits:
            args += [limit.policy.quota, limit.policy.window, limit.needs]
        return await self._guard.call(scripts.BEFORE, [_key(self._name), *(one.key for one in self._limits)], args)

    def _share(self, entry: Entry | None) -> None:
        """With who waits for it here."""
        flight, self._flight = self._flight, None
        if flight is not None:
            self._guard.flights.pop(flight.name, None)
            flight.land(entry)

    def _count(self, refused: int, tokens: Sequence[float]) -> None:
        """The limits have been asked."""
        if self._limits:
            self.headers += limits.headers_of(self._limits, tokens)
        if refused:
            self.headers.append((b"x-helicone-error", b"rate_limited"))
            raise limits.refusal(self._limits[refused - 1], tokens[refused - 1])
        self.meters = tuple(limit.meter() for limit in self._limits if limit.policy.unit == "cents")
        if self._token:
            self._holds_place = True
            self._guard.places[self._name] = self._token

    def _without_redis(self) -> None:
        if self._rules.reads:
            self.notes.append(Problem("cache_unreachable"))
        if not self._limits:
            return
        self.notes.append(Problem("limits_unreachable"))
        self.headers.append((limits.ERROR_HEADER, b"Redis did not answer, so the limit could not be looked at"))
        if not self._guard.options.is_open_without_redis:
            raise LimitsUnreachable("Rate limits cannot be looked at just now. Try again in a moment.")

    # --- after ------------------------------------------------------------------------------------------------------

    def _entry(self, headers: Headers, latency_ms: int) -> Entry | None:
        """The answer as it may be kept."""
        if self._kept is None:
            return None
        body = b"".join(self._kept)
        if not cache.is_whole_answer(cache.type_of(headers), body):
            return None
        return Entry(self._id, latency_ms, cache.replayable(headers), body)

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
