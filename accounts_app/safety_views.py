"""Settings, Safety: what is screened on its way, and what is taken out before it is kept."""

from __future__ import annotations

from collections import Counter

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from accounts_app import queries, safety_actions
from accounts_app.models import Role, Safety
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from accounts_app.safety_forms import RedactionForm, ScreensForm
from lib.redact import Redactor
from llm.providers import by_slug

SCREENS = ("screens_replies", "blocks_when_failing", "classifier_url", "model_provider", "model_name")


@page()
@never_cache
@sensitive_post_parameters("classifier_token")
def safety(request: OrganizationRequest) -> HttpResponse:
    """Both halves; a POST saves the screens."""
    now = queries.safety(request.membership.organization_id)
    form = _screens_form(request, now)
    if request.method == "POST" and is_at_least(request.membership.role, Role.ADMIN) and form.is_valid():
        safety_actions.set_screens(request.membership, **form.cleaned_data)
        messages.success(request, "The screens are saved. They are in use within seconds.")
        return redirect("safety")
    return _page(request, now, form, RedactionForm(initial=_redaction(now)))


@require_POST
@page(role=Role.ADMIN)
@never_cache
@sensitive_post_parameters("text")
def redaction(request: OrganizationRequest) -> HttpResponseBase:
    """Saves what is taken out; the button "Try" only shows what would be left of a text."""
    now, form = queries.safety(request.membership.organization_id), RedactionForm(request.POST)
    if not form.is_valid():
        return _page(request, now, _screens_form(request, now, is_bound=False), form)
    kinds, patterns = form.cleaned_data["kinds"], form.cleaned_data["patterns"]
    if "try" not in request.POST:
        safety_actions.set_redaction(request.membership, kinds, patterns)
        messages.success(request, "Saved. What comes in is redacted within seconds; what is stored stays as it is.")
        return redirect("safety")
    counts: Counter[str] = Counter()
    left = Redactor(kinds, patterns).redact(form.cleaned_data["text"], counts)
    return _page(request, now, _screens_form(request, now, is_bound=False), form, left, sorted(counts.items()))


def _screens_form(request: OrganizationRequest, now: Safety, *, is_bound: bool = True) -> ScreensForm:
    stored = queries.provider_keys(request.membership.organization_id)
    named = [(key.provider, found.name if (found := by_slug(key.provider)) else key.provider) for key in stored]
    if now.model_provider and now.model_provider not in dict(named):
        named.append((now.model_provider, f"{now.model_provider} (no key is stored)"))
    data = request.POST or None if is_bound else None
    return ScreensForm(data, initial={name: getattr(now, name) for name in SCREENS}, providers=named)


def _redaction(now: Safety) -> dict[str, object]:
    lines = "\n".join(f"{name} = {text}" for name, text in now.redacted_patterns)
    return {"kinds": now.redacted_kinds, "patterns": lines}


def _page(
    request: OrganizationRequest, now: Safety, screens: ScreensForm, redacts: RedactionForm, left: str | None = None,
    counts: list[tuple[str, int]] | None = None,
) -> HttpResponse:  # fmt: skip
    context = {
        "now": now, "screens": screens, "redacts": redacts, "left": left, "counts": counts or [],
        "is_admin": is_at_least(request.membership.role, Role.ADMIN), "has_token": bool(now.classifier_sealed),
    }  # fmt: skip
    return render(request, "accounts_app/safety.html", context)
