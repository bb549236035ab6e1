"""What the gateway has to do about one request beside passing it on: decided from its headers, None where nothing.

A request without policies costs no trip to Redis, and its body is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from alerts_app.budgets import Budget
from alerts_app.rules import NO_CAPS, SessionCaps, StoredRule
from alerts_app.snapshot import NO_PRICES, Stored
from gateway_app import sessions, shaping
from gateway_app.errors import CacheTooDeep
from ingest_app import directives as names
from ingest_app.directives import Directives
from ingest_app.rate_policy import USER, RatePolicy
from lib.frozen import dataclass, replace
from llm.pricing import PriceBook

MOST_SLOTS: Final = 20
READ_BYTES: Final = 8 * 2**20
"""Of a body that is only wanted; what is longer passes as it comes."""
SESSION_ERROR_HEADER: Final = b"helicone-session-error"
NO_SESSION: Final = "bounds of a session were sent without Helicone-Session-Id"
CACHE_ERROR_HEADER: Final = b"helicone-cache-error"
CACHE_TOO_LONG: Final = b"the body is longer than %d bytes, so the cache was not looked at" % shaping.LONGEST_BODY
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
    prices: PriceBook = NO_PRICES
    session_complaint: str = ""
    """Why a bound sent for the session does not count."""
    lacks_session: bool = False
    """Bounds were sent for a session that has no name."""

    @property
    def has_money(self) -> bool:
        """Whether it matters what the call may cost."""
        return bool(self.budgets) or self.caps.max_cost_nano_usd is not None

    def without_cache(self) -> Policies:
        return replace(self, cache=None)

    def needs_body(self, directives: Directives) -> bool:
        """Whether the request's body must be there whole before anything is decided, and is refused otherwise."""
        if directives.attribution.end_user_id is not None:
            return False
        return USER in [one.segment for one in self.limits]

    @property
    def wants_body(self) -> bool:
        """Whether it should be there, as long as it is not very long: an organization's rules refuse no upload."""
        if self.budgets or self.caps.max_cost_nano_usd is not None or self.caps.max_repeats is not None:
            return True
        return USER in [one.segment.by for one in self.rules]


def read(
    directives: Directives, headers: Mapping[str, str], stored: Stored = NOTHING_STORED, method: str = "POST"
) -> Policies | None:
    """None where there is nothing to do. Only a POST costs money or goes on with a session. Raises CacheTooDeep."""
    cache = _cache(directives, headers)
    limits = (directives.rate_limit,) if directives.rate_limit else ()
    complaint = names.complaint(directives, names.RATE_LIMIT_HEADER) if directives.problems else ""
    is_post = method == "POST"
    budgets = stored.budgets if is_post else ()
    caps = sessions.caps_of(directives, stored.caps) if is_post else NO_CAPS
    unbounded = names.complaint(directives, *names.SESSION_BOUNDS) if directives.problems and is_post else ""
    lacks_session = directives.attribution.session_id is None and bool(caps) and caps is not stored.caps
    if directives.attribution.session_id is None:
        caps = NO_CAPS
    unbounded = unbounded or (NO_SESSION if lacks_session else "")
    if not (cache or limits or complaint or stored.rules or budgets or caps or unbounded):
        return None
    return Policies(cache, limits, complaint, stored.rules, budgets, caps, stored.prices, unbounded, lacks_session)


def awaited(
    asks: Policies | None, directives: Directives, length: int, *, wants: bool, needs: bool
) -> tuple[int, bool]:
    """Bytes of the body that are waited for before the call, 0 for none, and whether it must be there whole.

    `length` as the client tells it; `wants`, `needs`: what else is done with the body.
    """
    if needs or (asks is not None and asks.needs_body(directives)):
        return shaping.LONGEST_BODY, True
    if wants or (asks is not None and asks.cache is not None):
        return shaping.LONGEST_BODY, False
    return (READ_BYTES if asks is not None and asks.wants_body and length <= READ_BYTES else 0), False


def _cache(told: Directives, headers: Mapping[str, str]) -> CacheRules | None:
    reads = told.cache_enabled or told.cache_read
    saves = (told.cache_enabled or told.cache_save) and not told.omit_response  # Redis may write to disk
    if not (reads or saves):
        return None
    if told.cache_slots > MOST_SLOTS:
        raise CacheTooDeep(f"Cache bucket size cannot be greater than {MOST_SLOTS}")
    ttl = _ttl(headers.get("cache-control", ""))
    return CacheRules(reads, saves and ttl > 0, ttl, told.cache_slots, told.cache_seed, frozenset(told.cache_ignored))


def _ttl(cache_control: str) -> int:
    """Seconds, of the standard header: `s-maxage` before `max-age`; everything else in it says nothing here."""
    for age in _AGES if cache_control else ():
        if found := age.search(cache_control):
            return min(int(found[1]), LONGEST_TTL)
    return DEFAULT_TTL
