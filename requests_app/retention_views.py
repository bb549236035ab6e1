"""Settings → Retention, what a policy would free, and pinning a session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from lib.clock import now
from requests_app import filter_url, keeping, retention_storage
from requests_app.filters import EQUAL, Leaf
from requests_app.queries import TooSlow
from requests_app.retention import Policy
from requests_app.retention_storage import Day

LONGEST_DAYS = 3650
LONGEST_SESSION_ID = 2_000
DRAWN_DAYS = 60
CHART_HEIGHT = 60.0


class PolicyForm(forms.Form):
    """Days of three kinds; an empty one is for ever."""

    body_days = forms.IntegerField(label="Bodies", min_value=1, max_value=LONGEST_DAYS, required=False)
    request_days = forms.IntegerField(label="Requests", min_value=1, max_value=LONGEST_DAYS, required=False)
    count_days = forms.IntegerField(label="Counts", min_value=1, max_value=LONGEST_DAYS, required=False)

    def clean(self) -> dict[str, Any]:
        said = self.cleaned_data
        if self.errors:
            return said
        bodies, requests, counts = (said.get(name) for name in ("body_days", "request_days", "count_days"))
        if requests is not None and bodies is not None and bodies > requests:
            self.add_error("body_days", f"A body goes with its request: at most {requests} days.")
        if counts is not None and (requests is None or counts < requests):
            least = "unlimited, as requests are" if requests is None else f"at least {requests} days"
            self.add_error("count_days", f"Counts outlive what was counted: {least}.")
        return said

    @property
    def policy(self) -> Policy:
        return Policy(**self.cleaned_data)


HINTS = {
    "body_days": "The full text of prompts and replies: by far the most of the storage.",
    "request_days": "One row per call: model, tokens, cost, user, properties, the first words.",
    "count_days": "The sums behind dashboards. They stay right when the requests are gone.",
}


@require_http_methods(["GET", "HEAD", "POST"])
@page()
def settings(request: OrganizationRequest) -> HttpResponse:
    """The policy, what it frees, storage by day, pins and past nights. Admins change it."""
    organization_id = request.membership.organization_id
    may_edit = is_at_least(request.membership.role, Role.ADMIN)
    policy = keeping.policy_of(organization_id)
    form = PolicyForm(request.POST if request.method == "POST" and may_edit else None, initial=_initial(policy))
    if form.is_bound and form.is_valid():
        keeping.set_policy(request.membership, form.policy)
        messages.success(request, "Retention is changed. It is applied by the next run.")
        return redirect("retention")
    context = {
        "form": form, "may_edit": may_edit, "policy": policy, "next_run": keeping.next_run(now()),
        "fields": [(form[name], hint, policy_days) for name, hint, policy_days in _fields(policy)],
        "pins": keeping.pins(organization_id), "runs": keeping.runs(organization_id), "longest": LONGEST_DAYS,
        **_stored(organization_id, policy),
    }  # fmt: skip
    return render(request, "requests_app/retention.html", context, status=400 if form.errors else 200)


def _initial(policy: Policy) -> dict[str, Any]:
    return {name: getattr(policy, name) for name in HINTS}


def _fields(policy: Policy) -> list[tuple[str, str, int | None]]:
    return [(name, hint, getattr(policy, name)) for name, hint in HINTS.items()]


@require_safe
@page()
def plan(request: OrganizationRequest) -> HttpResponse:
    """What a policy, not yet saved, would free today."""
    form = PolicyForm(request.GET)
    organization_id = request.membership.organization_id
    policy = form.policy if form.is_valid() else keeping.policy_of(organization_id)
    complaint = "" if form.is_valid() else " ".join(str(text) for errors in form.errors.values() for text in errors)
    context = {**_stored(organization_id, policy), "complaint": complaint, "next_run": keeping.next_run(now())}
    return render(request, "requests_app/_plan.html", context)


def _stored(organization_id: int, policy: Policy) -> dict[str, Any]:
    try:
        days, counts = keeping.storage(organization_id), keeping.counts(organization_id)
    except TooSlow:
        return {"trouble": "There is too much stored to be counted in time; retention itself is not hindered by it."}
    moment = now()
    end = policy.cutoff("counts", moment)
    return {
        "freed": retention_storage.plan(days, policy, moment),
        "freed_counts": sum(rows for day, rows in counts.items() if end and day < end.date()), "totals": _totals(days),
        "bars": _bars(days, moment.date()), "chart": {"width": DRAWN_DAYS * 10, "height": CHART_HEIGHT},
        "drawn_days": DRAWN_DAYS, "months": _months(days),
        "cutoffs": {what: policy.cutoff(what, moment) for what in ("bodies", "requests", "counts")},
    }  # fmt: skip


def _totals(days: Sequence[Day]) -> Mapping[str, int]:
    names = ("requests", "request_bytes", "bodies", "body_bytes")
    return {name: sum(getattr(day, name) for day in days) for name in names}


def _months(days: Sequence[Day]) -> list[tuple[date, Mapping[str, int]]]:
    """Newest first."""
    starts = sorted({day.day.replace(day=1) for day in days}, reverse=True)
    return [(start, _totals([day for day in days if day.day.replace(day=1) == start])) for start in starts]


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of the chart; lengths in its own units, bodies on top of rows."""

    day: Day
    x: int
    rows_top: float
    rows_height: float
    bodies_top: float
    bodies_height: float


def _bars(days: Sequence[Day], today: date) -> list[Bar]:
    first = today - timedelta(days=DRAWN_DAYS - 1)
    drawn = [day for day in days if first <= day.day <= today]
    largest = max((day.request_bytes + day.body_bytes for day in drawn), default=0) or 1
    return [_bar(day, (day.day - first).days * 10, CHART_HEIGHT / largest) for day in drawn]


def _bar(day: Day, x: int, scale: float) -> Bar:
    rows, bodies = round(day.request_bytes * scale, 2), round(day.body_bytes * scale, 2)
    top = round(CHART_HEIGHT - rows, 2)
    return Bar(day, x, top, rows, round(top - bodies, 2), bodies)


# --- erase a user, pins -----------------------------------------------------------------------------------------------


@require_POST
@page(role=Role.ADMIN)
def erase_user(request: OrganizationRequest) -> HttpResponse:
    """To the page that deletes by filter, asking for everything of one end user."""
    user = request.POST.get("user", "").replace("\x00", "").strip()
    if not user:
        messages.error(request, "Say which user: the id your application sends.")
        return redirect("retention")
    query = QueryDict(mutable=True)
    query["user"] = filter_url.text_of(Leaf("user", EQUAL, user))
    query["kind"], query["range"] = filter_url.KNOWN, "all"
    return redirect(f"{reverse('requests-delete')}?{query.urlencode()}")


@require_POST
@page(role=Role.MEMBER)
def pin_session(request: OrganizationRequest) -> HttpResponse:
    """Pins a session, or with `unpin=1` lets it go; back to where one came from."""
    session_id = request.POST.get("session_id", "").replace("\x00", "")[:LONGEST_SESSION_ID]
    if session_id and request.POST.get("unpin"):
        keeping.unpin(request.membership, session_id)
    elif session_id:
        keeping.pin(request.membership, session_id)
    back = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if is_ours and back.startswith("/") else reverse("retention"))
