"""Repricing runs as a REST API: `/v1/reprice`. Looking at them takes any key, ordering one an admin has made."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.permissions import caller_of
from ingest_app import reprice_orders as orders
from ingest_app import repricing
from ingest_app.models import Repricing
from ingest_app.reprice_orders import BadOrder, Sums
from ingest_app.reprice_views import extent_of
from lib.periods import BadPeriod
from requests_app.price_people import PriceView, Refused, admin_behind, number, result

RUNS_TOLD = 100
_FIELDS = {"from", "to", "range", "models", "providers", "onlyUnpriced"}


def _told(run: Repricing, *, is_whole: bool = False) -> dict[str, Any]:
    said = {
        "id": str(run.pk), "state": run.state, "from": run.since.isoformat(), "to": run.until.isoformat(),
        "models": run.model_names, "providers": run.provider_names, "onlyUnpriced": run.only_unpriced,
        "requests": run.total, "seen": run.seen, "changed": run.changed, "undone": run.undone,
        "leftAlone": run.left_alone, "error": run.error or None,
        "undoUntil": run.undo_until.isoformat() if run.undo_until else None,
    }  # fmt: skip
    return {**said, "difference": [_named(row) for row in repricing.findings(run.found)]} if is_whole else said


def _named(row: dict[str, Any]) -> dict[str, Any]:
    sums = Sums(**row)
    return {
        "provider": sums.provider, "model": sums.model, "day": sums.day or None, "requests": sums.requests,
        "changed": sums.changed, "newlyPriced": sums.newly_priced, "newlyUnpriced": sums.newly_unpriced,
        "oldCost": _usd(sums.old_cost), "newCost": _usd(sums.new_cost),
    }  # fmt: skip


def _usd(nano: int | None) -> float | None:
    return None if nano is None else nano / 1e9


class _Repricing(PriceView):
    def one(self, request: Request, run_id: str) -> Repricing:
        found = orders.runs(caller_of(request).organization_id).filter(pk=number(run_id)).first()
        if found is None:
            raise Refused("There is no run with this id.", 404)
        return found


class Repricings(_Repricing):
    """GET, POST /v1/reprice"""

    def get(self, request: Request) -> Response:
        return result([_told(run) for run in orders.runs(caller_of(request).organization_id)[:RUNS_TOLD]])

    def post(self, request: Request) -> Response:
        author = admin_behind(request)
        try:
            extent = extent_of(author.organization_id, _query(request.data))
            return result(_told(orders.look(author, extent)), 201)
        except (BadOrder, BadPeriod) as error:
            raise Refused(str(error)) from error


def _query(data: Any) -> QueryDict:
    """The body as the page's form would say it. Raises Refused."""
    if not isinstance(data, dict) or data.keys() - _FIELDS:
        raise Refused(f"The body is a JSON object of {', '.join(sorted(_FIELDS))}.")
    said = QueryDict(mutable=True)
    for key in ("from", "to", "range"):
        if data.get(key) is not None:
            said[key] = str(data[key])
    for key, field in (("models", "model"), ("providers", "provider")):
        names = data.get(key) or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Refused(f"{key}: a list of texts.")
        said.setlist(field, names)
    if data.get("onlyUnpriced") is True:
        said["only_unpriced"] = "1"
    return said


class OneRepricing(_Repricing):
    """GET /v1/reprice/{id}"""

    def get(self, request: Request, run_id: str) -> Response:
        return result(_told(self.one(request, run_id), is_whole=True))


class RepricingOrder(_Repricing):
    """POST /v1/reprice/{id}/{what}"""

    def post(self, request: Request, run_id: str, what: str) -> Response:
        author, run = admin_behind(request), self.one(request, run_id)
        if what not in orders.ORDERS:
            raise Refused(f"There is no order {what}. There are: {', '.join(orders.ORDERS)}.")
        try:
            return result(_told(orders.order(author, run.pk, what)))
        except BadOrder as error:
            raise Refused(str(error), 409) from error
