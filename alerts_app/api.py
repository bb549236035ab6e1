"""`/v1/rate-limits` as Helicone has it; `/v1/budgets` and `/v1/session-guard` of our own. Writing takes an admin's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.permissions import caller_of
from alerts_app import actions, queries
from alerts_app.actions import BudgetAsked, RuleAsked
from alerts_app.budgets import NANO, Period
from alerts_app.models import Budget, RateLimitRule, SessionGuard
from alerts_app.segments import KINDS, Segment
from lib.clock import from_microseconds, now
from requests_app.price_people import PriceView, Refused, admin_behind, number, result


def _said(request: Request, known: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """The body's fields, each of its kind; null is as good as nothing. Raises Refused."""
    data = request.data
    if not isinstance(data, Mapping):
        raise Refused("The body is a JSON object.")
    for key, value in data.items():
        if key not in known:
            raise Refused(f"There is no field {key}. There are: {', '.join(sorted(known))}.", field=str(key))
        is_flag = isinstance(value, bool) and known[key] is not bool
        if value is not None and (is_flag or not isinstance(value, known[key])):
            raise Refused(f"{key}: of another kind than it may be.", field=str(key))
    return {key: value for key, value in data.items() if value is not None}


def _segment(said: Mapping[str, Any]) -> Segment:
    by = said.get("by", "organization")
    if by not in KINDS:
        raise Refused(f"by: one of {', '.join(KINDS)}.", field="by")
    return Segment(by, said.get("property", ""), said.get("value", ""))


def _wanted(said: Mapping[str, Any], key: str) -> Any:
    if key not in said:
        raise Refused(f"{key} is missing.", field=key)
    return said[key]


# --- rate limits ------------------------------------------------------------------------------------------------------

Kinds = dict[str, type | tuple[type, ...]]
NUMBER = (int, float)
_RULE: Kinds = {
    "name": str, "quota": NUMBER, "window_seconds": int, "unit": str, "segment": str, "by": str, "property": str,
    "value": str,
}  # fmt: skip


