"""Writing paths of pages: each sends one record down the line and writes nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from accounts_app import audit
from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, page
from ingest_app import erasing, late, records
from ingest_app.amendments import amended
from ingest_app.spool import SpoolUnavailable
from lib.clock import now
from requests_app import queries
from requests_app.filters import FEEDBACK


@require_POST
@page(role=Role.ADMIN)
def delete_request(request: OrganizationRequest, request_id: UUID) -> HttpResponse:
    """Erases one request with its bodies and counts; the line does it a moment later."""
    organization_id = request.membership.organization_id
    late.send(records.forget(records.Forget(organization_id, (request_id,), now())))
    audit.record(organization_id, request.user, "request deleted", request_id=str(request_id))
    return HttpResponseClientRedirect("/requests") if request.htmx else redirect("requests")


RATINGS: Mapping[str, int | None] = {"up": 1, "down": 0, "none": None}


@require_POST
@page(role=Role.MEMBER)
def rate_request(request: OrganizationRequest, request_id: UUID) -> HttpResponse:
    """A thumb up or down, or none any more: shown at once, written by the line a moment later."""
    row = queries.one(request.membership.organization_id, str(request_id))
    rating = request.POST.get("rating", "")
    if row is None or rating not in RATINGS:
        raise Http404("There is no such request, or no such rating.")
    fact = records.Amendment(row.organization_id, row.id, now(), scores={FEEDBACK: RATINGS[rating]})
    trouble = ""
    try:
        late.send(records.amendment(fact))
        row = amended(row, fact)
    except (SpoolUnavailable, TimeoutError):
        trouble = "This could not be kept: the spool is full or its disk refuses. Try again."
    if not request.htmx:
        return redirect("request", request_id)
    context = {"row": row, "may_rate": True, "trouble": trouble}
    return render(request, "requests_app/_scores.html", context)


@require_http_methods(["GET", "POST"])
@page(role=Role.ADMIN)
def delete_requests(request: OrganizationRequest) -> HttpResponse:
    """Erases all requests of a list, once their exact number has been typed; the line does it day by day."""
    asked = QueryDict(request.POST.get("asked", "")) if request.method == "POST" else request.GET
    erasure = erasing.read(request.membership.organization_id, asked)
    typed = request.POST.get("confirm", "").strip().replace(",", "")
    trouble = erasure.complaint
    if request.method == "POST" and erasure.rows and not trouble:
        if typed == str(erasure.rows):
            trouble = _erase(request, erasure)
            if not trouble:
                return redirect("requests")
        else:
            trouble = f"There are {erasure.rows:,} requests; you typed {typed or 'nothing'}. Nothing was deleted."
    context = {"asked": erasing.freeze(asked, erasure), "back": erasing.thaw(asked)}
    return render(request, "ingest_app/delete.html", {
        **context, "erasure": erasure, "trouble": trouble, "staying": [] if trouble else erasing.staying(erasure),
    })


def _erase(request: OrganizationRequest, erasure: erasing.Erasure) -> str:
    """Sends the orders; answers what stood in the way."""
    try:
        for order in erasing.orders(erasure):
            late.send(records.forget_where(order))
    except (SpoolUnavailable, TimeoutError):
        return "The order could not be kept: the spool is full or its disk refuses. Nothing more is deleted; try again."
    audit.record(request.membership.organization_id, request.user, "requests deleted", **erasing.told(erasure))
    messages.success(request, f"{erasure.rows:,} requests are being deleted, with their bodies and what was counted.")
    return ""
