"""One small supervisor: starts children in order, restarts the dead with back-off, stops all, leaves no orphan.

It imports nothing but the standard library and `lib`, so that it costs little, and has one thread, so that it may fork.
A child's lines are printed behind its name.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from lib.processes import Program, Watchdog, end, spawn

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
STABLE_SECONDS = 30.0
"""Who has run for this long gets its next restart as quickly as a first one."""
POLL_SECONDS = 0.03
"""While something starts or stops."""
TICK_SECONDS = 1.0
LONGEST_LINE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Child:
    """What to run, and how it is known to be ready and made to stop.

    `is_ready` is asked with its pid. `runs_once`: it must end with 0 before what comes after it starts. `must_start`:
    it is given up, and with it everything, when it dies so often before it was ever ready. `may_end`: when it ends
    with 0 it is done, and nobody waits for that.
    """

    name: str
    program: Program
    is_ready: Callable[[int], bool] = lambda _pid: True
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10.0
    last_resort: signal.Signals = signal.SIGKILL
    runs_once: bool = False
    must_start: int | None = None
    may_end: bool = False


@dataclass(slots=True)
class _State:
    """A child as it is now."""

    child: Child
    pid: int | None = None
    started_at: float = 0.0
    due_at: float | None = None
    pause: float = FIRST_PAUSE_SECONDS
    deaths: int = 0
    was_ready: bool = False
    is_done: bool = False
    pipe: int | None = None
    rest: bytes = b""


@dataclass(slots=True)
class Supervisor:
    """Runs `stages`, each a list of children that start together once all of the stage before are ready.

    `on_ready` is called once, when all are. `on_tick` every second with (name, pid) of each running child.
    """

    stages: Sequence[Sequence[Child]]
    on_ready: Callable[[], None] = lambda: None
    on_tick: Callable[[str, int], None] = lambda _name, _pid: None
    with_watchdog: bool = sys.platform != "linux"
    out: TextIO = field(default_factory=lambda: sys.stdout)
    _states: list[_State] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _stage: int = -1
    _ticked_at: float = 0.0
    _stop_requests: int = 0
    _failure: str = ""
    _watchdog: Watchdog | None = None

    def run(self) -> int:
        """Until asked to stop (0) or something cannot start (1)."""
        self._watchdog = Watchdog() if self.with_watchdog else None
        with self._listening_to_signals():
            self._open_next_stage()
            while not self._stop_requests and not self._failure:
                self._turn()
            self._stop_all()
        if self._watchdog:
            self._watchdog.close()
        if self._failure:
            self._say("up", self._failure)
        return 1 if self._failure else 0

    # --- going on ---

    def _turn(self) -> None:
        self._wait()
        self._reap()
        self._start_due()
        self._advance()
        self._tick()

    def _advance(self) -> None:
        if self._stage >= len(self.stages) or not all(self._has_come_up(state) for state in self._states):
            return
        self._open_next_stage()

    def _open_next_stage(self) -> None:
        self._stage += 1
        if self._stage < len(self.stages):
            for child in self.stages[self._stage]:
                state = _State(child)
                self._states.append(state)
                self._start(state)
        else:
            self.on_ready()

    def _has_come_up(self, state: _State) -> bool:
        if state.was_ready or state.is_done:
            return True
        if state.child.runs_once or state.pid is None:
            return False
        state.was_ready = state.child.is_ready(state.pid)
        return state.was_ready

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._ticked_at < TICK_SECONDS:
            return
        self._ticked_at = now
        for state in self._states:
            if state.pid is not None:
                self.on_tick(state.child.name, state.pid)

    # --- children ---

    def _start(self, state: _State) -> None:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        state.pid = spawn(state.child.program, output=writing, watchdog=self._watchdog)
        os.close(writing)
        state.pipe, state.rest = reading, b""
        state.started_at, state.due_at = time.monotonic(), None
        self._selector.register(reading, selectors.EVENT_READ, state)

    def _start_due(self) -> None:
        now = time.monotonic()
        for state in self._states:
            if state.due_at is not None and now >= state.due_at:
                self._start(state)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for state in self._states:
                if state.pid == pid:
                    self._bury(state, os.waitstatus_to_exitcode(status))

    def _bury(self, state: _State, code: int) -> None:
        """After a child's end: what it left in its process group goes too, and its next life is planned."""
        pid, state.pid = state.pid, None
        if pid is not None:
            end(pid, signal.SIGKILL)
            if self._watchdog:
                self._watchdog.remove(pid)
        self._drain(state)
        if self._stop_requests or self._failure:
            return
        if state.child.runs_once:
            self._finish(state, code)
        else:
            self._plan_restart(state, code)

    def _finish(self, state: _State, code: int) -> None:
        state.is_done = code == 0
        if code != 0:
            self._failure = f"{state.child.name} failed ({_ending(code)}); its last lines above say why."

    def _plan_restart(self, state: _State, code: int) -> None:
        if code == 0 and state.child.may_end:
            state.is_done = True
            return
        now = time.monotonic()
        if now - state.started_at >= STABLE_SECONDS:
            state.pause = FIRST_PAUSE_SECONDS
        state.deaths += 1
        limit = state.child.must_start
        if limit is not None and not state.was_ready and state.deaths >= limit:
            self._failure = f"{state.child.name} does not start ({_ending(code)}); its last lines above say why."
            return
        self._say("up", f"{state.child.name} ended ({_ending(code)}); it starts again in {state.pause:.1f} s")
        state.due_at = now + state.pause
        state.pause = min(state.pause * 2, LONGEST_PAUSE_SECONDS)

    # --- stopping ---

    def _stop_all(self) -> None:
        """The last started first; a second signal ends everybody's patience."""
        if not self._failure:
            self._say("up", "stopping; asked once more, it ends everything at once")
        for state in reversed(self._states):
            if state.pid is not None:
                end(state.pid, state.child.stop_signal)
                self._await_end(state)

    def _await_end(self, state: _State) -> None:
        until = time.monotonic() + state.child.grace_seconds
        while state.pid is not None and time.monotonic() < until and self._stop_requests < 2:
            self._wait()
            self._reap()
        if state.pid is None:
            return
        self._say("up", f"{state.child.name} did not stop in time and is ended")
        end(state.pid, state.child.last_resort)
        until = time.monotonic() + 5
        while state.pid is not None:
            if time.monotonic() > until:
                end(state.pid, signal.SIGKILL)
            self._wait()
            self._reap()

    # --- what comes in ---

    @contextlib.contextmanager
    def _listening_to_signals(self) -> Iterator[None]:
        """Signals wake the loop through a pipe; SIGCHLD only wakes it."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        old = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        handlers = {n: signal.signal(n, self._on_stop) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(reading, selectors.EVENT_READ, None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _on_stop(self, number: int, _frame: object) -> None:
        self._stop_requests += 1

    def _wait(self) -> None:
        """Until something happens, a restart is due, or it is time to look again."""
        for key, _ in self._selector.select(self._patience()):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 4096)
            else:
                self._read(key.data)

    def _patience(self) -> float:
        if self._stage < len(self.stages) or self._stop_requests or self._failure:
            return POLL_SECONDS
        now = time.monotonic()
        dues = [state.due_at - now for state in self._states if state.due_at is not None]
        return max(0.0, min([TICK_SECONDS, *dues]))

    def _read(self, state: _State) -> bool:
        """Prints what the child has said, by whole lines; False when there is nothing now."""
        if state.pipe is None:
            return False
        try:
            data = os.read(state.pipe, LONGEST_LINE)
        except BlockingIOError:
            return False
        if not data:
            self._close_pipe(state)
            return False
        *lines, state.rest = (state.rest + data).split(b"\n")
        if len(state.rest) > LONGEST_LINE:
            lines, state.rest = [*lines, state.rest], b""
        for line in lines:
            self._say(state.child.name, line.decode(errors="replace"))
        return True

    def _drain(self, state: _State) -> None:
        while self._read(state):
            pass
        self._close_pipe(state)

    def _close_pipe(self, state: _State) -> None:
        if state.pipe is None:
            return
        self._selector.unregister(state.pipe)
        os.close(state.pipe)
        state.pipe = None
        if state.rest:
            self._say(state.child.name, state.rest.decode(errors="replace"))
            state.rest = b""

    def _say(self, name: str, line: str) -> None:
        """A reader who has gone away stops nothing."""
        with contextlib.suppress(OSError):
            self.out.write(f"{name:<8} | {line}\n")
            self.out.flush()


def _ending(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name
