"""`manage.py rebuild`: counts days of an organisation again from its requests, while the house runs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from lib.clock import now
from lib.postgres import conninfo
from metrics_app.rebuild import CannotRebuild, rebuild


class Command(BaseCommand):
    help = "Counts the days from --from to --to (UTC, both included) again from the requests themselves."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", type=int, required=True, help="id of the organisation")
        parser.add_argument("--from", dest="first", type=_day, required=True, help="first day, YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=_day, default=None, help="last day, YYYY-MM-DD; default: today")

    def handle(self, *args: Any, **options: Any) -> None:
        last = options["last"] or now().date()
        database = conninfo(settings.DATABASES["default"], application="rebuild")
        with psycopg.connect(database, autocommit=True) as connection:
            try:
                for done in rebuild(connection, options["organization"], options["first"], last=last):
                    self.stdout.write(f"{done.day}  {done.rows} requests")
            except CannotRebuild as error:
                raise CommandError(str(error)) from None


def _day(text: str) -> date:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
