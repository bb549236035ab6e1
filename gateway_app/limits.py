"""Rate limits: which bucket a request draws from, and what its client is told.

A token bucket holds `quota` tokens, is full at first and refills in `window` seconds. `request`: a call takes one token
or is refused. `cents`: a call is refused while none is left; its cost is taken once it is known, by the line.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final

import orjson

from alerts_app.rules import StoredRule
from alerts_app.segments import Facts
from gateway_app.connection import Headers
from gateway_app.errors import RateLimited
from ingest_app.directives import Directives
from ingest_app.rate_policy import USER, RatePolicy
from lib.frozen import dataclass
from llm.exchange import Meter

LONGEST_VALUE: Final = 256
ERROR_HEADER: Final = b"helicone-ratelimit-error"


@dataclass(frozen=True)
class Limit:
    """A policy for one segment, as many requests share it: what is told of it is put together once."""

    policy: RatePolicy
    key: str
    """Of its bucket in Redis: organization, unit and segment, but not the quota, so that a new one goes on."""
    rule: str = ""
    """Name of the stored rule it is; empty for one the request brought."""

    @cached_property
    def needs(self) -> int:
        """Tokens a call takes before it is made."""
        return 0 if self.policy.unit == "cents" else 1

    @cached_property
    def numbers(self) -> str:
        """For the script: quota, window, tokens needed."""
        return f"{self.policy.quota} {self.policy.window} {self.needs}"

    @cached_property
    def shown(self) -> Headers:
        """What its client is told whatever is left."""
        return [
            (b"helicone-ratelimit-limit", f"{self.policy.quota:.15g}".encode()),
            (b"helicone-ratelimit-policy", self.policy.text.encode()),
        ]

    def meter(self) -> Meter:
        return Meter(self.key, self.policy.quota, self.policy.window)


def of_request(organization_id: int, policy: RatePolicy, directives: Directives, body: bytes) -> Limit | None:
    """None where the request does not name the user or property it counts by."""
    value = _value(policy.segment, directives, body) if policy.segment else ""
    return None if value is None else _limit(organization_id, policy, value)


@lru_cache(maxsize=4096)
def _limit(organization_id: int, policy: RatePolicy, value: str) -> Limit:
    said = orjson.dumps([organization_id, policy.unit, policy.segment, value])
    return Limit(policy, f"helicone:l:{hashlib.sha256(said).hexdigest()[:32]}")


def of_rule(rule: StoredRule, facts: Facts) -> Limit | None:
    """None where the request does not count for it. A stored rule has buckets of its own."""
    value = rule.segment.of(facts)
    if value is None:
        return None
    make = _rule_limit if len(value) <= LONGEST_VALUE else _rule_limit.__wrapped__  # what is long is not remembered
    return make(rule, value)


@lru_cache(maxsize=4096)
def _rule_limit(rule: StoredRule, value: str) -> Limit:
    segment = rule.segment
    by = "" if segment.by == "organization" else segment.name or segment.by
    policy = RatePolicy(rule.quota, rule.window, rule.unit, by)
    said = orjson.dumps([rule.organization_id, "rule", rule.id, rule.unit, value])
    return Limit(policy, f"helicone:l:{hashlib.sha256(said).hexdigest()[:32]}", rule.name)


def _value(segment: str, directives: Directives, body: bytes) -> str | None:
    attribution = directives.attribution
    found = (attribution.end_user_id or _named(body)) if segment == USER else attribution.properties.get(segment)
    if not found:
        return None
    printable = "".join(letter for letter in found.replace(":", "_") if letter.isprintable())
    return printable.strip()[:LONGEST_VALUE] or None


def _named(body: bytes) -> str | None:
    try:
        told: Any = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None
    return user_of(told) if isinstance(told, Mapping) else None


def user_of(told: Mapping[str, Any]) -> str | None:
    """`user` of OpenAI's bodies, `metadata.user_id` of Anthropic's."""
    metadata = told.get("metadata")
    user = told.get("user") or (metadata.get("user_id") if isinstance(metadata, Mapping) else None)
    return user if isinstance(user, str) else None


def headers_of(limits: Sequence[Limit], tokens: Sequence[float]) -> Headers:
    """What is told of the limit with the least left; `tokens` are what the buckets hold now."""
    limit, left = limits[0], tokens[0]
    if len(limits) > 1:
        limit, left = min(zip(limits, tokens, strict=True), key=lambda one: one[1] / one[0].policy.quota)
    told = [*limit.shown, (b"helicone-ratelimit-remaining", b"%d" % (left + 1e-9) if left > 0 else b"0")]
    if (full_in := _seconds(limit.policy, limit.policy.quota - left)) > 0:
        told.append((b"helicone-ratelimit-reset", b"%d" % full_in))
    return told


def refusal(limit: Limit, tokens: float) -> RateLimited:
    policy = limit.policy
    wait = max(1, _seconds(policy, (limit.needs or 1e-3) - tokens))
    whose = {"": "", USER: " for this user", "key": " for this API key"}.get(
        policy.segment, f" for this value of the property {policy.segment}"
    )
    by = f"rule “{limit.rule}”" if limit.rule else "Helicone-RateLimit-Policy header"
    return RateLimited(
        f"Helicone user was rate limit via {by}. "
        f"The limit {policy.text} is used up{whose}: {policy.quota:.15g} {_unit(policy)} in {policy.window} seconds. "
        f"Try again in {wait} {'second' if wait == 1 else 'seconds'}.",
        retry_after_seconds=wait,
    )


def _unit(policy: RatePolicy) -> str:
    one = "US cent" if policy.unit == "cents" else "request"
    return one if policy.quota == 1 else f"{one}s"


def _seconds(policy: RatePolicy, tokens: float) -> int:
    """Until so many tokens have come."""
    return math.ceil(tokens * policy.window / policy.quota - 1e-6)
