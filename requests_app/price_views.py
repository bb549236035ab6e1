"""Settings → Prices: an organisation's own prices, and which price a model would get."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from lib.clock import now
from llm.providers import all_providers
from llm.units import UNITS
from requests_app import price_forms, price_rules
from requests_app.models import ModelPrice
from requests_app.price_forms import PriceForm
from requests_app.price_rules import Author, BadRule

ROWS_SHOWN = 500
WHO = "Prices are set by admins and owners; everybody's by who runs this server."


def _author(request: OrganizationRequest) -> Author:
    return Author(request.membership.organization_id, request.user)


def _may_change(request: OrganizationRequest, row: ModelPrice) -> bool:
    if row.organization_id is None:
        return request.user.is_staff
    return _is_admin(request)


@require_safe
@page()
def price_list(request: OrganizationRequest) -> HttpResponse:
    """Own prices with what each says; and a box that tells what a model would cost."""
    rows = price_rules.current(request.membership.organization_id)[: ROWS_SHOWN + 1]
    context = {
        "rows": [(row, price_rules.match_words(row.match), _may_change(request, row)) for row in rows[:ROWS_SHOWN]],
        "is_cut": len(rows) > ROWS_SHOWN, "units": UNITS, "now": now(), "providers": all_providers(),
        "may_add": _is_admin(request) or request.user.is_staff, **_tested(request),
    }  # fmt: skip
    return render(request, "requests_app/prices.html", context)


@require_safe
@page()
def price_test(request: OrganizationRequest) -> HttpResponse:
    """Which price a model would get at a provider on a day."""
    return render(request, "requests_app/_price_test.html", _tested(request))


def _tested(request: OrganizationRequest) -> dict[str, object]:
    said = {key: request.GET.get(key, "").replace("\x00", "").strip()[:500] for key in ("model", "provider", "day")}
    tested: dict[str, object] = {"asked": said, "units": UNITS}
    if said["model"]:
        at = _day(said["day"]) or now()
        organization_id = request.membership.organization_id
        tested["finding"] = price_rules.find(organization_id, said["provider"].lower(), said["model"], at=at)
        tested["at"] = at
    return tested


def _day(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(12), UTC)
    except ValueError:
        return None


@require_http_methods(["GET", "HEAD", "POST"])
@page()
def add_price(request: OrganizationRequest) -> HttpResponse:
    """A new price; `model`, `provider` and `next` of the address fill it in."""
    if not _is_admin(request) and not request.user.is_staff:
        raise PermissionDenied(WHO)
    form = PriceForm(
        request.POST if request.method == "POST" else None, initial=_asked(request),
        may_set_everybodys=request.user.is_staff,
    )  # fmt: skip
    if form.is_bound and (rule := form.rule(request.membership.organization_id)):
        if rule.organization_id is not None and not _is_admin(request):
            raise PermissionDenied(WHO)
        try:
            made = price_rules.add(_author(request), rule)
        except BadRule as error:
            form.refuse(error)
        else:
            return _done(request, made, f"The price “{made.model_key}” is set.")
    return _form(request, form, None)


def _asked(request: OrganizationRequest) -> dict[str, str]:
    model, provider = request.GET.get("model", ""), request.GET.get("provider", "")
    return {"match": "equals", "pattern": model, "name": model, "provider": provider}


def _is_admin(request: OrganizationRequest) -> bool:
    return is_at_least(request.membership.role, Role.ADMIN)


@require_http_methods(["GET", "HEAD", "POST"])
@page()
def change_price(request: OrganizationRequest, price_id: int) -> HttpResponse:
    """A price, its history, and changing it from a day on."""
    row = _row(request, price_id)
    form = PriceForm(request.POST if request.method == "POST" else None, initial=price_forms.initial(row))
    if form.is_bound and (rule := form.rule(request.membership.organization_id, before=row)):
        try:
            made = price_rules.change(_author(request), row, replace(rule, organization_id=row.organization_id))
        except BadRule as error:
            form.refuse(error)
        else:
            return _done(request, made, f"The price “{made.model_key}” is changed.")
    return _form(request, form, row)


@require_POST
@page()
def remove_price(request: OrganizationRequest, price_id: int) -> HttpResponse:
    row = _row(request, price_id)
    price_rules.remove(_author(request), row)
    messages.success(request, f"The price “{row.model_key}” is removed. What it was charged for keeps its cost.")
    return redirect("prices")


def _row(request: OrganizationRequest, price_id: int) -> ModelPrice:
    """One the asker may change. Raises Http404, PermissionDenied."""
    row = price_rules.one(request.membership.organization_id, price_id)
    if row is None:
        raise Http404("There is no such price, or it has been changed meanwhile.")
    if not _may_change(request, row):
        raise PermissionDenied(WHO)
    return row


def _form(request: OrganizationRequest, form: PriceForm, row: ModelPrice | None) -> HttpResponse:
    context = {
        "form": form, "row": row, "providers": all_providers(), "next": request.GET.get("next", ""),
        "history": price_rules.history(row) if row else (), "units": UNITS,
    }  # fmt: skip
    return render(request, "requests_app/price.html", context, status=400 if form.errors else 200)


def _done(request: OrganizationRequest, made: ModelPrice, sentence: str) -> HttpResponse:
    """On to pricing what is there by it, where one came for that."""
    messages.success(request, f"{sentence} New requests have it within seconds.")
    model = made.match.get("equals")
    if request.POST.get("next") == "reprice":
        asked = {"model": model or "", "provider": made.provider, "only_unpriced": "1", "range": "30d"}
        return redirect(f"{reverse('reprice')}?{urlencode(asked)}")
    return redirect("prices")
