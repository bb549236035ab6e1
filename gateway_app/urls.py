from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from gateway_app import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("providers", views.providers, name="providers"),
    path("settings/routes", views.routes, name="gateway-routes"),
    path("settings/routes/new", views.add_route, name="gateway-route-add"),
    path("settings/routes/<int:route_id>", views.change_route, name="gateway-route"),
    path("settings/routes/<int:route_id>/remove", views.remove_route, name="gateway-route-remove"),
]
