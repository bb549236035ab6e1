from __future__ import annotations

from django.apps import AppConfig

from lib.menu import MenuItem
from requests_app import queries_sums


class MetricsConfig(AppConfig):
    name = "metrics_app"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (
        MenuItem("Dashboard", "dashboard", 10, key="d"),
        MenuItem("Users", "users", 40, key="u"),
        MenuItem("Properties", "properties", 50, key="p"),
        MenuItem("Cache", "cache", 55, key="c"),
        MenuItem("Models", "models", 60, key="m"),
    )

    def ready(self) -> None:
        queries_sums.contribute("metrics_app.queries_list.counted", summer="metrics_app.queries_list.summed")
        queries_sums.leave_out("metrics_app.hiding.shown")
