"""What Celery does for budgets."""

from __future__ import annotations

from celery import shared_task

from alerts_app.ledger import Ledger, reconcile_all


@shared_task(name="alerts_app.tasks.reconcile")
def reconcile() -> None:
    """Brings what Redis says is spent to what Postgres says. Harmless to run at once or twice."""
    reconcile_all(Ledger())
