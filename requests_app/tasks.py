"""What Celery does for the ground."""

from __future__ import annotations

import logging

from celery import shared_task

from requests_app import prices

log = logging.getLogger("requests")


@shared_task(name="requests_app.tasks.seed_prices")
def seed_prices() -> None:
    """Bring the price table to the installed genai-prices, if it is not there yet."""
    if prices.is_seeded():
        return
    done = prices.seed()
    log.info("prices seeded version=%s added=%d replaced=%d", done.version, done.added, done.replaced)
