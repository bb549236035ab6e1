"""Saving and forgetting a view of a page."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts_app.permissions import OrganizationRequest, page
from requests_app import saved
from requests_app.saved import CannotSave

PAGES = frozenset({"requests", "dashboard", "sessions", "users", "properties", "cache", "models"})


@require_POST
@page()
def save_view(request: OrganizationRequest) -> HttpResponse:
    """Names the address it was posted from; back to it."""
    which = request.POST.get("page", "requests")
    which = which if which in PAGES else "requests"
    query = request.POST.get("query", "")
    try:
        made = saved.save(
            request.membership, request.POST.get("name", ""), page=which, query=query,
            is_shared=request.POST.get("shared") == "1",
        )  # fmt: skip
    except CannotSave as error:
        messages.error(request, str(error))
        return redirect(f"{reverse(which)}?{saved.cleaned(query)}")
    messages.success(request, f"The view “{made.name}” is saved.")
    return redirect(f"{reverse(which)}?{made.query}")


@require_POST
@page()
def delete_view(request: OrganizationRequest, filter_id: int) -> HttpResponse:
    if not saved.remove(request.membership, filter_id):
        messages.error(request, "Views are deleted by who made them; shared ones by admins too.")
    back = QueryDict(request.POST.get("query", "")).urlencode()
    which = request.POST.get("page", "requests")
    return redirect(f"{reverse(which if which in PAGES else 'requests')}?{back}")
