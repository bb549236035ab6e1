"""`manage.py prepare`: what must stand before the processes start. Run again it changes nothing, and takes no time."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from helicone_site import first_login, places, servers
from requests_app import prices

COLLECTED = places.DATA_DIR / "static.collected"
"""Names, sizes and times of the static files that were collected last."""


class Command(BaseCommand):
    help = "Waits for Postgres and Redis, migrates, collects static files, seeds prices, makes the first login."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            servers.verify()
        except servers.Unfit as error:
            raise CommandError(str(error)) from error
        _migrate()
        _collect_static_files()
        if not prices.is_seeded():
            prices.seed()
        first_login.make()


def _migrate() -> None:
    """Only where there is something to do: asking costs a tenth of what Django's own command does."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def _collect_static_files() -> None:
    """Hashing and compressing them takes a second and more, looking whether one has changed three milliseconds."""
    there = _static_files()
    if COLLECTED.exists() and COLLECTED.read_text() == there:
        return
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    COLLECTED.write_text(there)


def _static_files() -> str:
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in finder.list([]):
            digest.update(f"{name} {storage.size(name)} {storage.get_modified_time(name)}\n".encode())
    return digest.hexdigest()
