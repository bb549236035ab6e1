from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from requests_app import api, price_api, price_views, retention_views, saved_api, saved_views, unpriced_views, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("requests", views.requests, name="requests"),
    path("requests/rows", views.rows, name="request-rows"),
    path("requests/live", views.live, name="requests-live"),
    path("requests/summary", views.summary, name="requests-summary"),
    path("requests/values", views.values, name="request-values"),
    path("requests/export.csv", views.export, {"form": "csv"}, name="requests-csv"),
    path("requests/export.jsonl", views.export, {"form": "jsonl"}, name="requests-jsonl"),
    path("requests/<uuid:request_id>", views.request, name="request"),
    path("requests/<uuid:request_id>/<str:side>.txt", views.body, name="request-body"),
    path("requests/views", saved_views.save_view, name="save-view"),
    path("requests/views/<int:filter_id>/delete", saved_views.delete_view, name="delete-view"),
    path("v1/filter", saved_api.SavedFilters.as_view()),
    path("v1/filter/<str:filter_id>", saved_api.OneSavedFilter.as_view()),
    path("settings/prices", price_views.price_list, name="prices"),
    path("settings/prices/test", price_views.price_test, name="price-test"),
    path("settings/prices/new", price_views.add_price, name="price-add"),
    path("settings/prices/<int:price_id>", price_views.change_price, name="price"),
    path("settings/prices/<int:price_id>/remove", price_views.remove_price, name="price-remove"),
    path("unpriced", unpriced_views.inbox, name="unpriced"),
    path("unpriced/dismiss", unpriced_views.dismiss, name="unpriced-dismiss"),
    path("unpriced/alias", unpriced_views.alias, name="unpriced-alias"),
    path("v1/price", price_api.Prices.as_view()),
    path("v1/price/test", price_api.PriceTest.as_view()),
    path("v1/price/<str:price_id>", price_api.OnePrice.as_view()),
    path("settings/retention", retention_views.settings, name="retention"),
    path("settings/retention/plan", retention_views.plan, name="retention-plan"),
    path("settings/retention/pins", retention_views.pin_session, name="session-pin"),
    path("settings/retention/erase", retention_views.erase_user, name="erase-user"),
    path("v1/request/query", api.QueryRequests.as_view()),
    path("v1/request/query-clickhouse", api.QueryRequests.as_view()),
    path("v1/request/count/query", api.CountRequests.as_view()),
    path("v1/request/query-ids", api.QueryIds.as_view()),
    path("v1/request/<str:request_id>", api.OneRequest.as_view()),
    path("v1/request/body/<str:token>", api.RequestBodyLink.as_view(), name="api-request-body"),
]
