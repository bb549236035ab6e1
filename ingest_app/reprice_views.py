"""Settings → Re-price: choose, look at the difference, apply, stop, undo."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts_app.models import Role, User
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from ingest_app import reprice_orders as orders
from ingest_app.models import Repricing
from ingest_app.reprice_orders import BadOrder
from lib import periods
from lib.clock import now
from llm.providers import all_providers
from requests_app.price_rules import Author
from requests_app.store_costs import Extent

RUNS_SHOWN = 20
DAYS_SHOWN = 200
MODELS_SHOWN = 100
DEFAULT_RANGE = "30d"


def _author(request: OrganizationRequest) -> Author:
    return Author(request.membership.organization_id, request.user)


@require_http_methods(["GET", "HEAD", "POST"])
@page()
def reprice(request: OrganizationRequest) -> HttpResponse:
    """The form, and the runs of the past. Admins begin one."""
    organization_id = request.membership.organization_id
    may_order = is_at_least(request.membership.role, Role.ADMIN)
    complaint = ""
    if request.method == "POST" and may_order:
        try:
            extent = extent_of(organization_id, request.POST, zone=timezone.get_current_timezone())
            return redirect("repricing", orders.look(_author(request), extent).pk)
        except (BadOrder, periods.BadPeriod) as error:
            complaint = str(error)
    found = list(orders.runs(organization_id)[:RUNS_SHOWN])
    people = User.objects.in_bulk({run.created_by_id for run in found if run.created_by_id})
    context = {
        "may_order": may_order, "complaint": complaint, "providers": all_providers(), "presets": periods.PRESETS,
        "asked": _asked(request.POST if request.method == "POST" else request.GET),
        "runs": [(run, people.get(run.created_by_id or 0)) for run in found],
    }  # fmt: skip
    return render(request, "ingest_app/reprice.html", context, status=400 if complaint else 200)


def _asked(said: QueryDict) -> dict[str, Any]:
    return {
        "model": "\n".join(_names(said, "model")), "provider": ", ".join(_names(said, "provider")),
        "only_unpriced": said.get("only_unpriced") == "1", "range": said.get("range") or DEFAULT_RANGE,
        "from": said.get("from", ""), "to": said.get("to", ""),
    }  # fmt: skip


def extent_of(organization_id: int, said: QueryDict, *, zone: tzinfo = UTC) -> Extent:
    """The rows a form or an address means. Raises BadPeriod."""
    fields: Mapping[str, str] = {key: said.get(key, "") for key in ("range", "from", "to")}
    if fields["range"]:
        fields = {"range": fields["range"]}
    period = periods.read(fields, now=now(), zone=zone, default=DEFAULT_RANGE)
    return Extent(
        organization_id, period.since or orders.FIRST, period.until or now(), _names(said, "model"),
        [name.lower() for name in _names(said, "provider")], only_unpriced=said.get("only_unpriced") == "1",
    )  # fmt: skip


def _names(said: QueryDict, key: str) -> list[str]:
    """Names on lines or between commas; a model's own name has neither."""
    found = [name.strip() for text in said.getlist(key) for name in text.replace(",", "\n").splitlines()]
    return list(dict.fromkeys(name for name in found if name))


@require_safe
@page()
def repricing(request: OrganizationRequest, run_id: int) -> HttpResponse:
    """One run; asked by htmx, only what changes of it."""
    run = get_object_or_404(orders.runs(request.membership.organization_id), pk=run_id)
    template = "ingest_app/_repricing.html" if request.htmx else "ingest_app/repricing.html"
    return render(request, template, _told(request, run))


def _told(request: OrganizationRequest, run: Repricing) -> dict[str, Any]:
    days = orders.by_day(run.found) if run.state != orders.State.PREVIEWING else []
    models = orders.by_model(run.found)
    share = 0 if not run.total else min(100, 100 * run.seen // run.total)
    if run.state == orders.State.UNDOING or run.resume_as == orders.State.UNDOING:
        share = 100 * (run.undone + run.left_alone) // max(1, run.changed)
    return {
        "run": run, "total": orders.total(run.found), "models": models[:MODELS_SHOWN],
        "models_hidden": max(0, len(models) - MODELS_SHOWN), "days": days[:DAYS_SHOWN],
        "days_hidden": max(0, len(days) - DAYS_SHOWN), "share": share, "is_working": run.state in orders.WORKING,
        "may_order": is_at_least(request.membership.role, Role.ADMIN), "may_undo": orders.may_undo(run),
        "scale": max((abs(one.difference) for one in models), default=0),
    }  # fmt: skip


@require_POST
@page(role=Role.ADMIN)
def order(request: OrganizationRequest, run_id: int, what: str) -> HttpResponse:
    """apply, again, pause, resume, cancel or undo."""
    if what not in orders.ORDERS:
        raise Http404
    try:
        orders.order(_author(request), run_id, what)
    except Repricing.DoesNotExist:
        raise Http404 from None
    except BadOrder as error:
        messages.error(request, str(error))
    return redirect("repricing", run_id)
