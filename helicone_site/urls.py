"""Every page and API of the product, gathered from its rooms."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from accounts_app import entrance
from helicone_site import icon, system

handler404 = "helicone_site.not_found.not_found"
handler500 = "helicone_site.not_found.broken"

urlpatterns: list[URLPattern | URLResolver] = [
    path("system", system.system, name="system"),
    path("favicon.ico", icon.favicon),
    path("admin/login/", entrance.admin_login),
    path("admin/", admin.site.urls),
    path("", include("accounts_app.urls")),
    path("", include("requests_app.urls")),
    path("", include("metrics_app.urls")),
    path("", include("sessions_app.urls")),
    path("", include("alerts_app.urls")),
    path("", include("ingest_app.urls")),
    path("", include("gateway_app.urls")),
]
