"""Budgets and rate limits: what there is, what it came to, what was refused; admins change them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms as django_forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least, page
from alerts_app import actions, drawing, forms, queries
from alerts_app.forms import BudgetForm, RuleForm, SessionForm
from alerts_app.models import Budget, RateLimitRule, SessionGuard
from lib.clock import now
from requests_app.price_rules import Author, BadRule
from requests_app.queries import TooSlow

WHO = "Budgets and rate limits are set by admins and owners."
SEGMENTS_LISTED, SEGMENTS_SHOWN = 1_000, 200
REFUSED_SINCE = timedelta(days=7)


def _author(request: OrganizationRequest) -> Author:
    return Author(request.membership.organization_id, request.user)


def _may_edit(request: OrganizationRequest) -> bool:
    return is_at_least(request.membership.role, Role.ADMIN)


# --- budgets ----------------------------------------------------------------------------------------------------------


@require_safe
@page()
def budgets(request: OrganizationRequest) -> HttpResponse:
    organization_id, at = request.membership.organization_id, now()
    keys = forms.key_names(organization_id)
    rows = queries.budgets(organization_id)
    context = {
        "lines": [drawing.line(row, at, keys, most=SEGMENTS_LISTED) for row in rows],
        "events": queries.events(organization_id), "may_edit": _may_edit(request),
    }  # fmt: skip
    return render(request, "alerts_app/budgets.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page()
def budget(request: OrganizationRequest, budget_id: int) -> HttpResponse:
    """One budget: its segments, and for admins the form that changes it."""
    row = _budget(request, budget_id)
    if request.method == "POST" and not _may_edit(request):
        raise PermissionDenied(WHO)
    form = BudgetForm(request.POST if request.method == "POST" else None, initial=forms.of_budget(row))
    saved = _saved(form, lambda: actions.save_budget(_author(request), form.asked, row))
    return _set(request, "budgets", f"budget “{row.name}” is changed") if saved else _budget_page(request, form, row)


@require_http_methods(["GET", "HEAD", "POST"])
@page(role=Role.ADMIN)
def add_budget(request: OrganizationRequest) -> HttpResponse:
    initial = {"span": "month", "is_hard": True, "warn_percents": "50, 80, 95"}
    form = BudgetForm(request.POST if request.method == "POST" else None, initial=initial)
    saved = _saved(form, lambda: actions.save_budget(_author(request), form.asked))
    return _set(request, "budgets", "budget is set") if saved else _budget_page(request, form, None)


@require_POST
@page(role=Role.ADMIN)
def remove_budget(request: OrganizationRequest, budget_id: int) -> HttpResponse:
    row = _budget(request, budget_id)
    actions.remove_budget(_author(request), row)
    messages.success(request, f"The budget “{row.name}” is removed.")
    return redirect("budgets")


def _budget(request: OrganizationRequest, budget_id: int) -> Budget:
    row = queries.budgets(request.membership.organization_id).filter(pk=budget_id).first()
    if row is None:
        raise Http404("There is no such budget.")
    return row


def _budget_page(request: OrganizationRequest, form: BudgetForm, row: Budget | None) -> HttpResponse:
    organization_id = request.membership.organization_id
    keys = forms.key_names(organization_id)
    line = drawing.line(row, now(), keys, most=SEGMENTS_SHOWN) if row and row.pk else None
    context = {"form": form, "line": line, "row": row, "keys": keys, "may_edit": _may_edit(request)}
    return render(request, "alerts_app/budget.html", context, status=400 if form.errors else 200)


# --- rate limits ------------------------------------------------------------------------------------------------------


@require_safe
@page()
def limits(request: OrganizationRequest) -> HttpResponse:
    guard = SessionGuard.objects.filter(organization_id=request.membership.organization_id).first()
    return _limits_page(request, SessionForm(initial=forms.of_guard(guard)))


def _limits_page(request: OrganizationRequest, form: SessionForm) -> HttpResponse:
    organization_id = request.membership.organization_id
    keys = forms.key_names(organization_id)
    rows = queries.rules(organization_id)
    context = {
        "rows": [(row, drawing.words_of(queries.rule(row).segment, keys)) for row in rows], "form": form,
        "bounds": form.initial, "may_edit": _may_edit(request), "refused_days": REFUSED_SINCE.days,
        **_refused(organization_id),
    }  # fmt: skip
    return render(request, "alerts_app/limits.html", context, status=400 if form.errors else 200)


def _refused(organization_id: int) -> Mapping[str, Any]:
    since = now() - REFUSED_SINCE
    try:
        return {"refused": queries.refused(organization_id, since=since),
                "refusals": queries.refusals(organization_id, since=since)}  # fmt: skip
    except TooSlow:
        return {"trouble": "There is too much to look through; filter the requests page by status 429."}


@require_http_methods(["GET", "HEAD", "POST"])
@page(role=Role.ADMIN)
def add_rule(request: OrganizationRequest) -> HttpResponse:
    initial = {"window_seconds": 3600, "unit": "request"}
    form = RuleForm(request.POST if request.method == "POST" else None, initial=initial)
    saved = _saved(form, lambda: actions.save_rule(_author(request), form.asked))
    return _set(request, "limits", "rate limit is set") if saved else _rule_page(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@page(role=Role.ADMIN)
def change_rule(request: OrganizationRequest, rule_id: int) -> HttpResponse:
    row = _rule(request, rule_id)
    form = RuleForm(request.POST if request.method == "POST" else None, initial=forms.of_rule(row))
    saved = _saved(form, lambda: actions.save_rule(_author(request), form.asked, row))
    return _set(request, "limits", f"rate limit “{row.name}” is changed") if saved else _rule_page(request, form, row)


@require_POST
@page(role=Role.ADMIN)
def remove_rule(request: OrganizationRequest, rule_id: int) -> HttpResponse:
    row = _rule(request, rule_id)
    actions.remove_rule(_author(request), row)
    messages.success(request, f"The rate limit “{row.name}” is removed.")
    return redirect("limits")


@require_POST
@page(role=Role.ADMIN)
def save_sessions(request: OrganizationRequest) -> HttpResponse:
    form = SessionForm(request.POST)
    if _saved(form, lambda: actions.save_session_guard(_author(request), form.bounds)):
        messages.success(request, "The bounds of sessions are set. The gateway has them within seconds.")
        return redirect("limits")
    return _limits_page(request, form)


def _rule(request: OrganizationRequest, rule_id: int) -> RateLimitRule:
    row = queries.rules(request.membership.organization_id).filter(pk=rule_id).first()
    if row is None:
        raise Http404("There is no such rate limit.")
    return row


def _rule_page(request: OrganizationRequest, form: RuleForm, row: RateLimitRule | None) -> HttpResponse:
    context = {"form": form, "row": row, "keys": forms.key_names(request.membership.organization_id)}
    return render(request, "alerts_app/limit.html", context, status=400 if form.errors else 200)


def _set(request: OrganizationRequest, back: str, what: str) -> HttpResponse:
    """Back to the list, which says what was done."""
    messages.success(request, f"The {what}. The gateway has it within seconds.")
    return redirect(back)


def _saved(form: django_forms.Form, save: Any) -> bool:
    """Whether what was typed holds, and is saved; else the form says why not. Nothing was typed into an empty one."""
    if not form.is_valid():
        return False
    try:
        save()
    except BadRule as error:
        form.refuse(error)  # type: ignore[attr-defined]
        return False
    return True
