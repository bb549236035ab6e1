from __future__ import annotations

from django.apps import AppConfig

from lib.menu import MenuItem


class RequestsConfig(AppConfig):
    name = "requests_app"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (MenuItem("Requests", "requests", 20, key="r"),)
    settings_menu = (
        MenuItem("Retention", "retention", 40),
        MenuItem("Prices", "prices", 50),
        MenuItem("Unpriced", "unpriced", 51),
    )
