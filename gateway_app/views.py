"""Providers, and Settings → Routes."""

from __future__ import annotations

from dataclasses import replace

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from gateway_app import forms, queries, resting_shown, routing
from gateway_app.forms import RouteForm, Targets
from gateway_app.models import GatewayRoute
from gateway_app.queries import Tried
from gateway_app.refused import REFUSED
from gateway_app.routing import BadRoute
from llm.exchange import ATTEMPT
from llm.providers import all_providers
from metrics_app.pages import reading, tables
from metrics_app.pages.reading import View
from metrics_app.pages.tables import Column, Kind, Table
from metrics_app.question import BadQuestion
from requests_app import asking, filter_bar
from requests_app.filters import EQUAL, FilterError, Leaf
from requests_app.queries import Question, TooSlow, has_any

PROVIDERS = Kind(
    "providers", "Provider", ("provider",),
    (tables.REQUESTS, replace(tables.ERRORS, is_narrow=True), tables.P50, replace(tables.P95, is_narrow=True),
     Column("ttft", "First token", "duration", "ttft_p50", says="half of the streams began within this"),
     tables.SPEED, tables.COST),
    without=REFUSED,
)  # fmt: skip
UNANSWERED = (TooSlow, BadQuestion)


@require_safe
@page()
def providers(request: OrganizationRequest) -> HttpResponseBase:
    """How each did in the range, and what was tried before answers came."""
    view, complaint = reading.read(request), ""
    try:
        if said := asking.said(view.asked, request.GET):
            return redirect(said)
    except FilterError as error:
        complaint = error.message
    context = {
        **filter_bar.context(request, view.asked, "", complaint=complaint), "view": view,
        "is_unused": not has_any(view.organization_id), "keys_url": _url("provider-keys"),
        "health": resting_shown.of(view.organization_id),
        **({"table": None} if view.asked.complaint else _health(request, view)),
    }  # fmt: skip
    return render(request, "gateway_app/providers.html", context)


def _health(request: OrganizationRequest, view: View) -> dict[str, object]:
    try:
        table, has_refused = _table(request, view)
    except UNANSWERED as error:
        return {"table": None, "trouble": str(error)}
    return {"table": table, "has_refused": has_refused, **_tried(view, table)}


def _table(request: OrganizationRequest, view: View) -> tuple[Table, bool]:
    """And whether it counts what was refused, too: where finding that takes too long. Raises TooSlow, BadQuestion."""
    try:
        return tables.table(request, PROVIDERS, view), False
    except TooSlow:
        return tables.table(request, replace(PROVIDERS, without=None), view), True


def _tried(view: View, table: Table) -> dict[str, object]:
    """Each line with what was tried there; None where that took too long to find out."""
    period = view.asked.period
    try:
        found = queries.tried(Question(view.organization_id, view.tree, period.since, period.until))
    except TooSlow:
        return {"lines": [(line, None, "") for line in table.lines], "is_slow": True}
    lines = [(line, found.get(line.value, Tried()), _attempts_link(view, line.value)) for line in table.lines]
    known = {line.value for line in table.lines}
    others = [(slug, one, _attempts_link(view, slug)) for slug, one in sorted(found.items()) if slug not in known]
    return {"lines": lines, "others": others, "rescued": sum(one.saved for one in found.values())}


def _attempts_link(view: View, slug: str) -> str:
    return reading.requests_link(view, (Leaf("provider", EQUAL, slug), Leaf("kind", EQUAL, ATTEMPT)))


def _url(name: str) -> str:
    """Empty where no room has such a page."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


@require_safe
@page()
def routes(request: OrganizationRequest) -> HttpResponse:
    rows = routing.all_of(request.membership.organization_id)
    context = {
        "rows": [(row, [routing.words(target) for target in row.targets]) for row in rows],
        "may_change": is_at_least(request.membership.role, Role.ADMIN),
    }
    return render(request, "gateway_app/routes.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page(role=Role.ADMIN)
def add_route(request: OrganizationRequest) -> HttpResponse:
    return _form(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page(role=Role.ADMIN)
def change_route(request: OrganizationRequest, route_id: int) -> HttpResponse:
    return _form(request, _row(request, route_id))


@require_POST
@page(role=Role.ADMIN)
def remove_route(request: OrganizationRequest, route_id: int) -> HttpResponse:
    row = _row(request, route_id)
    routing.remove(request.user, row)
    messages.success(request, f"The route “{row.name}” is removed. Requests that name it get 400 within seconds.")
    return redirect("gateway-routes")


def _row(request: OrganizationRequest, route_id: int) -> GatewayRoute:
    row = routing.one(request.membership.organization_id, route_id)
    if row is None:
        raise Http404("There is no such route.")
    return row


def _form(request: OrganizationRequest, row: GatewayRoute | None) -> HttpResponse:
    said = request.POST if request.method == "POST" else None
    initial, lines = forms.initial(row) if row else ({}, [])
    form, targets = RouteForm(said, initial=initial), Targets(said, initial=lines, prefix="target")
    if said is not None and (route := forms.read(form, targets)) is not None:
        try:
            made = routing.save(request.membership.organization_id, request.user, route, row=row)
        except BadRoute as error:
            forms.refuse(form, targets, error)
        else:
            messages.success(request, f"The route “{made.name}” is saved. New requests have it within seconds.")
            return redirect("gateway-routes")
    is_bad = said is not None
    context = {"form": form, "targets": targets, "row": row, "providers": all_providers()}
    return render(request, "gateway_app/route.html", context, status=400 if is_bad else 200)
