from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from alerts_app import api, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("budgets", views.budgets, name="budgets"),
    path("budgets/new", views.add_budget, name="budget-add"),
    path("budgets/<int:budget_id>", views.budget, name="budget"),
    path("budgets/<int:budget_id>/remove", views.remove_budget, name="budget-remove"),
    path("rate-limits", views.limits, name="limits"),
    path("rate-limits/new", views.add_rule, name="limit-add"),
    path("rate-limits/sessions", views.save_sessions, name="session-guard"),
    path("rate-limits/<int:rule_id>", views.change_rule, name="limit"),
    path("rate-limits/<int:rule_id>/remove", views.remove_rule, name="limit-remove"),
    path("v1/rate-limits", api.RateLimits.as_view()),
    path("v1/rate-limits/<str:rule_id>", api.OneRateLimit.as_view()),
    path("v1/budgets", api.Budgets.as_view()),
    path("v1/budgets/<str:budget_id>", api.OneBudget.as_view()),
    path("v1/session-guard", api.Sessions.as_view()),
]
