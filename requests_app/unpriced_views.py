"""The unpriced inbox as a page, and its repairs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from lib import periods
from lib.clock import now
from lib.periods import BadPeriod, Period
from llm.providers import all_providers
from requests_app import price_rules, unpriced
from requests_app.price_rules import Author, BadRule
from requests_app.queries import TooSlow

DEFAULT_RANGE = "30d"
FIRST = datetime(2000, 1, 1, tzinfo=UTC)


@require_safe
@page()
def inbox(request: OrganizationRequest) -> HttpResponse:
    """Models without price, replies without usage, usage keys no rule knows."""
    trouble, found = "", None
    try:
        period = periods.read(request.GET, now=now(), default=DEFAULT_RANGE)
    except BadPeriod as error:
        trouble, period = str(error), Period(None, None, DEFAULT_RANGE)
    is_all = request.GET.get("dismissed") == "1"
    try:
        organization_id = request.membership.organization_id
        found = unpriced.read(organization_id, period.since or FIRST, with_dismissed=is_all)
    except TooSlow:
        trouble = "There is too much without a cost to be counted in time: choose a shorter range."
    context = {
        "inbox": found, "trouble": trouble, "range": period.preset or DEFAULT_RANGE, "presets": periods.PRESETS,
        "is_all": is_all, "may_price": is_at_least(request.membership.role, Role.ADMIN),
        "may_dismiss": is_at_least(request.membership.role, Role.MEMBER), "providers": all_providers(),
    }  # fmt: skip
    return render(request, "requests_app/unpriced.html", context)


def _said(request: OrganizationRequest, *names: str) -> list[str]:
    return [request.POST.get(name, "").replace("\x00", "")[: unpriced.LONGEST] for name in names]


def _back(request: OrganizationRequest) -> HttpResponse:
    asked = {key: value for key in ("range", "dismissed") if (value := request.POST.get(key))}
    return redirect(f"{reverse('unpriced')}?{urlencode(asked)}")


@require_POST
@page(role=Role.MEMBER)
def dismiss(request: OrganizationRequest) -> HttpResponse:
    """Hides a line, or with `restore=1` shows it again."""
    what, provider, name = _said(request, "what", "provider", "name")
    change: Any = unpriced.restore if request.POST.get("restore") else unpriced.dismiss
    if what in unpriced.SECTIONS:
        change(request.membership, what, provider, name=name)
    return _back(request)


@require_POST
@page(role=Role.ADMIN)
def alias(request: OrganizationRequest) -> HttpResponse:
    """Gives a model the price of another; then on to pricing its requests by it."""
    provider, model, like, like_provider = _said(request, "provider", "name", "like", "like_provider")
    author = Author(request.membership.organization_id, request.user)
    try:
        rows = price_rules.alias(
            author, provider=provider, model=model, like_provider=like_provider.strip().lower(), like=like.strip()
        )
    except BadRule as error:
        messages.error(request, str(error))
        return _back(request)
    messages.success(request, f"{model} has the price of {like} now ({rows} dated row{'s' if rows > 1 else ''}).")
    asked = {"model": model, "provider": provider, "only_unpriced": "1", "range": request.POST.get("range", "30d")}
    return redirect(f"{reverse('reprice')}?{urlencode(asked)}")
