from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from metrics_app import urls_api, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("dashboard", views.dashboard, name="dashboard"),
    path("dashboard/figures", views.figures, name="figures"),
    path("dashboard/chart/<slug:key>", views.chart, name="chart"),
    path("dashboard/chart/<slug:key>.csv", views.chart_file, name="chart-file"),
    path("users", views.users, name="users"),
    path("users/<path:user_id>", views.user, name="user"),
    path("properties", views.properties, name="properties"),
    path("hidden-properties", views.hide_property, name="hide-property"),
    path("properties/<path:name>", views.property_page, name="property"),
    path("cache", views.cache, name="cache"),
    path("cache/repeated", views.repeated, name="repeated"),
    path("models", views.models, name="models"),
    *urls_api.urlpatterns,
]
