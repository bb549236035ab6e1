"""What Celery does for the gateway."""

from __future__ import annotations

from celery import shared_task

from gateway_app import events


@shared_task(name="gateway_app.tasks.send_events")
def send_events() -> None:
    """Sends events that are due. Harmless to run at once or twice."""
    events.send_due()
