from __future__ import annotations

from django.apps import AppConfig

from lib.menu import MenuItem


class IngestConfig(AppConfig):
    name = "ingest_app"
    default_auto_field = "django.db.models.BigAutoField"
    settings_menu = (MenuItem("Re-price", "reprice", 52),)
