"""The API of what is counted. `metrics_app/urls.py` includes it."""

from __future__ import annotations

from django.urls import URLPattern, path

from metrics_app import api, api_names, api_properties
from metrics_app.api import NO_BATCH, NOT_200, THREAT, Scalar, Series

urlpatterns: list[URLPattern] = [
    path("v1/metrics/query", api.AnyQuestion.as_view()),
    path("v1/metrics/totalRequests", Scalar.as_view()),
    path("v1/metrics/totalCost", Scalar.as_view(metric="cost")),
    path("v1/metrics/averageLatency", Scalar.as_view(metric="duration_avg")),
    path("v1/metrics/averageTimeToFirstToken", Scalar.as_view(metric="ttft_avg")),
    path("v1/metrics/totalThreats", Scalar.as_view(narrower=THREAT)),
    path("v1/metrics/activeUsers", Scalar.as_view(metric="users")),
    path("v1/metrics/averageTokensPerRequest", api.TokensPerRequest.as_view()),
    path("v1/metrics/requestCount", api.RequestCount.as_view()),
    path("v1/metrics/requestOverTime", Series.as_view()),
    path("v1/metrics/requestStatusOverTime", api.StatusSeries.as_view()),
    path("v1/metrics/costOverTime", Series.as_view(names={"cost": "cost"})),
    path("v1/metrics/tokensOverTime", Series.as_view(names={
        "uncached_input_tokens": "prompt_tokens", "visible_output_tokens": "completion_tokens",
    })),
    path("v1/metrics/latencyOverTime", Series.as_view(names={"duration_avg": "duration"}, narrower=NO_BATCH)),
    path("v1/metrics/timeToFirstToken", Series.as_view(names={"ttft_avg": "ttft"})),
    path("v1/metrics/usersOverTime", Series.as_view(names={"users": "count"})),
    path("v1/metrics/threatsOverTime", Series.as_view(narrower=THREAT)),
    path("v1/metrics/errorOverTime", Series.as_view(narrower=NOT_200)),
    path("v1/metrics/quantiles", api.Quantiles.as_view()),
    path("v1/metrics/models", api.Models.as_view()),
    path("v1/metrics/country", api.Table.as_view()),
    path("v1/providers", api.Providers.as_view()),
    path("v1/user/query", api_names.Users.as_view()),
    path("v1/user/metrics/query", api_names.UserMetrics.as_view()),
    path("v1/user/metrics-overview/query", api_names.UserOverview.as_view()),
    path("v1/property/query", api_properties.Properties.as_view()),
    path("v1/property/properties/over-time", api_properties.PropertyOverTime.as_view()),
    path("v1/property/hide", api_properties.HideProperty.as_view()),
    path("v1/property/restore", api_properties.RestoreProperty.as_view()),
    path("v1/property/hidden/query", api_properties.HiddenProperties.as_view()),
    path("v1/dashboard/scores/query", api_properties.ScoresOverTime.as_view()),
    path("v1/property/<path:property_key>/search", api_properties.PropertyValues.as_view()),
    path("v1/property/<path:property_key>/top-costs/query", api_properties.TopCosts.as_view()),
    path("v1/property/<path:property_key>/top-requests/query", api_properties.TopRequests.as_view()),
]  # fmt: skip
