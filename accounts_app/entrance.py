"""Getting in: log in and out, a forgotten password, an invitation, the choice of organisation."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login as start_session
from django.contrib.auth import logout as end_session
from django.contrib.auth.decorators import login_required
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.encoding import force_bytes, force_str
from django.utils.http import url_has_allowed_host_and_scheme, urlsafe_base64_decode, urlsafe_base64_encode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from accounts_app import actions, attempts, mail, queries
from accounts_app.forms import EmailForm, JoinForm, LoginForm, NewPasswordForm, OrganizationForm
from accounts_app.models import Invitation, User
from accounts_app.permissions import CURRENT

BACKEND = "django.contrib.auth.backends.ModelBackend"
SLOW_DOWN = "Too many tries. Wait a quarter of an hour, or reset the password."


def next_page(request: HttpRequest) -> str:
    """Where the person wanted to go, if that is here."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_ours else settings.LOGIN_REDIRECT_URL


def absolute(path: str) -> str:
    return f"{settings.PUBLIC_URL}{path}"


@never_cache
@sensitive_post_parameters("password")
def login(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(next_page(request))
    form = LoginForm(request.POST or None)
    user = _let_in(request, form) if request.method == "POST" and form.is_valid() else None
    if user is not None:
        start_session(request, user)
        return redirect(next_page(request))
    context = {"form": form, "next": next_page(request)}
    return render(request, "accounts_app/login.html", context, status=401 if form.errors else 200)


def _let_in(request: HttpRequest, form: LoginForm) -> User | None:
    subject = (form.cleaned_data["email"], attempts.address(request))
    if attempts.are_too_many("login", *subject):
        form.add_error(None, SLOW_DOWN)
        return None
    user = form.user(request)
    if user is None:
        attempts.count("login", *subject)
    else:
        attempts.forget("login", *subject)
    return user


@never_cache
def admin_login(request: HttpRequest) -> HttpResponse:
    """The admin has no door of its own: at ours tries are counted."""
    if not request.user.is_authenticated:
        return redirect_to_login(next_page(request), reverse("login"))
    if not request.user.is_staff:
        raise PermissionDenied("This takes an operator's account.")
    return redirect(next_page(request))


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    end_session(request)
    return redirect("login")


@never_cache
def forgot_password(request: HttpRequest) -> HttpResponse:
    """The same answer whether the address is known or not."""
    form = EmailForm(request.POST or None)
    is_sent = request.method == "POST" and form.is_valid()
    if is_sent:
        _send_reset(form.cleaned_data["email"], attempts.address(request))
    context = {"form": form, "is_sent": is_sent, "has_mail": mail.is_set_up()}
    return render(request, "accounts_app/forgot_password.html", context)


def _send_reset(email: str, place: str) -> None:
    if attempts.are_too_many("reset", email, place):
        return
    attempts.count("reset", email, place)
    user = queries.user_by_email(email)
    if user is None or not user.is_active:
        return
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("set-password", args=(uid, default_token_generator.make_token(user)))
    text = "Somebody asked to reset your password. This link works once, for three days:"
    mail.send_link(email, "Reset your password", text=text, link=absolute(path))


@never_cache
@sensitive_post_parameters("password")
def set_password(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    user = _holder(uid)
    if user is None or not default_token_generator.check_token(user, token):
        return render(request, "accounts_app/dead_link.html", {"kind": "reset"}, status=410)
    form = NewPasswordForm(request.POST or None, person=user)
    if request.method == "POST" and form.is_valid():
        actions.set_password(user, form.cleaned_data["password"], action="password reset")
        start_session(request, user, backend=BACKEND)
        messages.success(request, "Your password is changed; you are logged in.")
        return redirect("home")
    return render(request, "accounts_app/set_password.html", {"form": form, "email": user.email})


def _holder(uid: str) -> User | None:
    try:
        return User.objects.filter(pk=int(force_str(urlsafe_base64_decode(uid))), is_active=True).first()
    except (ValueError, UnicodeDecodeError):
        return None


@never_cache
@sensitive_post_parameters("password")
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    found = queries.invitation(token)
    if found is None:
        return render(request, "accounts_app/dead_link.html", {"kind": "invitation"}, status=410)
    if isinstance(request.user, User):
        return _join_as(request, found, request.user)
    is_known = queries.user_by_email(found.email) is not None
    form = JoinForm(None if is_known else request.POST or None, person=User(email=found.email))
    if request.method == "POST" and form.is_valid():
        membership = actions.join_anew(found, form.cleaned_data["name"], password=form.cleaned_data["password"])
        start_session(request, membership.user, backend=BACKEND)
        return _welcome(request, membership.organization_id)
    context = {"invitation": found, "form": form, "is_known": is_known}
    return render(request, "accounts_app/invitation.html", context)


def _join_as(request: HttpRequest, found: Invitation, user: User) -> HttpResponse:
    if request.method != "POST":
        return render(request, "accounts_app/invitation.html", {"invitation": found, "is_logged_in": True})
    try:
        return _welcome(request, actions.join(found, user).organization_id)
    except actions.NotAllowed:
        return render(request, "accounts_app/dead_link.html", {"kind": "invitation"}, status=410)


def _welcome(request: HttpRequest, organization_id: int) -> HttpResponse:
    request.session[CURRENT] = organization_id
    return redirect("home")


@login_required
def organizations(request: HttpRequest) -> HttpResponse:
    """Choose one, or found one."""
    assert isinstance(request.user, User)
    form = OrganizationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _welcome(request, actions.create_organization(request.user, form.cleaned_data["name"]).organization_id)
    memberships = queries.memberships_of(request.user.pk)
    context = {"form": form, "next": next_page(request), "memberships": memberships}
    return render(request, "accounts_app/organizations.html", context)


@require_POST
@login_required
def switch_organization(request: HttpRequest) -> HttpResponse:
    wanted = request.POST.get("organization", "")
    for membership in queries.memberships_of(request.user.pk):
        if str(membership.organization_id) == wanted:
            request.session[CURRENT] = membership.organization_id
            return redirect(next_page(request))
    return redirect("organizations")
