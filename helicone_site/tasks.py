"""Tasks of the composition itself."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from lib import heartbeat


@shared_task(name="heartbeat")
def beat() -> None:
    """Beat, broker and worker all live when this runs."""
    heartbeat.write(settings.HEALTH_DIR, "worker", is_ready=True)
