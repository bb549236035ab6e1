"""What Celery does for the counts."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

import psycopg
from celery import shared_task
from django.db import connection as django_connection

from lib.clock import now
from metrics_app import fold as folding
from metrics_app.rollup import Db

log = logging.getLogger("metrics")

RUN_SECONDS = 4.0
"""One run of the task begins nothing after this; the next goes on with who has waited longest."""
ROUNDS = 4
"""Runs for one organisation before the next one has its turn."""


def _connection() -> Db:
    """Django's own psycopg connection, autocommitting."""
    django_connection.ensure_connection()
    raw: Any = django_connection.connection
    return raw  # type: ignore[no-any-return]


@shared_task(name="metrics_app.tasks.fold")
def fold() -> None:
    """Moves what lines have appended into the tables questions read. Harmless to run at once or twice."""
    connection = _connection()
    until = time.monotonic() + RUN_SECONDS
    for organization_id in folding.waiting(connection):
        if time.monotonic() > until:
            return
        try:
            _fold(connection, organization_id)
        except psycopg.errors.Error as error:
            if connection.closed:
                raise
            log.error("fold failed organization=%s error=%s", organization_id, type(error).__name__)


def _fold(connection: Db, organization_id: int) -> None:
    for _ in range(ROUNDS):
        folded = folding.fold(connection, organization_id)
        if folded.is_done() or folded.is_busy:
            return


@shared_task(name="metrics_app.tasks.trim")
def trim() -> None:
    """Daily: drops minutes and hours past their time, makes the months to come."""
    connection = _connection()
    for days in (0, 31):
        folding.make_month(connection, (now() + timedelta(days=days)).date())
    log.info("trimmed rows=%d", folding.trim(connection))
