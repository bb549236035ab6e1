"""Every URL that writes late facts."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from ingest_app import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("requests/delete", views.delete_requests, name="requests-delete"),
    path("requests/<uuid:request_id>/delete", views.delete_request, name="request-delete"),
]
