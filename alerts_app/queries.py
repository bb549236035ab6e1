"""What budgets and rate limits ask of Postgres, for pages and for the reconciliation. An organization first.

TooSlow    of the requests room: the statement took longer than it may
"""
# ruff: noqa: S608 - what is put together here are expressions of a table of ours; every value is bound

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet

from alerts_app.budgets import Budget
from alerts_app.models import Budget as BudgetRow
from alerts_app.models import BudgetEvent, RateLimitRule
from alerts_app.rules import StoredRule
from alerts_app.segments import Segment
from alerts_app.snapshot import budget_of, rule_of
from lib.clock import EPOCH, time_of
from lib.frozen import dataclass, replace
from llm.exchange import MODEL_KINDS
from metrics_app import queries as counts
from metrics_app.question import Question
from requests_app.filters import REQUEST_MODEL, Leaf
from requests_app.queries import reader

NOT_FAILED: Final = Leaf("status", "<", 400)
SPENT_TIMEOUT_MS: Final = 15_000
REFUSALS: Final = ("rate_limited", "budget_exceeded", "session_stopped")
"""Codes of the problem a refused request has."""


def budget(row: BudgetRow) -> Budget:
    """As the parts without Django know it."""
    names = (
        "id", "edition", "organization_id", "name", "limit_nano_usd", "span", "hours", "time_zone", "by",
        "property_name", "value", "warn_percents", "is_hard",
    )  # fmt: skip
    return budget_of({name: getattr(row, name) for name in names})


def rule(row: RateLimitRule) -> StoredRule:
    names = ("id", "organization_id", "name", "quota", "window_seconds", "unit", "by", "property_name", "value")
    return rule_of({name: getattr(row, name) for name in names})


# --- what is spent ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Spent:
    """What one segment came to, nano-USD by slot. `unpriced` are those that may have cost something nobody knows: they
    add nothing. A call the provider refused costs nothing."""

    slots: dict[int, int]
    requests: int = 0
    unpriced: int = 0

    @property
    def nano_usd(self) -> int:
        return sum(self.slots.values())


_VALUES: Final[Mapping[str, str]] = {
    "organization": "''", "key": "r.api_key_id::text", "user": "r.end_user_id", "session": "r.session_id",
    "model": REQUEST_MODEL, "property": "(r.properties ->> %(name)s)",
}  # fmt: skip


def spent(of: Budget, at: float) -> dict[str, Spent]:
    """By segment, what calls of the period cost, as far as it is known. Raises TooSlow."""
    if of.segment.by == "organization" and not of.period.window:
        return {"": _whole(of, at)}
    since, width = of.period.since(at), of.period.width
    slot = "(floor(extract(epoch FROM r.requested_at) / %(width)s) * %(width)s)::bigint" if width else "%(since)s"
    value = _VALUES[of.segment.by]
    asking = (
        f"SELECT {value}, {slot}, coalesce(sum(r.cost_nano_usd), 0)::bigint, count(*),"
        " count(*) FILTER (WHERE r.cost_nano_usd IS NULL AND r.status < 400) FROM llm_request r"
        " WHERE r.organization_id = %(organization)s AND r.requested_at >= %(from)s AND r.requested_at < %(until)s"
        f" AND r.kind = ANY(%(kinds)s){_only(of.segment)} GROUP BY 1, 2"
    )
    ends = of.period.ends(at)
    values: dict[str, Any] = {
        "name": of.segment.name, "value": of.segment.value, "width": width, "since": since,
        "organization": of.organization_id, "from": _moment(since), "until": _moment(ends or int(at) + 2 * 86_400),
        "kinds": sorted(MODEL_KINDS),
    }  # fmt: skip
    found: dict[str, Spent] = {}
    with reader(SPENT_TIMEOUT_MS) as cursor:
        cursor.execute(asking, values)
        for segment, start, nano_usd, requests, unpriced in cursor.fetchall():
            one = found.setdefault(segment, Spent({}))
            one.slots[int(start)] = int(nano_usd)
            one.requests += requests
            one.unpriced += unpriced
    return found


def _only(segment: Segment) -> str:
    """Of a segment only those that name one; one user, session or property is found by an index."""
    if segment.by == "organization":
        return ""
    if not segment.value:
        return f" AND {_VALUES[segment.by]} <> ''"
    if segment.by == "property":
        return " AND r.properties @> jsonb_build_object(%(name)s::text, %(value)s::text)"
    return f" AND {_VALUES[segment.by]} = %(value)s"


