"""What the gateway has to do about one request beside passing it on: decided from its headers, None where nothing.

A request without policies costs no trip to Redis, and its body is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from alerts_app.budgets import Budget
from alerts_app.rules import SessionCaps, StoredRule
from alerts_app.snapshot import NO_CAPS, NO_PRICES, Stored
from gateway_app import sessions
from gateway_app.errors import CacheTooDeep
from ingest_app import directives as names
from ingest_app.directives import Directives
from ingest_app.rate_policy import USER, RatePolicy
from llm.pricing import PriceBook

MOST_SLOTS: Final = 20
DEFAULT_TTL: Final = 7 * 86_400
LONGEST_TTL: Final = 365 * 86_400
_AGES: Final = (re.compile(r"(?i)s-maxage=(\d{1,12})"), re.compile(r"(?i)(?<!s-)max-age=(\d{1,12})"))


NOTHING_STORED: Final = Stored()


@dataclass(frozen=True, slots=True)
class CacheRules:
    """How one request may be answered from the cache, and its answer kept."""

    reads: bool
    saves: bool
    ttl: int = DEFAULT_TTL
    """Seconds an answer is kept."""
    slots: int = 1
    seed: str = ""
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Policies:
    cache: CacheRules | None = None
    limits: tuple[RatePolicy, ...] = ()
    """Those the request brings."""
    complaint: str = ""
    """Why the limit sent could not be read."""
    rules: tuple[StoredRule, ...] = ()
    budgets: tuple[Budget, ...] = ()
    caps: SessionCaps = NO_CAPS
    lacks_session: bool = False
    """Bounds were sent for a session that has no name."""
    prices: PriceBook = NO_PRICES

    @property
    def has_money(self) -> bool:
        """Whether it matters what the call may cost."""
        return bool(self.budgets) or self.caps.max_cost_nano_usd is not None

    def needs_body(self, directives: Directives) -> bool:
        """Whether the request's body must be there whole before anything is decided."""
        if self.cache is not None or self.has_money or self.caps.max_repeats is not None:
            return True
        by_user = any(one.segment == USER for one in self.limits) or any(one.segment.by == USER for one in self.rules)
        return by_user and directives.attribution.end_user_id is None


def read(
    directives: Directives, headers: Mapping[str, str], stored: Stored = NOTHING_STORED, method: str = "POST"
) -> Policies | None:
    """None where there is nothing to do. Only a POST costs money or goes on with a session. Raises CacheTooDeep."""
    cache = _cache(directives, headers)
    limits = (directives.rate_limit,) if directives.rate_limit else ()
    complaint = names.complaint(directives, names.RATE_LIMIT_HEADER) if directives.problems else ""
    is_post = method == "POST"
    budgets = stored.budgets if is_post else ()
    has_session = directives.attribution.session_id is not None
    caps = sessions.caps_of(directives, stored.caps) if is_post and has_session else NO_CAPS
    lacks_session = is_post and not has_session and bool(sessions.caps_of(directives, NO_CAPS))
    if not (cache or limits or complaint or stored.rules or budgets or caps or lacks_session):
        return None
    return Policies(cache, limits, complaint, stored.rules, budgets, caps, lacks_session, stored.prices)


def _cache(told: Directives, headers: Mapping[str, str]) -> CacheRules | None:
    reads, saves = told.cache_enabled or told.cache_read, told.cache_enabled or told.cache_save
    if not (reads or saves):
        return None
    if told.cache_slots > MOST_SLOTS:
        raise CacheTooDeep(f"Cache bucket size cannot be greater than {MOST_SLOTS}")
    ttl = _ttl(headers.get("cache-control", ""))
    return CacheRules(reads, saves and ttl > 0, ttl, told.cache_slots, told.cache_seed, frozenset(told.cache_ignored))


def _ttl(cache_control: str) -> int:
    """Seconds, of the standard header: `s-maxage` before `max-age`; everything else in it says nothing here."""
    for age in _AGES:
        if found := age.search(cache_control):
            return min(int(found[1]), LONGEST_TTL)
    return DEFAULT_TTL
