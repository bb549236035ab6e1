from django.apps import AppConfig

from lib.menu import MenuItem
from sessions_app import filters


class SessionsConfig(AppConfig):
    name = "sessions_app"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (MenuItem("Sessions", "sessions", 30, key="s", also=("traces",)),)

    def ready(self) -> None:
        filters.contribute()
