"""The numbers of budgets in Redis brought to what Postgres says, and what was seen of them written down.

    holds of calls that are stored, or older than any call: let go
    spent: what Redis lacks is added at once, what it has too much goes when it was too much twice
    thresholds crossed: an event each, once a period

An emptied Redis is told everything again by the next look. Until then budgets count as unknown (gateway_app/guard.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import redis
from django.conf import settings
from django.db.models import F

from alerts_app import ledger_scripts, queries
from alerts_app.budgets import KNOWN, Budget, digest
from alerts_app.models import Budget as BudgetRow
from alerts_app.models import BudgetEvent, BudgetState
from alerts_app.queries import Spent
from lib.clock import EPOCH, now
from lib.frozen import dataclass, replace
from requests_app.queries import TooSlow

log = logging.getLogger("alerts")

PATIENCE_SECONDS: Final = 2.0
AT_ONCE: Final = 500
MOST_STATES: Final = 1_000
"""Segments of a budget that are written down, those that spent most."""
NOTHING: Final = Spent({})
SAID: Final = ("since", "spent_nano_usd", "reserved_nano_usd", "drift_nano_usd", "requests", "unpriced")
RUN_SECONDS: Final = 20.0
"""One run of the task begins no budget after this."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A segment at a look, nano-USD."""

    value: str
    spent: int
    reserved: int
    drift: int
    requests: int
    unpriced: int


class Ledger:
    """Redis' side of budgets. Everything raises redis.RedisError while it is away."""

    def __init__(self, url: str = "") -> None:
        self._redis = redis.Redis.from_url(
            url or settings.REDIS_URL, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS
        )
        self._sweep = self._redis.register_script(ledger_scripts.SWEEP)
        self._adjust = self._redis.register_script(ledger_scripts.ADJUST)

    def look(self, budget: Budget) -> list[Seen]:
        """Brings one budget's numbers right, and answers what they were. Raises TooSlow too.

        Redis knew nothing, as the budget is new or Redis was emptied: that is no drift.
        """
        self._release(budget)
        at = self._now()
        is_known = bool(self._redis.sismember(budget.values_key, KNOWN))
        spent = queries.spent(budget, at)
        values = sorted({*spent, *self._values(budget)})
        seen = [
            one for start in range(0, len(values), AT_ONCE)
            for one in self._bring(budget, spent, values[start : start + AT_ONCE], at)
        ]  # fmt: skip
        self._redis.sadd(budget.values_key, KNOWN)
        if is_known:
            return seen
        log.info("budget_counted_anew budget=%d segments=%d", budget.id, len(seen))
        return [replace(one, drift=0) for one in seen]

    def forget(self, budget: Budget) -> None:
        keys = [budget.spent_key(value) for value in self._values(budget)]
        self._redis.delete(*keys, budget.spent_key(""), budget.holds_key, budget.values_key)

    def _now(self) -> float:
        seconds, microseconds = self._redis.time()
        return float(seconds) + float(microseconds) / 10**6

    def _values(self, budget: Budget) -> list[str]:
        members: Iterable[bytes] = self._redis.smembers(budget.values_key)  # type: ignore[assignment]
        return [member[1:].decode("utf-8", "replace") for member in members if member.startswith(b"=")]

    def _release(self, budget: Budget) -> None:
        """Calls that are stored were settled, or could not be: either way Postgres has their cost."""
        longest = settings.BUDGET_HOLD_SECONDS
        released, old = self._sweep(keys=[budget.holds_key], args=[longest])
        stored = queries.stored_ids(budget.organization_id, [UUID(one.decode()) for one in old]) if old else []
        if stored:
            released += self._sweep(keys=[budget.holds_key], args=[longest, *stored])[0]
        if released:
            log.info("budget_holds_released budget=%d holds=%d", budget.id, released)

    def _bring(self, budget: Budget, spent: Mapping[str, Spent], values: Sequence[str], at: float) -> list[Seen]:
        since = budget.period.since(at)
        with self._redis.pipeline(transaction=False) as pipe:
            for value in values:
                slots = [part for slot in spent.get(value, NOTHING).slots.items() for part in slot]
                keys = [budget.spent_key(value), budget.values_key]
                self._adjust(keys=keys, args=[since, *slots, value], client=pipe)
            told = pipe.execute()
        return [_seen(value, spent.get(value, NOTHING), *each) for value, each in zip(values, told, strict=True)]


