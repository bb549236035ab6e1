"""What the requests of one process share on their way through the gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import NamedTuple, Protocol

from accounts_app.secrets import Keyring
from accounts_app.snapshot import Keeper
from gateway_app import screens
from gateway_app.asking import Desk
from gateway_app.capture import Capture, Counts, Outcome
from gateway_app.google_tokens import Tokens
from gateway_app.guard import Guard, Options
from gateway_app.health import Health
from gateway_app.relay import Receive, Scope, Send
from gateway_app.routes import Route
from gateway_app.shelf import Shelf
from gateway_app.upstream import Pool
from ingest_app.directives import Directives
from ingest_app.spool import Writer
from lib.frozen import dataclass
from llm import providers

FLUSH_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator has set."""

    requires_key: bool = True
    capture_max_bytes: int = 64 * 2**20
    silence_seconds: float = 600
    """A client that takes nothing of its answer for so long has gone."""
    provider_urls: Mapping[str, str] = field(default_factory=dict)
    slow_seconds: float = 0.0
    """An answer that has not begun after so long is slow; 0: after four times what is usual."""


class Visit(NamedTuple):
    """A request as it came in, read."""

    scope: Scope
    receive: Receive
    send: Send
    route: Route
    headers: Mapping[str, str]
    directives: Directives


class Live(Protocol):
    """A request on its way."""

    def look(self, moment: float) -> None:
        """Called from time to time, by the monotonic clock."""


class House:
    """`run` must be running: it brings a stream's newest bytes to the spool each second."""

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
        self.tokens = Tokens(pool)
        self.health = Health(ceiling=policy.slow_seconds)
        self.screens_options = screens_options
        self.keyring = keyring
        self.desk = Desk(pool, spool, self.shelf, self.counts, policy.capture_max_bytes, self._defer)
        self._live: set[Live] = set()
        self._deferred: set[asyncio.Future[None]] = set()
        providers.all_providers()  # a file that cannot be used stops the start, and not the first call

    def grants(self, visit: Visit) -> bool:
        """Whether a page of another origin calls, and may read the answer."""
        return "origin" in visit.headers and self.policy.requires_key

    def watch(self, passage: Live) -> None:
        self._live.add(passage)

    def close(self, passage: Live, capture: Capture, outcome: Outcome) -> None:
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
