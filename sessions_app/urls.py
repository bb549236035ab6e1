from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from sessions_app import api, trace_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("sessions", views.sessions, name="sessions"),
    path("sessions/<path:session_id>", views.session, name="session"),
    path("traces", trace_views.traces, name="traces"),
    path("traces/<path:trace_id>", trace_views.trace, name="trace"),
    path("v1/session/query", api.SessionQuery.as_view()),
    path("v1/session/count", api.SessionCount.as_view()),
    path("v1/session/name/query", api.SessionNames.as_view()),
    path("v1/session/metrics/query", api.SessionMetrics.as_view()),
]
