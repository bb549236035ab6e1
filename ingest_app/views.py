"""Writing paths of pages: each sends one record down the line and writes nothing itself."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from accounts_app import audit
from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, page
from ingest_app import late, records
from lib.clock import now


@require_POST
@page(role=Role.ADMIN)
def delete_request(request: OrganizationRequest, request_id: UUID) -> HttpResponse:
    """Erases one request with its bodies and counts; the line does it a moment later."""
    organization_id = request.membership.organization_id
    late.send(records.forget(records.Forget(organization_id, (request_id,), now())))
    audit.record(organization_id, request.user, "request deleted", request_id=str(request_id))
    return HttpResponseClientRedirect("/requests") if request.htmx else redirect("requests")
