"""Every URL that writes late facts."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from ingest_app import reprice_api, reprice_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("requests/delete", views.delete_requests, name="requests-delete"),
    path("requests/<uuid:request_id>/delete", views.delete_request, name="request-delete"),
    path("settings/reprice", reprice_views.reprice, name="reprice"),
    path("settings/reprice/<int:run_id>", reprice_views.repricing, name="repricing"),
    path("settings/reprice/<int:run_id>/<str:what>", reprice_views.order, name="reprice-order"),
    path("v1/reprice", reprice_api.Repricings.as_view()),
    path("v1/reprice/<str:run_id>", reprice_api.OneRepricing.as_view()),
    path("v1/reprice/<str:run_id>/<str:what>", reprice_api.RepricingOrder.as_view()),
]
