"""Every URL that writes late facts."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from ingest_app import late_api, reprice_api, reprice_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("requests/delete", views.delete_requests, name="requests-delete"),
    path("requests/<uuid:request_id>/delete", views.delete_request, name="request-delete"),
    path("requests/<uuid:request_id>/rating", views.rate_request, name="request-rating"),
    path("settings/reprice", reprice_views.reprice, name="reprice"),
    path("settings/reprice/<int:run_id>", reprice_views.repricing, name="repricing"),
    path("settings/reprice/<int:run_id>/<str:what>", reprice_views.order, name="reprice-order"),
    path("v1/feedback", late_api.AnyFeedback.as_view()),
    path("v1/request/<str:request_id>/feedback", late_api.Feedback.as_view()),
    path("v1/request/<str:request_id>/score", late_api.Scores.as_view()),
    path("v1/request/<str:request_id>/property", late_api.Property.as_view()),
    path("v1/evals/<str:request_id>", late_api.Evaluation.as_view()),
    path("v1/reprice", reprice_api.Repricings.as_view()),
    path("v1/reprice/<str:run_id>", reprice_api.OneRepricing.as_view()),
    path("v1/reprice/<str:run_id>/<str:what>", reprice_api.RepricingOrder.as_view()),
]
