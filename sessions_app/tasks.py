"""What Celery does for sessions."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.db import connection

from sessions_app import rollup


@shared_task(name="sessions_app.tasks.fold")
def fold() -> None:
    """Adds up the sessions counted by day. Harmless to run at once or twice."""
    connection.ensure_connection()
    raw: Any = connection.connection
    for organization_id in rollup.waiting(raw):
        rollup.fold(raw, organization_id)
