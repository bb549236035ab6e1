"""Who rests, as each `edge` process tells it in Redis for pages to show. Health itself is each process's own.

    helicone:h:<edge>   what that process says, for SAID_SECONDS        helicone:hs   which processes speak
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from gateway_app.guard import Guard
from gateway_app.health import Health
from gateway_app.redis_pipe import RedisError, Script

LOOK_SECONDS: Final = 0.5
SAY_SECONDS: Final = 5.0
"""A process says something at least so often."""
SAID_SECONDS: Final = 20
"""It is gone that was silent for longer: three of its words were missed."""
MOST_TOLD: Final = 500
EDGES: Final = "helicone:hs"
PREFIX: Final = "helicone:h:"
SAY: Final = Script("""
local now = tonumber(redis.call('TIME')[1])
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[3]))
redis.call('EXPIRE', KEYS[2], ARGV[3])
""")


@dataclass(frozen=True, slots=True)
class Resting:
    """A target, or a model there, that some processes pass over. Times in seconds since 1970."""

    target: str
    model: str
    """Empty: whatever is asked of it."""
    is_stream: bool
    since: float
    until: float
    """The last of them tries it again with the next call after this."""
    why: str
    edges: int


class Known(NamedTuple):
    edges: int
    """Processes that have spoken lately."""
    resting: tuple[Resting, ...]


def said(health: Health) -> bytes:
    """What this process says, with times everybody can read."""
    ahead = time.time() - health.clock()
    newest = sorted(health.resting(), key=lambda rest: rest.until, reverse=True)[:MOST_TOLD]
    return orjson.dumps([
        {"of": rest.place.organization_id, "target": rest.place.target, "model": rest.place.model,
         "stream": rest.place.is_stream, "since": rest.since + ahead, "until": rest.until + ahead, "why": rest.why}
        for rest in newest
    ])  # fmt: skip


def read(words: Sequence[bytes], organization_id: int) -> Known:
    """What one organization may know of what the processes say. Raises ValueError, KeyError for what no edge says."""
    found: dict[tuple[str, str, bool], list[dict[str, Any]]] = {}
    for word in words:
        for one in orjson.loads(word):
            if one["of"] == organization_id:
                found.setdefault((one["target"], one["model"], one["stream"]), []).append(one)
    resting = [
        Resting(
            *place, min(one["since"] for one in told), max(one["until"] for one in told),
            max(told, key=lambda one: one["until"])["why"], len(told),
        )
        for place, told in found.items()
    ]  # fmt: skip
    return Known(len(words), tuple(sorted(resting, key=lambda rest: (rest.target, rest.model, rest.is_stream))))


async def tell(health: Health, guard: Guard) -> None:
    """Runs beside the gateway. Redis away is nothing: pages say then that they do not know."""
    name, version, told_at = secrets.token_hex(8), -1, 0.0
    while True:
        if health.version != version or time.monotonic() - told_at >= SAY_SECONDS:
            version, told_at = health.version, time.monotonic()
            try:
                await guard.call(SAY, [PREFIX + name, EDGES], [name, said(health), SAID_SECONDS])
            except RedisError:
                version = -1
        await asyncio.sleep(LOOK_SECONDS)