def _seen(value: str, spent: Spent, reserved: bytes, drift: bytes) -> Seen:
    return Seen(value, spent.nano_usd, int(reserved), int(drift), spent.requests, spent.unpriced)


# --- writing down -----------------------------------------------------------------------------------------------------


def reconcile_all(ledger: Ledger) -> None:
    """One after the other for RUN_SECONDS; the next run goes on with those that have waited longest."""
    until = time.monotonic() + RUN_SECONDS
    for row in BudgetRow.objects.order_by(F("tried_at").asc(nulls_first=True), "id"):
        if time.monotonic() > until:
            log.warning("budgets_wait reason=one run is too short for all of them")
            return
        reconcile(row, ledger)


def reconcile(row: BudgetRow, ledger: Ledger) -> bool:
    """One budget; what hinders it stands on its page. Answers whether nothing did."""
    budget, trouble = queries.budget(row), ""
    try:
        seen = ledger.look(budget)
        _write(budget, seen, now())
    except redis.RedisError as error:
        trouble = "Redis did not answer."
        log.warning("budget_not_reconciled budget=%d reason=%s", budget.id, error)
    except TooSlow:
        trouble = "Counting what was spent took too long; what calls cost is still counted as they pass."
        log.warning("budget_not_reconciled budget=%d reason=too_slow", budget.id)
    changed: dict[str, Any] = {"trouble": trouble, "tried_at": now(), **({} if trouble else {"looked_at": now()})}
    BudgetRow.objects.filter(pk=row.pk, edition=row.edition).update(**changed)
    return not trouble


def _write(budget: Budget, seen: Sequence[Seen], at: datetime) -> None:
    since = EPOCH + timedelta(seconds=budget.period.since(at.timestamp()))
    largest = sorted(seen, key=lambda one: (one.spent + one.reserved, one.requests), reverse=True)[:MOST_STATES]
    before = {state.value: state for state in BudgetState.objects.filter(budget_id=budget.id)}
    states = [_state(budget, one, since) for one in largest]
    BudgetState.objects.bulk_create(
        [one for one in states if one.value not in before or _said(one) != _said(before[one.value])],
        update_conflicts=True, unique_fields=["budget", "value"], update_fields=SAID,
    )  # fmt: skip
    gone = before.keys() - {one.value for one in states}
    BudgetState.objects.filter(budget_id=budget.id, value__in=gone).delete()
    for one in largest:
        if one.drift:
            log.info("budget_drift budget=%d segment=%s nano_usd=%d", budget.id, digest(one.value), one.drift)
        _warn(budget, one, at)


def _state(budget: Budget, one: Seen, since: datetime) -> BudgetState:
    return BudgetState(
        budget_id=budget.id, organization_id=budget.organization_id, value=one.value, since=since,
        spent_nano_usd=one.spent, reserved_nano_usd=one.reserved, drift_nano_usd=one.drift, requests=one.requests,
        unpriced=one.unpriced,
    )  # fmt: skip


def _said(state: BudgetState) -> list[Any]:
    return [getattr(state, name) for name in SAID]


def _warn(budget: Budget, seen: Seen, at: datetime) -> None:
    """An event for each threshold crossed that has none in this period."""
    crossed = [each for each in (*budget.warn_percents, 100) if seen.spent * 100 >= each * budget.limit_nano_usd]
    if not crossed:
        return
    window = budget.period.window
    start = int(at.timestamp()) // window * window if window else budget.period.since(at.timestamp())
    for percent in sorted(set(crossed)):
        _, is_new = BudgetEvent.objects.get_or_create(
            budget_id=budget.id, value=seen.value, percent=percent, since=EPOCH + timedelta(seconds=start),
            defaults={
                "organization_id": budget.organization_id, "spent_nano_usd": seen.spent, "at": at,
                "limit_nano_usd": budget.limit_nano_usd,
            },
        )  # fmt: skip
        if is_new:
            log.warning(
                "budget_warned organization=%d budget=%d segment=%s percent=%d", budget.organization_id, budget.id,
                digest(seen.value), percent,
            )  # fmt: skip
