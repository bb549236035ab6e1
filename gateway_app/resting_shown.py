"""Who rests, for a page."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import redis
from django.conf import settings

from gateway_app import resting
from gateway_app.resting import Known, Resting
from lib.clock import from_microseconds, now
from llm import providers

log = logging.getLogger("gateway")
PATIENCE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    rest: Resting
    words: str
    """The provider's name where one is at that address."""
    since: datetime
    until: datetime
    is_due: bool
    """The next call tries it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """`edges` None where Redis did not say."""

    edges: int | None
    lines: tuple[Line, ...] = ()


def of(organization_id: int) -> Shown:
    try:
        known = _known(organization_id)
    except (redis.RedisError, OSError, ValueError, KeyError, TypeError) as error:
        log.warning("resting_unknown reason=%s", error)
        return Shown(None)
    return Shown(known.edges, tuple(map(_line, known.resting)))


def _known(organization_id: int) -> Known:
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
    )
    with client:
        names = cast(list[bytes], client.zrange(resting.EDGES, 0, -1))
        words = cast(list[Any], client.mget([resting.PREFIX + name.decode() for name in names])) if names else []
    return resting.read([word for word in words if word is not None], organization_id)


def _line(rest: Resting) -> Line:
    since, until = (from_microseconds(round(seconds * 1e6)) for seconds in (rest.since, rest.until))
    provider = providers.by_host(rest.target.partition("://")[2])
    return Line(rest, provider.name if provider else "", since, until, until <= now())
