"""What the gateway has to do about one request beside passing it on: decided from its headers, None where nothing.

A request without policies costs no trip to Redis, and its body is not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway_app.errors import CacheTooDeep
from ingest_app import directives as names
from ingest_app.directives import Directives
from ingest_app.rate_policy import USER, RatePolicy

MOST_SLOTS: Final = 20
DEFAULT_TTL: Final = 7 * 86_400
LONGEST_TTL: Final = 365 * 86_400
_AGES: Final = (re.compile(r"(?i)s-maxage=(\d{1,12})"), re.compile(r"(?i)(?<!s-)max-age=(\d{1,12})"))


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
    complaint: str = ""
    """Why the limit sent could not be read."""

    def needs_body(self, directives: Directives) -> bool:
        """Whether the request's body must be there whole before anything is decided."""
        is_user_unknown = directives.attribution.end_user_id is None
        return self.cache is not None or any(one.segment == USER and is_user_unknown for one in self.limits)


def read(directives: Directives, headers: Mapping[str, str]) -> Policies | None:
    """Raises CacheTooDeep."""
    cache = _cache(directives, headers)
    limits = (directives.rate_limit,) if directives.rate_limit else ()
    complaint = names.complaint(directives, names.RATE_LIMIT_HEADER) if directives.problems else ""
    return Policies(cache, limits, complaint) if cache or limits or complaint else None


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
    for age in _AGES:
        if found := age.search(cache_control):
            return min(int(found[1]), LONGEST_TTL)
    return DEFAULT_TTL
