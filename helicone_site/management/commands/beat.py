"""`manage.py beat`: the clock of the tasks, one for a whole installation; in `./up` it rides in the worker."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from helicone_site.celery import app


class Command(BaseCommand):
    help = "Sends the periodic tasks until SIGTERM. One per installation."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        app.Beat(loglevel="WARNING", quiet=True).run()
