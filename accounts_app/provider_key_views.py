"""Settings, Provider keys: the organisation's own, saved here and never shown again."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from accounts_app import provider_key_actions as actions
from accounts_app import queries
from accounts_app.models import ProviderKey, Role
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from accounts_app.provider_key_forms import LABELS, LendingForm, ProviderKeyForm, ProxyKeyForm
from llm.providers import by_slug


@page()
@never_cache
@sensitive_post_parameters("secret")
def provider_keys(request: OrganizationRequest) -> HttpResponse:
    """The list; a POST saves a key. `?replace=<slug>` opens the form for a key that is there."""
    is_admin = is_at_least(request.membership.role, Role.ADMIN)
    form = ProviderKeyForm(request.POST or None, initial=_initial(request))
    if request.method == "POST" and is_admin and form.is_valid():
        made = actions.save(
            request.membership, form.cleaned_data["provider"], form.cleaned_data["secret"], form.extras()
        )
        messages.success(request, f"The key of {_name(made.provider)} is saved. It is in use within seconds.")
        return redirect("provider-keys")
    return _page(request, form)


def _initial(request: OrganizationRequest) -> dict[str, str]:
    """Of the key to be replaced: all but its secret."""
    wanted = queries.provider_keys(request.membership.organization_id).filter(provider=request.GET.get("replace", ""))
    found = wanted.first()
    return {"provider": found.provider, **found.extras} if found else {}


def _page(request: OrganizationRequest, form: ProviderKeyForm, new_key: str = "", of: str = "") -> HttpResponse:
    organization_id = request.membership.organization_id
    stored = [(key, _name(key.provider), _told(key)) for key in queries.provider_keys(organization_id)]
    live = [key for key in queries.live_keys(organization_id) if "w" in key.permissions and not key.provider_key_id]
    context = {
        "form": form, "stored": stored, "api_keys": live, "new_key": new_key, "new_key_of": of,
        "has_extras": bool(form.initial.keys() - {"provider"}) or form.is_bound,
        "is_admin": is_at_least(request.membership.role, Role.ADMIN),
        "lends_to_chosen": request.membership.organization.lends_to_chosen,
    }  # fmt: skip
    return render(request, "accounts_app/provider_keys.html", context)


def _name(slug: str) -> str:
    found = by_slug(slug)
    return found.name if found else slug


def _told(key: ProviderKey) -> list[tuple[str, str]]:
    return [(LABELS.get(name, name), value) for name, value in key.extras.items()]


@require_POST
@page(role=Role.ADMIN)
def remove(request: OrganizationRequest, key_id: int) -> HttpResponseBase:
    key = _key(request, key_id)
    name = _name(key.provider)
    actions.remove(request.membership, key)
    messages.success(request, f"The key of {name} is removed.")
    return redirect("provider-keys")


@require_POST
@page(role=Role.ADMIN)
@never_cache
def proxy(request: OrganizationRequest, key_id: int) -> HttpResponseBase:
    """A new proxy key of a stored one, shown this once."""
    key, form = _key(request, key_id), ProxyKeyForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Give the proxy key a name.")
        return redirect("provider-keys")
    made = actions.create_proxy(request.membership, key, form.cleaned_data["name"])
    return _page(request, ProviderKeyForm(), made, _name(key.provider))


@require_POST
@page(role=Role.ADMIN)
def lending(request: OrganizationRequest) -> HttpResponseBase:
    live = queries.live_keys(request.membership.organization_id).filter(provider_key=None)
    form = LendingForm(request.POST, key_ids=[key.pk for key in live])
    if form.is_valid():
        actions.set_lending(request.membership, form.cleaned_data["to"] == "chosen", form.cleaned_data["keys"])
        messages.success(request, "Saved.")
    else:
        messages.error(request, "One of the keys is revoked by now. Look again.")
    return redirect("provider-keys")


def _key(request: OrganizationRequest, key_id: int) -> ProviderKey:
    found = queries.provider_key(request.membership.organization_id, key_id)
    if found is None:
        raise Http404("There is no such key.")
    return found