def _whole(of: Budget, at: float) -> Spent:
    """Everybody together, from the counts: they outlive the requests."""
    since, ends = of.period.since(at), of.period.ends(at)
    question = Question(
        of.organization_id, ("cost", "requests", "priced"), since=_moment(since), until=_moment(ends) if ends else None
    )
    cost, requests, _ = _totals(question)
    _, charged, priced = _totals(replace(question, filter=NOT_FAILED))
    return Spent({since: cost}, requests, max(0, charged - priced))


def _totals(question: Question) -> tuple[int, int, int]:
    told = counts.answer(question).total
    cost, requests, priced = (int(told[key] or 0) for key in ("cost", "requests", "priced"))  # type: ignore[arg-type]
    return cost, requests, priced


def _moment(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def stored_ids(organization_id: int, ids: Sequence[UUID]) -> list[str]:
    """Those of the requests that are in the ground."""
    times = [moment for one in ids if (moment := time_of(one)) is not None]
    if not times:
        return []
    around = timedelta(seconds=1)
    with reader() as cursor:
        cursor.execute(
            "SELECT id FROM llm_request WHERE organization_id = %s AND requested_at BETWEEN %s AND %s AND id = ANY(%s)",
            [organization_id, min(times) - around, max(times) + around, list(ids)],
        )
        return [str(row[0]) for row in cursor.fetchall()]


# --- pages ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Refused:
    """A request a limit, budget or session's bound refused."""

    id: UUID
    at: datetime
    code: str
    message: str
    model: str | None
    end_user_id: str | None
    session_id: str | None


def refused(organization_id: int, *, since: datetime, codes: Sequence[str] = REFUSALS, most: int = 50) -> list[Refused]:
    """The newest."""
    with reader() as cursor:
        cursor.execute(
            f"SELECT r.id, r.requested_at, p.said, {REQUEST_MODEL}, r.end_user_id, r.session_id FROM llm_request r"
            " CROSS JOIN LATERAL (SELECT said FROM unnest(r.problems) AS said"
            " WHERE split_part(said, ':', 1) = ANY(%s) LIMIT 1) AS p"
            " WHERE r.organization_id = %s AND r.requested_at >= %s AND r.status = 429"
            " AND r.status NOT BETWEEN 200 AND 399 ORDER BY r.requested_at DESC LIMIT %s",
            [list(codes), organization_id, since, most],
        )
        return [_refused(*row) for row in cursor.fetchall()]


def _refused(*row: Any) -> Refused:
    code, _, message = row[2].partition(": ")
    return Refused(row[0], row[1], code, message, *row[3:])


def refusals(organization_id: int, *, since: datetime) -> dict[str, int]:
    """How many there were, by code."""
    with reader() as cursor:
        cursor.execute(
            "SELECT split_part(said, ':', 1) AS code, count(*) FROM llm_request r, unnest(r.problems) AS said"
            " WHERE r.organization_id = %s AND r.requested_at >= %s AND r.status = 429"
            " AND r.status NOT BETWEEN 200 AND 399 AND split_part(said, ':', 1) = ANY(%s) GROUP BY 1",
            [organization_id, since, list(REFUSALS)],
        )
        return {code: count for code, count in cursor.fetchall()}


def rules(organization_id: int) -> QuerySet[RateLimitRule]:
    return RateLimitRule.objects.filter(organization_id=organization_id).order_by("id")


def budgets(organization_id: int) -> QuerySet[BudgetRow]:
    return BudgetRow.objects.filter(organization_id=organization_id).order_by("id")


def events(organization_id: int, *, most: int = 20) -> QuerySet[BudgetEvent]:
    found = BudgetEvent.objects.filter(organization_id=organization_id, budget__organization_id=organization_id)
    return found.select_related("budget").order_by("-at", "-id")[:most]


# --- who is named -----------------------------------------------------------------------------------------------------


def naming(organization_id: int, by: str, name: str, value: str) -> list[str]:
    """Names of budgets and rate limits somebody has set for exactly this user, session or value of a property."""
    asked = {"organization_id": organization_id, "by": by, "property_name": name, "value": value}
    budgets = BudgetRow.objects.filter(**asked).values_list("name", flat=True)
    rules = RateLimitRule.objects.filter(**asked).values_list("name", flat=True)
    return [*(f"budget “{one}”" for one in budgets), *(f"rate limit “{one}”" for one in rules)]
