"""When a call is made again, and after how long: Helicone's headers, and what the provider says in `Retry-After`.

Delay before call k+1: min(random(1..2) x min x factor^(k-1), max), as its clients know it.
"""

from __future__ import annotations

import email.utils
import math
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from ingest_app.directives import Directives
from lib.frozen import dataclass

LONGEST_WAIT: Final = 60.0
"""Seconds. A provider that asks for more is not asked again: the caller gets its answer and can decide."""


@dataclass(frozen=True, slots=True)
class Retries:
    calls: int = 5
    """In all, the first too."""
    factor: float = 2.0
    min_seconds: float = 1.0
    max_seconds: float = 10.0

    def delay(self, made: int, asked: float | None = None, *, chance: Callable[[], float] = random.random) -> float:
        """Seconds before the next call when so many were made; `asked`: what the provider said. `chance`: 0 to 1."""
        try:
            grown = self.min_seconds * self.factor ** (made - 1)
        except OverflowError:
            grown = math.inf
        return max(min((1 + chance()) * grown, self.max_seconds), asked or 0.0)

    def may_go_on(self, made: int, asked: float | None = None) -> bool:
        return made < self.calls and (asked or 0.0) <= LONGEST_WAIT


def read(told: Directives) -> Retries | None:
    """None where the client asks for no retries."""
    if not told.retry_enabled:
        return None
    return Retries(told.retry_num, told.retry_factor, told.retry_min_ms / 1000, told.retry_max_ms / 1000)


def is_retryable(status: int) -> bool:
    return status == 429 or 500 <= status <= 599


def asked_wait(headers: Mapping[str, str], *, at: datetime) -> float | None:
    """Seconds the provider asks for (lower-case names): `retry-after-ms`, or `Retry-After` as seconds or a date."""
    if (ms := _number(headers.get("retry-after-ms", ""))) is not None:
        return ms / 1000
    text = headers.get("retry-after", "").strip()
    if (seconds := _number(text)) is not None:
        return seconds
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - at).total_seconds())


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
