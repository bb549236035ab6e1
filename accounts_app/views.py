"""The settings pages of a member and their organisation, and the page one starts from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from accounts_app import actions, mail, queries
from accounts_app.entrance import absolute
from accounts_app.forms import (
    ChangePasswordForm,
    InviteForm,
    KeyForm,
    OrganizationSettingsForm,
    ProfileForm,
    RoleForm,
    ThemeForm,
)
from accounts_app.models import Membership, Role, User
from accounts_app.permissions import CURRENT, OrganizationRequest, is_at_least, page


def home(request: HttpRequest) -> HttpResponseBase:
    return redirect("dashboard")


@page()
def get_started(request: OrganizationRequest) -> HttpResponse:
    return render(request, "accounts_app/get_started.html")


@page()
def settings(request: OrganizationRequest) -> HttpResponse:
    """The organisation itself; whoever may not change it sees it."""
    now = request.membership.organization
    initial = {"name": now.name, "asks_stream_usage": now.asks_stream_usage}
    form = OrganizationSettingsForm(request.POST or None, initial=initial)
    is_admin = is_at_least(request.membership.role, Role.ADMIN)
    if request.method == "POST" and is_admin and form.is_valid():
        actions.rename_organization(request.membership, form.cleaned_data["name"])
        actions.set_stream_usage(request.membership, form.cleaned_data["asks_stream_usage"])
        messages.success(request, "The settings are saved.")
        return redirect("settings")
    return render(request, "accounts_app/settings.html", {"form": form, "is_admin": is_admin})


# --- API keys ----------------------------------------------------------------------------------------------


@page()
@never_cache
def api_keys(request: OrganizationRequest) -> HttpResponse:
    """The list; a POST makes a key and shows it, this once."""
    form = KeyForm(request.POST or None)
    may_write = is_at_least(request.membership.role, Role.MEMBER)
    new_key = ""
    if request.method == "POST" and may_write and form.is_valid():
        new_key = actions.create_key(request.membership, **form.cleaned_data)
        form = KeyForm()
    context = {
        "form": form,
        "new_key": new_key,
        "keys": queries.live_keys(request.membership.organization_id),
        "may_write": may_write,
        "is_admin": is_at_least(request.membership.role, Role.ADMIN),
    }
    return render(request, "accounts_app/_keys.html" if request.htmx else "accounts_app/keys.html", context)


@require_POST
@page(role=Role.MEMBER)
def revoke_key(request: OrganizationRequest, key_id: int) -> HttpResponseBase:
    key = queries.live_key(request.membership.organization_id, key_id)
    if key is None:
        raise Http404("There is no such key.")
    _try(request, partial(actions.revoke_key, request.membership, key), f"The key {key.name} is revoked.")
    return redirect("api-keys")


# --- members -----------------------------------------------------------------------------------------------


@page()
@never_cache
def members(request: OrganizationRequest) -> HttpResponse:
    """Who is in; a POST invites somebody and shows the link."""
    form = InviteForm(request.POST or None)
    is_admin = is_at_least(request.membership.role, Role.ADMIN)
    link = _invite(request, form) if request.method == "POST" and is_admin and form.is_valid() else ""
    organization_id = request.membership.organization_id
    context = {
        "form": InviteForm() if link else form,
        "link": link,
        "email": form.cleaned_data["email"] if link else "",
        "members": queries.members(organization_id),
        "invitations": queries.open_invitations(organization_id) if is_admin else [],
        "roles": Role.values,
        "is_admin": is_admin,
        "has_mail": mail.is_set_up(),
    }
    return render(request, "accounts_app/members.html", context)


def _invite(request: OrganizationRequest, form: InviteForm) -> str:
    """The link, or "" and the reason on the form."""
    email, by = form.cleaned_data["email"], request.membership
    try:
        token = actions.invite(by, email, form.cleaned_data["role"])
    except actions.NotAllowed as error:
        form.add_error("email", actions.reason(error))
        return ""
    link = absolute(reverse("invitation", args=(token,)))
    text = f"{by.user.name or by.user.email} invites you to {by.organization.name}. The link works for 14 days:"
    mail.send_link(email, f"Join {by.organization.name}", text=text, link=link)
    return link


@require_POST
@page(role=Role.ADMIN)
def change_role(request: OrganizationRequest, membership_id: int) -> HttpResponseBase:
    target, form = _member(request, membership_id), RoleForm(request.POST)
    if form.is_valid():
        change = partial(actions.change_role, request.membership, target, form.cleaned_data["role"])
        _try(request, change, f"{target.user.email} is {form.cleaned_data['role'].value} now.")
    return redirect("members")


@require_POST
@page()
def remove_member(request: OrganizationRequest, membership_id: int) -> HttpResponseBase:
    """An admin removes anybody, everybody may leave."""
    target = _member(request, membership_id)
    is_me = target.pk == request.membership.pk
    if not is_me and not is_at_least(request.membership.role, Role.ADMIN):
        raise Http404
    said = f"You left {request.membership.organization.name}." if is_me else f"{target.user.email} is out."
    if _try(request, partial(actions.remove, request.membership, target), said) and is_me:
        request.session.pop(CURRENT, None)
        return redirect("organizations")
    return redirect("members")


@require_POST
@page(role=Role.ADMIN)
def withdraw_invitation(request: OrganizationRequest, invitation_id: int) -> HttpResponseBase:
    actions.withdraw(request.membership, invitation_id)
    return redirect("members")


def _member(request: OrganizationRequest, membership_id: int) -> Membership:
    found = queries.member(request.membership.organization_id, membership_id)
    if found is None:
        raise Http404("There is no such member.")
    return found


def _try(request: HttpRequest, action: Callable[[], Any], said: str) -> bool:
    """Whether the action was allowed; either way the person is told."""
    try:
        action()
    except actions.NotAllowed as error:
        messages.error(request, actions.reason(error))
        return False
    messages.success(request, said)
    return True


# --- oneself -------------------------------------------------------------------------------------------------


@page()
def profile(request: OrganizationRequest) -> HttpResponse:
    user = request.user
    form = ProfileForm(request.POST or None, initial={f: getattr(user, f) for f in ProfileForm.base_fields})
    if request.method == "POST" and form.is_valid():
        _save_user(user, form)
        messages.success(request, "Your profile is saved.")
        return redirect("profile")
    context = {"form": form, "password_form": ChangePasswordForm(person=user)}
    return render(request, "accounts_app/profile.html", context)


@require_POST
@page()
@sensitive_post_parameters("current", "password")
def change_password(request: OrganizationRequest) -> HttpResponse:
    form = ChangePasswordForm(request.POST, person=request.user)
    if form.is_valid():
        actions.set_password(request.user, form.cleaned_data["password"], action="password changed")
        update_session_auth_hash(request, request.user)
        messages.success(request, "Your password is changed. Other browsers are logged out.")
        return redirect("profile")
    initial = {f: getattr(request.user, f) for f in ProfileForm.base_fields}
    return render(request, "accounts_app/profile.html", {"form": ProfileForm(initial=initial), "password_form": form})


@require_POST
@login_required
def theme(request: HttpRequest) -> HttpResponse:
    form = ThemeForm(request.POST)
    if form.is_valid() and isinstance(request.user, User):
        _save_user(request.user, form)
    return HttpResponse(status=204) if request.headers.get("HX-Request") else redirect("home")


def _save_user(user: User, form: Form) -> None:
    for name, value in form.cleaned_data.items():
        setattr(user, name, value)
    user.save(update_fields=list(form.cleaned_data))


@page(role=Role.ADMIN)
def audit_log(request: OrganizationRequest) -> HttpResponse:
    entries = queries.audit_entries(request.membership.organization_id)
    return render(request, "accounts_app/audit.html", {"entries": entries})
