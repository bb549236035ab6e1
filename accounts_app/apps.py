from __future__ import annotations

from django.apps import AppConfig

from lib.menu import MenuItem


class AccountsConfig(AppConfig):
    name = "accounts_app"
    default_auto_field = "django.db.models.BigAutoField"
    menu = (MenuItem("Get started", "get-started", 180), MenuItem("Settings", "settings", 190, key=","))
    settings_menu = (
        MenuItem("Organization", "settings", 10),
        MenuItem("Members", "members", 20),
        MenuItem("API keys", "api-keys", 30),
        MenuItem("Provider keys", "provider-keys", 32),
        MenuItem("Safety", "safety", 36),
        MenuItem("Audit log", "audit", 80),
        MenuItem("Your profile", "profile", 90),
    )