def _rule_told(row: RateLimitRule) -> dict[str, Any]:
    """Helicone's fields, and whom a rule of ours counts."""
    segment = queries.rule(row).segment
    named = {} if segment.by == "organization" else {"segment": segment.name or segment.by}
    return {
        "id": str(row.pk), "name": row.name, "quota": row.quota, "window_seconds": row.window_seconds, "unit": row.unit,
        **named, "by": segment.by, "value": segment.value or None, "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }  # fmt: skip


def _rule_asked(request: Request) -> RuleAsked:
    said = _said(request, _RULE)
    told = said.get("segment", "").strip().lower()
    if "by" in said:
        segment = _segment({**said, "property": said.get("property", told)})
    elif told in ("", "global", "user"):
        segment = Segment("user" if told == "user" else "organization")
    else:
        segment = Segment("property", told)
    return RuleAsked(
        _wanted(said, "name"), _wanted(said, "quota"), _wanted(said, "window_seconds"), said.get("unit", "request"),
        segment,
    )  # fmt: skip


class RateLimits(PriceView):
    """GET, POST /v1/rate-limits"""

    def get(self, request: Request) -> Response:
        return result([_rule_told(row) for row in queries.rules(caller_of(request).organization_id)])

    def post(self, request: Request) -> Response:
        return result(_rule_told(actions.save_rule(admin_behind(request), _rule_asked(request))), 201)


class OneRateLimit(PriceView):
    """PUT, DELETE /v1/rate-limits/{id}"""

    def put(self, request: Request, rule_id: str) -> Response:
        author, row = admin_behind(request), _rule(request, rule_id)
        return result(_rule_told(actions.save_rule(author, _rule_asked(request), row)))

    def delete(self, request: Request, rule_id: str) -> Response:
        author = admin_behind(request)
        actions.remove_rule(author, _rule(request, rule_id))
        return Response(status=204)


def _rule(request: Request, rule_id: str) -> RateLimitRule:
    row = queries.rules(caller_of(request).organization_id).filter(pk=number(rule_id)).first()
    if row is None:
        raise Refused("Rate limit rule not found", 404)
    return row


# --- budgets ----------------------------------------------------------------------------------------------------------

_BUDGET: Kinds = {"name": str, "limitUsd": (int, float, str), "period": str, "hours": int, "timeZone": str, "by": str,
           "property": str, "value": str, "warnPercents": list, "isHard": bool}  # fmt: skip


def _budget_told(row: Budget, *, with_segments: bool = False) -> dict[str, Any]:
    budget, at = queries.budget(row), now().timestamp()
    period, segment = budget.period, budget.segment
    told: dict[str, Any] = {
        "id": str(row.pk), "name": row.name, "limitUsd": row.limit_nano_usd / NANO, "period": period.span,
        "hours": period.hours or None, "timeZone": period.zone, "by": segment.by, "property": segment.name or None,
        "value": segment.value or None, "warnPercents": list(budget.warn_percents), "isHard": row.is_hard,
        "since": _moment(period.since(at)), "resetsAt": _moment(period.ends(at)),
        "lookedAt": row.looked_at.isoformat() if row.looked_at else None, "trouble": row.trouble or None,
    }  # fmt: skip
    if with_segments:
        states = row.states.filter(organization_id=row.organization_id).order_by("-spent_nano_usd", "value")
        told["segments"] = [
            {
                "value": state.value or None, "spentUsd": state.spent_nano_usd / NANO,
                "reservedUsd": state.reserved_nano_usd / NANO, "driftUsd": state.drift_nano_usd / NANO,
                "requests": state.requests, "unpriced": state.unpriced, "since": state.since.isoformat(),
            }
            for state in states
        ]  # fmt: skip
    return told


def _moment(seconds: int | None) -> str | None:
    return None if seconds is None else from_microseconds(seconds * 10**6).isoformat()


def _budget_asked(request: Request, before: Budget | None = None) -> BudgetAsked:
    said = {**(_fields(before) if before else {}), **_said(request, _BUDGET)}
    percents = said.get("warnPercents", [])
    if any(not isinstance(each, int) or isinstance(each, bool) for each in percents):
        raise Refused("warnPercents: a list of whole numbers.", field="warnPercents")
    period = Period(said.get("period", "month"), said.get("hours", 0), said.get("timeZone", "UTC"))
    return BudgetAsked(
        _wanted(said, "name"), actions.nano_usd(_wanted(said, "limitUsd")), period, _segment(said), percents,
        said.get("isHard", True),
    )  # fmt: skip


def _fields(row: Budget) -> dict[str, Any]:
    return {key: value for key, value in _budget_told(row).items() if key in _BUDGET and value is not None}


class Budgets(PriceView):
    """GET, POST /v1/budgets"""

    def get(self, request: Request) -> Response:
        rows = queries.budgets(caller_of(request).organization_id)
        return result([_budget_told(row) for row in rows])

    def post(self, request: Request) -> Response:
        return result(_budget_told(actions.save_budget(admin_behind(request), _budget_asked(request))), 201)


class OneBudget(PriceView):
    """GET, PATCH, DELETE /v1/budgets/{id}"""

    def get(self, request: Request, budget_id: str) -> Response:
        return result(_budget_told(_budget(request, budget_id), with_segments=True))

    def patch(self, request: Request, budget_id: str) -> Response:
        author, row = admin_behind(request), _budget(request, budget_id)
        return result(_budget_told(actions.save_budget(author, _budget_asked(request, row), row)))

    def delete(self, request: Request, budget_id: str) -> Response:
        author = admin_behind(request)
        actions.remove_budget(author, _budget(request, budget_id))
        return result(None)


def _budget(request: Request, budget_id: str) -> Budget:
    row = queries.budgets(caller_of(request).organization_id).filter(pk=number(budget_id)).first()
    if row is None:
        raise Refused("There is no budget with this id.", 404)
    return row


# --- sessions ---------------------------------------------------------------------------------------------------------

_GUARD: Kinds = {
    "maxCostUsd": (int, float, str), "maxCalls": int, "maxDepth": int, "maxRepeats": int
}
_COUNTS = {"maxCalls": "max_calls", "maxDepth": "max_depth", "maxRepeats": "max_repeats"}


class Sessions(PriceView):
    """GET, PUT /v1/session-guard"""

    def get(self, request: Request) -> Response:
        row = SessionGuard.objects.filter(organization_id=caller_of(request).organization_id).first()
        return result(_guard_told(row))

    def put(self, request: Request) -> Response:
        author, said = admin_behind(request), _said(request, _GUARD)
        cost = actions.nano_usd(said["maxCostUsd"]) if "maxCostUsd" in said else None
        bounds = {name: said.get(key) for key, name in _COUNTS.items()}
        return result(_guard_told(actions.save_session_guard(author, {"max_cost_nano_usd": cost, **bounds})))


def _guard_told(row: SessionGuard | None) -> dict[str, Any]:
    row = row or SessionGuard()
    cost = row.max_cost_nano_usd
    return {
        "maxCostUsd": None if cost is None else cost / NANO,
        **{key: getattr(row, name) for key, name in _COUNTS.items()},
    }
