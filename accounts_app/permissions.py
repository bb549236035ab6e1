"""Who is asking, for which organisation, and whether their role or key allows it.

    PermissionDenied (Django's, a page: 403)         the role is too low
    AuthenticationFailed (DRF's, the API: 401)       no key, an unknown one, or one that may not do this
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase, HttpResponseRedirectBase
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts_app import keys, queries
from accounts_app.models import Membership, Role, User

if TYPE_CHECKING:
    # Its class body reads REST_FRAMEWORK, which names this module.
    from rest_framework.views import APIView

P = ParamSpec("P")

RANKS = (Role.VIEWER, Role.MEMBER, Role.ADMIN, Role.OWNER)
"""From the least allowed to the most."""
CURRENT = "organization_id"
"""Where the session keeps the organisation somebody looks at."""


class OrganizationRequest(HttpRequest):
    """What a view behind `page` is given."""

    user: User
    membership: Membership
    htmx: HtmxDetails


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls the API: a key (`key_id`) or a member at the browser (`user_id`). Becomes `request.auth`.

    `permissions` is a key's own "r", "w" or "rw"; a viewer's is "r", any other member's "rw".
    """

    organization_id: int
    permissions: str
    key_id: int | None = None
    user_id: int | None = None


def is_at_least(role: str, least: Role) -> bool:
    return RANKS.index(Role(role)) >= RANKS.index(least)


def current_membership(request: HttpRequest) -> Membership | None:
    """The membership for the organisation chosen in this session, or the only one there is."""
    if request.user.pk is None:
        return None
    memberships = Membership.objects.filter(user_id=request.user.pk).select_related("organization")
    if chosen := request.session.get(CURRENT):
        return memberships.filter(organization_id=chosen).first()
    found = list(memberships[:2])
    return found[0] if len(found) == 1 else None


def page(
    *, role: Role = Role.VIEWER
) -> Callable[
    [Callable[Concatenate[OrganizationRequest, P], HttpResponseBase]],
    Callable[Concatenate[HttpRequest, P], HttpResponseBase],
]:
    """A view for members only: sets `request.membership`; others go to log in or choose an organisation.

    Raises PermissionDenied for a role below `role`.
    """

    def decorate(
        view: Callable[Concatenate[OrganizationRequest, P], HttpResponseBase],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _elsewhere(request, "login")
            membership = current_membership(request)
            if membership is None:
                return _elsewhere(request, "organizations")
            request.membership = membership  # type: ignore[attr-defined]
            if not is_at_least(membership.role, role):
                raise PermissionDenied(f"This takes the role {role.value}; yours is {membership.role}.")
            return view(request, *args, **kwargs)  # type: ignore[arg-type]

        return guarded

    return decorate


def _elsewhere(request: HttpRequest, url_name: str) -> HttpResponseRedirectBase:
    """Away to a page that comes back here after; a fragment's request moves the whole window."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    here = request.get_full_path() if request.method == "GET" else "/"
    back = (htmx.current_url_abs_path if htmx else None) or here
    address = f"{reverse(url_name)}?{urlencode({'next': back})}"
    return HttpResponseClientRedirect(address) if htmx else HttpResponseRedirect(address)


def caller_of(request: Request) -> Caller:
    """Who called, behind MayRead or MayWrite."""
    assert isinstance(request.auth, Caller)
    return request.auth


def failure(message: str) -> AuthenticationFailed:
    """A 401 in Helicone's shape."""
    return AuthenticationFailed({"error": message, "trace": "isAuthenticated.error"})


class ApiKeyAuthentication(SessionAuthentication):
    """A key (`Authorization: Bearer sk-helicone-…`, bare, or in `Helicone-Auth`), else a member with CSRF.

    Either way `request.auth` is a `Caller`. Raises AuthenticationFailed (401) for a key that is not known.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        if header := request.headers.get("Authorization") or request.headers.get("Helicone-Auth"):
            return AnonymousUser(), _key_caller(keys.unprefixed(header))
        found = super().authenticate(request)
        if found is None:
            return None
        membership = current_membership(request._request)
        if membership is None:
            raise failure("You belong to no organization, or have not chosen one yet.")
        return found[0], _member_caller(membership)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def _key_caller(key: str) -> Caller:
    owner = queries.key_owner(keys.hash_key(key))
    if owner is None:
        raise failure("No API key found: unknown here, or revoked. Keys are made under Settings, API keys.")
    return Caller(owner.organization_id, owner.permissions, key_id=owner.key_id)


def _member_caller(membership: Membership) -> Caller:
    permissions = "rw" if is_at_least(membership.role, Role.MEMBER) else "r"
    return Caller(membership.organization_id, permissions, user_id=membership.user_id)


class _May(BasePermission):
    letter = ""
    refusal = ""

    def has_permission(self, request: Request, view: APIView) -> bool:
        caller = request.auth
        if not isinstance(caller, Caller):
            raise failure("No authorization header: send Authorization: Bearer <your API key>.")
        if self.letter not in caller.permissions:
            raise failure(self.refusal)
        return True


class MayRead(_May):
    letter = "r"
    refusal = "This key may write but not read; make one with read permission under Settings, API keys."


class MayWrite(_May):
    letter = "w"
    refusal = "This may only read; writing takes a key with write permission, or the role member."
