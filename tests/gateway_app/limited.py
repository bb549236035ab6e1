"""A stage with Redis for an organisation nobody has used, and what that organisation has set."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from accounts_app.keys import Speaker
from accounts_app.snapshot import Snapshot
from alerts_app import snapshot
from alerts_app.budgets import KNOWN, Budget, Period
from alerts_app.rules import SessionCaps, StoredRule
from alerts_app.segments import Segment
from gateway_app.guard import Guard, Options
from gateway_app.redis_pipe import Pipe
from helicone_site import settings
from llm.pricing import PriceBook, PriceRow
from tests.gateway_app.stage import KEY, Stage, staged

ALL, NO_CAPS = Segment(), SessionCaps()
MICRO = 1_000
"""Nano-USD. A token of `dear` costs one micro-dollar, in and out."""
PRICES = PriceBook([PriceRow(1, "", "dear", {"equals": "dear"}, {"input_mtok": "1", "output_mtok": "1"})])
_ids = itertools.count(random.randrange(10**9, 10**12))


def an_organization() -> int:
    return next(_ids)


def a_budget(organization_id: int, micro_usd: int, *, segment: Segment = ALL, **more: Any) -> Budget:
    given = {"period": Period("month"), "is_hard": True, "warn_percents": (), "name": "all", "id": next(_ids), **more}
    limit = micro_usd * MICRO
    return Budget(edition=1, organization_id=organization_id, limit_nano_usd=limit, segment=segment, **given)


def a_rule(organization_id: int, quota: float, *, segment: Segment = ALL, **more: Any) -> StoredRule:
    given = {"name": "a rule", "window": 3600, "unit": "request", "id": next(_ids), **more}
    return StoredRule(organization_id=organization_id, quota=quota, segment=segment, **given)


def known_to(organization_id: int, *, rules=(), budgets: Sequence[Budget] = (), caps=NO_CAPS, prices=PRICES):
    """A snapshot with what the organisation has set."""
    return Snapshot(1, 0.0, {
        snapshot.RULES.name: {organization_id: tuple(rules)}, snapshot.BUDGETS.name: {organization_id: tuple(budgets)},
        snapshot.SESSION_CAPS.name: {organization_id: caps}, snapshot.PRICES.name: prices,
    })


@contextlib.asynccontextmanager
async def limited(
    folder, play, organization_id: int, *, url=settings.REDIS_URL, options: Options | None = None, is_known=True, **told
) -> AsyncIterator[Stage]:
    pipe = Pipe(url, patience=5.0)
    guard = Guard(pipe, options or Options())
    async with staged(folder, play, guard_of=guard, silence_seconds=60.0) as stage:
        stage.keys.known[KEY] = Speaker(organization_id, 11, "test", "rw")
        stage.keys.current = known_to(organization_id, **told)
        for _ in range(500):
            if pipe.is_up or "nowhere" in url:
                break
            await asyncio.sleep(0.01)
        if is_known and pipe.is_up:
            for budget in told.get("budgets", ()):
                await pipe.ask("SADD", budget.values_key, KNOWN)
        yield stage


async def numbers(stage: Stage, budget: Budget, value: str = "") -> tuple[int, int]:
    """(spent, reserved) of one segment, in micro-dollars."""
    pipe = stage.gateway.guard.pipe
    assert pipe is not None
    told = await pipe.ask("HGETALL", budget.spent_key(value))
    fields = dict(zip(told[::2], map(int, told[1::2]), strict=True))
    spent = sum(worth for name, worth in fields.items() if name.isdigit())
    return spent // MICRO, fields.get(b"r", 0) // MICRO
