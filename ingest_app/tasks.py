"""What Celery does for the doors."""

from __future__ import annotations

import psycopg
from celery import shared_task
from django.db import connection

from ingest_app import reprice_words, repricing
from lib.postgres import conninfo

RUN_SECONDS = 20.0
"""One run of the task begins nothing after this; the next goes on."""


@shared_task(name="ingest_app.tasks.reprice")
def reprice() -> None:
    """Goes on with repricing runs that wait. Harmless to run at once or twice."""
    described = conninfo(connection.settings_dict, application="repricing")
    with psycopg.connect(described, autocommit=True) as db:
        repricing.work(db, seconds=RUN_SECONDS, on_end=reprice_words.ended)
