from __future__ import annotations

from django.apps import AppConfig

from lib.menu import MenuItem


class AlertsConfig(AppConfig):
    name = "alerts_app"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (MenuItem("Budgets", "budgets", 62, key="b"), MenuItem("Rate limits", "limits", 64, key="l"))
