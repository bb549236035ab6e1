"""How well targets answer, in this process: what failed lately weighs most.

A target that fails most of its calls is passed over for a while where there is another; then one call tries it. Only
what says something of the target counts: 5xx and lost connections, not what a caller's key or quota brings about.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from lib.frozen import dataclass

HALF_LIFE: Final = 30.0
"""Seconds after which a call weighs half."""
ENOUGH: Final = 3.5
"""Weight of calls below which nothing is concluded."""
TOO_MANY: Final = 0.5
"""Share of failed ones at which a target is passed over."""
REST: Final = 15.0
"""Seconds it is passed over before it is tried again."""
MOST_TARGETS: Final = 2_000


@dataclass(slots=True)
class State:
    calls: float = 0.0
    failed: float = 0.0
    at: float = 0.0
    rests_until: float = 0.0
    is_resting: bool = False

    def fade(self, now: float) -> None:
        faded = 0.5 ** ((now - self.at) / HALF_LIFE)
        self.calls, self.failed, self.at = self.calls * faded, self.failed * faded, now


class Health:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[str, State] = {}

    def note(self, target: str, *, is_failure: bool) -> None:
        """How a call ended."""
        state = self._states.get(target)
        now = self._clock()
        if state is None:
            if len(self._states) >= MOST_TARGETS:
                del self._states[next(iter(self._states))]
            state = self._states[target] = State(at=now)
        state.fade(now)
        state.calls += 1
        if not is_failure:
            if state.is_resting:
                state.calls, state.failed, state.is_resting = 1.0, 0.0, False
            return
        state.failed += 1
        if state.is_resting or (state.calls >= ENOUGH and state.failed >= TOO_MANY * state.calls):
            state.is_resting, state.rests_until = True, now + REST

    def may_try(self, target: str) -> bool:
        """False while the target rests. After that True once, for the call that tries it; others wait for its end."""
        state = self._states.get(target)
        if state is None or not state.is_resting:
            return True
        now = self._clock()
        if now < state.rests_until:
            return False
        state.rests_until = now + REST
        return True
