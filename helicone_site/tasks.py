"""Tasks of the composition itself."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from helicone_site import nights
from lib import heartbeat
from lib.clock import now


@shared_task(name="heartbeat")
def beat() -> None:
    """Beat, broker and worker all live when this runs."""
    heartbeat.write(settings.HEALTH_DIR, "worker", is_ready=True)


@shared_task(name="apply_retention")
def apply_retention() -> None:
    """Once a night: removes what every organisation's policy says is past its time."""
    nights.apply(now())
