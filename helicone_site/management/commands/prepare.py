"""`manage.py prepare`: what must stand before the processes start. Run again it changes nothing."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from helicone_site import first_login, servers


class Command(BaseCommand):
    help = "Waits for Postgres and Redis, migrates, collects static files, seeds prices, makes the first login."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            servers.verify()
        except servers.Unfit as error:
            raise CommandError(str(error)) from error
        _migrate()
        call_command("collectstatic", interactive=False, verbosity=0)
        first_login.make()


def _migrate() -> None:
    """Only where there is something to do: asking costs a tenth of what Django's own command does."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)
