"""How well targets answer an organization, in this process: what came lately weighs most.

A target that fails most of its calls rests for a while, and so does a model there whose answers begin much later than
usual; both are passed over where there is another to call. Then one call tries it. Only what says something of the
target counts: 5xx and lost connections, not what a caller's key or quota brings about.

`gateway_app/resting.py` tells pages who rests.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import field
from typing import Final, NamedTuple, TypeVar

from lib.frozen import dataclass

HALF_LIFE: Final = 30.0
"""Seconds after which a call weighs half."""
ENOUGH: Final = 3.5
"""Weight of calls below which nothing is concluded."""
TOO_MANY: Final = 0.5
"""Share of bad ones at which a target rests."""
REST: Final = 15.0
"""Seconds it is passed over before it is tried again."""
MOST: Final = 5_000
"""Targets, or models there, that are remembered."""
USUAL_HALF_LIFE: Final = 1_800.0
"""The same of how long answers usually take to begin."""
USUAL_ENOUGH: Final = 10.0
SLOW_TIMES: Final = 4.0
"""An answer is slow that takes so many times as long as usual,"""
SLOW_LEAST: Final = 2.0
"""and at least so many seconds."""
Kept = TypeVar("Kept")
Named = TypeVar("Named")


class Place(NamedTuple):
    """What calls are compared with: those like them."""

    organization_id: int
    """0 where nobody is logged for."""
    target: str
    """An origin."""
    model: str = ""
    """Empty where none is named."""
    is_stream: bool = False


Key = tuple[int, str]
"""A target, whatever is asked of it: an organization and an origin."""


class Rest(NamedTuple):
    """Times by the clock of `Health`."""

    place: Place
    since: float
    until: float
    """When one call may try it; past where none has come yet."""
    why: str


@dataclass(slots=True)
class State:
    calls: float = 0.0
    bad: float = 0.0
    at: float = 0.0
    rests_since: float = 0.0
    rests_until: float = 0.0
    is_resting: bool = False
    why: str = ""

    def fade(self, now: float) -> None:
        faded = 0.5 ** ((now - self.at) / HALF_LIFE)
        self.calls, self.bad, self.at = self.calls * faded, self.bad * faded, now


@dataclass(slots=True)
class Usual:
    """The geometric mean of how long answers take to begin."""

    weight: float = 0.0
    logs: float = 0.0
    at: float = 0.0

    def take(self, seconds: float, now: float) -> None:
        faded = 0.5 ** ((now - self.at) / USUAL_HALF_LIFE)
        self.weight, self.logs, self.at = self.weight * faded + 1, self.logs * faded + math.log(max(seconds, 1e-3)), now

    def seconds(self, now: float) -> float | None:
        """None while too few were seen."""
        enough = self.weight * 0.5 ** ((now - self.at) / USUAL_HALF_LIFE) >= USUAL_ENOUGH
        return math.exp(self.logs / self.weight) if enough else None


@dataclass(slots=True)
class Health:
    clock: Callable[[], float] = time.monotonic
    ceiling: float = 0.0
    """Seconds an answer may take to begin; 0: SLOW_TIMES what is usual."""
    version: int = 0
    """Goes up whenever somebody begins to rest, is tried or has recovered."""
    _failing: dict[Key, State] = field(default_factory=dict)
    _slow: dict[Place, State] = field(default_factory=dict)
    _usual: dict[Place, Usual] = field(default_factory=dict)

    def note(self, organization_id: int, target: str, *, is_failure: bool, said: str = "") -> None:
        """How a call ended; of a failed one what was `said`. Cheap where all is well: asked of every call."""
        key = (organization_id, target)
        state = self._failing.get(key)
        if state is None or is_failure or state.is_resting:
            self._note(self._failing, key, is_bad=is_failure, said=said, calls="calls failed")
            return
        state.fade(self.clock())
        state.calls += 1

    def may_try(self, place: Place) -> bool:
        """False while it rests. After that True once, for the call that tries it; others wait for its end."""
        states = [self._failing.get(place[:2]), self._slow.get(place)]
        resting = [state for state in states if state is not None and state.is_resting]
        now = self.clock()
        if any(now < state.rests_until for state in resting):
            return False
        for state in resting:
            state.rests_until = now + REST
            self.version += 1
        return True

    def why(self, place: Place) -> str:
        """Why it rests; empty where it does not."""
        states = (self._failing.get(place[:2]), self._slow.get(place))
        return "; ".join(state.why for state in states if state is not None and state.is_resting)

    def resting(self) -> list[Rest]:
        failing = [(Place(*key), state) for key, state in self._failing.items() if state.is_resting]
        slow = [(place, state) for place, state in self._slow.items() if state.is_resting]
        return [Rest(place, state.rests_since, state.rests_until, state.why) for place, state in failing + slow]

    # --- how long answers take to begin -------------------------------------------------------------------------------

    def slow_from(self, place: Place) -> float | None:
        """Seconds after which an answer there is slow; None while nothing is known."""
        if self.ceiling:
            return self.ceiling
        usual = self._usual.get(place)
        seconds = usual.seconds(self.clock()) if usual is not None else None
        return None if seconds is None else max(SLOW_LEAST, SLOW_TIMES * seconds)

    def late(self, place: Place, limit: float) -> None:
        """An answer there has not begun after `limit` seconds."""
        usual = self._usual.get(place)
        seconds = None if usual is None or self.ceiling else usual.seconds(self.clock())
        told = f"not begun after {_words(limit)}" + ("" if seconds is None else f", usual is {_words(seconds)}")
        self._note(self._slow, place, is_bad=True, said=told, calls="answers were slow")

    def took(self, place: Place, seconds: float, *, is_late: bool) -> None:
        """An answer there began after so many seconds; of one that was `late` only that is new."""
        if not is_late:
            self._note(self._slow, place, is_bad=False, said="", calls="")
        limit = self.slow_from(place) or seconds  # however long one hung, it moves what is usual no further
        self._of(self._usual, place, Usual).take(min(seconds, limit), self.clock())

    def timed(self, place: Place) -> Timed:
        return Timed(self, place)

    # --- both ---------------------------------------------------------------------------------------------------------

    def _note(self, states: dict[Named, State], place: Named, *, is_bad: bool, said: str, calls: str) -> None:
        now = self.clock()
        state = self._of(states, place, State)
        state.fade(now)
        state.calls += 1
        if not is_bad:
            if state.is_resting:
                state.calls, state.bad, state.is_resting = 1.0, 0.0, False
                self.version += 1
            return
        state.bad += 1
        if not state.is_resting and state.calls >= ENOUGH and state.bad >= TOO_MANY * state.calls:
            state.is_resting, state.rests_since = True, now
        if state.is_resting:
            share = f"{100 * state.bad / state.calls:.0f}% of the latest {calls}"
            state.rests_until, state.why = now + REST, f"{share}; the last: {said}" if said else share
            self.version += 1

    @staticmethod
    def _of(known: dict[Named, Kept], place: Named, make: Callable[[], Kept]) -> Kept:
        found = known.get(place)
        if found is None:
            if len(known) >= MOST:
                del known[next(iter(known))]
            found = known[place] = make()
        return found


def _words(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


class Timed:
    """A call under way: slow as soon as it takes too long, not only when it has come."""

    def __init__(self, health: Health, place: Place) -> None:
        self._health = health
        self._place = place
        self._started = health.clock()
        self._is_late = False
        limit, self._timer = health.slow_from(place), None
        if limit is not None:
            self._timer = asyncio.get_running_loop().call_later(limit, self._late, limit)

    def _late(self, limit: float) -> None:
        self._is_late = True
        self._health.late(self._place, limit)

    def ends(self, status: int = 0) -> None:
        """With an answer's status, or without one. An error says nothing of how long answers take."""
        if self._timer is not None:
            self._timer.cancel()
        if 200 <= status < 300:
            self._health.took(self._place, self._health.clock() - self._started, is_late=self._is_late)
