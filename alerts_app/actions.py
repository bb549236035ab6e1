"""Every change admins make to rules, budgets and the bounds of sessions: checked, and written down, in one transaction.

    BadRule    of the requests room: what was asked for cannot be; `field` says where
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import redis
from django.db import transaction

from accounts_app import audit
from alerts_app import ledger, queries
from alerts_app.budgets import LARGEST_NANO, LONGEST_HOURS, NANO, SHORTEST_HOURS, Period, usd
from alerts_app.ledger import Ledger
from alerts_app.models import Budget, RateLimitRule, SessionGuard
from alerts_app.rules import LARGEST_QUOTA, LONGEST_WINDOW, RULE_KINDS, SHORTEST_WINDOW
from alerts_app.segments import KINDS, Segment
from lib import zones
from lib.frozen import dataclass, replace
from requests_app.price_rules import Author, BadRule

log = logging.getLogger("alerts")

LONGEST_NAME, LONGEST_VALUE, LONGEST_PROPERTY = 200, 2_000, 200
MOST_RULES, MOST_BUDGETS = 50, 50
"""Of an organization: each is looked at before every call."""
SPANS: Final = ("day", "week", "month", "rolling")
LARGEST_COUNT: Final = 10**9
EVERYBODY: Final = Segment()
MONTH: Final = Period("month")


@dataclass(frozen=True, slots=True)
class RuleAsked:
    name: str
    quota: float
    window_seconds: int
    unit: str = "request"
    segment: Segment = EVERYBODY


@dataclass(frozen=True, slots=True)
class BudgetAsked:
    name: str
    limit_nano_usd: int
    period: Period = MONTH
    segment: Segment = EVERYBODY
    warn_percents: Sequence[int] = ()
    is_hard: bool = True


# --- checking ---------------------------------------------------------------------------------------------------------


def _name(told: str) -> str:
    name = _clean(told)
    if not name or len(name) > LONGEST_NAME:
        raise BadRule("name", f"Give it a name of at most {LONGEST_NAME} characters.")
    return name


def _clean(told: str) -> str:
    return told.replace("\x00", "").strip()


def checked_segment(told: Segment, kinds: Sequence[str]) -> Segment:
    """As it is kept. Raises BadRule, as all of these do."""
    name, value = _clean(told.name).lower(), _clean(told.value)
    if told.by not in kinds:
        raise BadRule("by", f"It counts by one of {', '.join(kinds)}.")
    if told.by == "property" and not name:
        raise BadRule("property_name", "Say which property.")
    if len(name) > LONGEST_PROPERTY or len(value) > LONGEST_VALUE:
        raise BadRule("value", f"A value has at most {LONGEST_VALUE} characters.")
    if told.by == "organization":
        return Segment()
    return Segment(told.by, name if told.by == "property" else "", value)


def check_quota(quota: float) -> None:
    if not math.isfinite(quota) or not 0 < quota <= LARGEST_QUOTA:
        raise BadRule("quota", f"The quota is above 0 and at most {LARGEST_QUOTA:,}.")


def check_window(seconds: int) -> None:
    if not SHORTEST_WINDOW <= seconds <= LONGEST_WINDOW:
        raise BadRule("window_seconds", f"The window is {SHORTEST_WINDOW} to {LONGEST_WINDOW:,} seconds.")


def _rule(asked: RuleAsked) -> RuleAsked:
    check_quota(asked.quota)
    check_window(asked.window_seconds)
    if asked.unit not in ("request", "cents"):
        raise BadRule("unit", "The unit is request or cents.")
    return replace(asked, name=_name(asked.name), segment=checked_segment(asked.segment, RULE_KINDS))


def check_limit(nano_usd: int) -> None:
    if not 0 < nano_usd <= LARGEST_NANO:
        raise BadRule("limit_usd", f"The limit is above 0 and at most {usd(LARGEST_NANO)}.")


def checked_percents(told: Sequence[int]) -> list[int]:
    if any(not 1 <= each <= 1000 for each in told) or len(told) > 10:
        raise BadRule("warn_percents", "Thresholds are at most ten whole percentages from 1 to 1000.")
    return sorted(set(told))


def _budget(asked: BudgetAsked) -> BudgetAsked:
    check_limit(asked.limit_nano_usd)
    return replace(
        asked, name=_name(asked.name), period=checked_period(asked.period),
        segment=checked_segment(asked.segment, KINDS), warn_percents=checked_percents(asked.warn_percents),
    )  # fmt: skip


def checked_period(asked: Period) -> Period:
    if asked.span not in SPANS:
        raise BadRule("span", f"The period is one of {', '.join(SPANS)}.")
    if asked.span == "rolling":
        if not SHORTEST_HOURS <= asked.hours <= LONGEST_HOURS:
            raise BadRule("hours", f"A rolling window has {SHORTEST_HOURS} to {LONGEST_HOURS:,} hours.")
        return Period("rolling", asked.hours)
    if asked.zone != "UTC" and asked.zone not in zones.known():
        raise BadRule("time_zone", "There is no such time zone: write it as Europe/Berlin.")
    return Period(asked.span, 0, asked.zone)


def check_bound(name: str, bound: int | None) -> None:
    """Of a session, by field of SessionGuard."""
    most = LARGEST_NANO if name == "max_cost_nano_usd" else LARGEST_COUNT
    if bound is not None and not 0 < bound <= most:
        raise BadRule(name, "A bound is above 0; leave it empty for none.")


def nano_usd(told: str | float) -> int:
    """Of dollars as people write them. Raises BadRule."""
    try:
        amount = Decimal(str(told).replace("$", "").replace(",", "").strip())
    except InvalidOperation:
        raise BadRule("limit_usd", "Write dollars as a number: 12.50.") from None
    if not amount.is_finite() or abs(amount) > LARGEST_NANO:
        raise BadRule("limit_usd", "Write dollars as a number: 12.50.")
    return int(amount * NANO)


# --- rate limits ------------------------------------------------------------------------------------------------------


def _counted(segment: Segment) -> dict[str, str]:
    return {"by": segment.by, "property_name": segment.name, "value": segment.value}


@transaction.atomic
def save_rule(by: Author, asked: RuleAsked, row: RateLimitRule | None = None) -> RateLimitRule:
    """A new rule, or `row` changed. Raises BadRule."""
    asked = _rule(asked)
    if row is None and queries.rules(by.organization_id).count() >= MOST_RULES:
        raise BadRule("name", f"An organization has at most {MOST_RULES} rules.")
    made = row or RateLimitRule(organization_id=by.organization_id)
    _set(made, name=asked.name, quota=asked.quota, window_seconds=asked.window_seconds, unit=asked.unit,
         **_counted(asked.segment))  # fmt: skip
    detail = {"quota": f"{asked.quota:g} {asked.unit}", "window": f"{asked.window_seconds} s"}
    _told(by, f"rate limit {'changed' if row else 'added'}", asked.name, counts=asked.segment.words, **detail)
    return made


@transaction.atomic
def remove_rule(by: Author, row: RateLimitRule) -> None:
    _told(by, "rate limit removed", row.name)
    row.delete()


# --- budgets ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def save_budget(by: Author, asked: BudgetAsked, row: Budget | None = None) -> Budget:
    """A new budget, or `row` changed; what was spent in its period counts at once. Raises BadRule."""
    asked = _budget(asked)
    if row is None and queries.budgets(by.organization_id).count() >= MOST_BUDGETS:
        raise BadRule("name", f"An organization has at most {MOST_BUDGETS} budgets.")
    before = queries.budget(row) if row else None
    made = row or Budget(organization_id=by.organization_id)
    if before and (before.period, before.segment) != (asked.period, asked.segment):
        made.edition += 1
        made.looked_at = None
        made.states.all().delete()
        _after(lambda: Ledger().forget(before))
    period = asked.period
    _set(made, name=asked.name, limit_nano_usd=asked.limit_nano_usd, span=period.span, hours=period.hours,
         time_zone=period.zone, warn_percents=list(asked.warn_percents), is_hard=asked.is_hard,
         **_counted(asked.segment))  # fmt: skip
    _told(
        by, f"budget {'changed' if row else 'added'}", asked.name, counts=asked.segment.words,
        limit=f"{usd(asked.limit_nano_usd)} {period.words}", beyond="refused" if asked.is_hard else "only warned of",
    )  # fmt: skip
    _after(lambda: ledger.reconcile(made, Ledger()))
    return made


@transaction.atomic
def remove_budget(by: Author, row: Budget) -> None:
    _told(by, "budget removed", row.name)
    budget = queries.budget(row)
    row.delete()
    _after(lambda: Ledger().forget(budget))


def _after(work: Any) -> None:
    """After the commit. Redis away: what is forgotten lies there, and what is counted waits for the next look."""

    def quietly() -> None:
        try:
            work()
        except redis.RedisError as error:
            log.warning("budget_not_told reason=%s", error)

    transaction.on_commit(quietly)


# --- sessions ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def save_session_guard(by: Author, bounds: Mapping[str, int | None]) -> SessionGuard:
    """`bounds` by field of SessionGuard; None is none. Raises BadRule."""
    for name, bound in bounds.items():
        check_bound(name, bound)
    made, _ = SessionGuard.objects.update_or_create(organization_id=by.organization_id, defaults=dict(bounds))
    said = {name: "none" if bound is None else bound for name, bound in bounds.items()}
    audit.record(by.organization_id, by.user, "session guard changed", **said)
    return made


def _set(row: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


def _told(by: Author, action: str, name: str, **detail: str) -> None:
    audit.record(by.organization_id, by.user, action, name=name, **detail)
