"""`manage.py rewrap_secrets`: stored secrets are wrapped with the first key of SECRETS_KEY; the others may go then."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts_app import provider_key_actions
from accounts_app.secrets import CannotOpen


class Command(BaseCommand):
    help = "Wraps stored secrets with the first key of SECRETS_KEY."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wrapped, newest = provider_key_actions.rewrap()
        except CannotOpen as reason:
            raise CommandError(f"Nothing was changed: {reason}") from None
        self.stdout.write(f"{wrapped} wrapped with the first key, {newest} were already.")
