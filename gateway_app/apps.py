from __future__ import annotations

from django.apps import AppConfig

from gateway_app import problems
from lib.menu import MenuItem
from requests_app import telling


class GatewayConfig(AppConfig):
    name = "gateway_app"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (MenuItem("Providers", "providers", 65),)
    settings_menu = (MenuItem("Routes", "gateway-routes", 36),)

    def ready(self) -> None:
        telling.contribute(problems.CODES)
