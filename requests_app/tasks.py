"""What Celery does for the ground."""

from __future__ import annotations

import logging

import psycopg
from celery import shared_task
from django.conf import settings

from lib.clock import now
from lib.postgres import conninfo
from requests_app import dictionaries, prices

log = logging.getLogger("requests")


@shared_task(name="requests_app.tasks.seed_prices")
def seed_prices() -> None:
    """Bring the price table to the installed genai-prices, if it is not there yet."""
    if prices.is_seeded():
        return
    done = prices.seed()
    log.info("prices seeded version=%s added=%d replaced=%d", done.version, done.added, done.replaced)


@shared_task(name="requests_app.tasks.train_dictionaries")
def train_dictionaries() -> None:
    """New dictionaries for bodies where they are due and save enough; those no body needs go."""
    database = conninfo(settings.DATABASES["default"], application="dictionaries")
    with psycopg.connect(database, autocommit=True) as connection:
        for trained in dictionaries.train_all(connection, now()):
            log.info(
                "dictionary trained organization=%d version=%d packed=%d before=%d plain=%d", trained.organization_id,
                trained.version, trained.packed, trained.before, trained.plain,
            )  # fmt: skip
