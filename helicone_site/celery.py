"""Celery: folds, retention, alerts, exports, and whatever else may wait. Its broker is Redis; results go to Postgres or
nowhere, so nothing is lost with the broker that the next run of a task does not make good.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.schedules import crontab

from helicone_site import places, settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "helicone_site.settings")
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")  # Django's checks import every page: the worker needs none of them

HEARTBEAT_SECONDS = 5.0
REPRICE_SECONDS = 3.0
BUDGETS_SECONDS = 30.0
"""So long an emptied Redis does not know what is spent, at most."""
EVENTS_SECONDS = 5.0
FOLD_SECONDS = 5.0
"""A fold that is late costs reading time, never truth; one that waited this long is dropped for the next."""


def broker_url(redis_url: str) -> str:
    """The same server in the broker's words: it says redis+socket:// for a unix socket."""
    if not redis_url.startswith("unix://"):
        return redis_url
    path, _, query = redis_url.removeprefix("unix://").partition("?")
    number = next((part[3:] for part in query.split("&") if part.startswith("db=")), "0")
    return f"redis+socket://{path}?virtual_host={number}"


app = Celery("helicone_site")
app.conf.update(
    broker_url=broker_url(settings.REDIS_URL),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"global_keyprefix": "helicone:"},
    task_default_queue="tasks",
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    beat_scheduler="helicone_site.clock:KeptSchedule",
    beat_schedule_filename=str(places.DATA_DIR / "beat-schedule.json"),
    timezone="UTC",
)
app.conf.beat_schedule = {
    "fold": {
        "task": "metrics_app.tasks.fold",
        "schedule": FOLD_SECONDS,
        "options": {"expires": FOLD_SECONDS},
    },
    "fold sessions": {
        "task": "sessions_app.tasks.fold",
        "schedule": FOLD_SECONDS,
        "options": {"expires": FOLD_SECONDS},
    },
    "trim counts": {"task": "metrics_app.tasks.trim", "schedule": crontab(hour=3, minute=20)},
    "apply retention": {"task": "apply_retention", "schedule": crontab(hour=3, minute=30)},
    "train dictionaries": {"task": "requests_app.tasks.train_dictionaries", "schedule": crontab(minute=40)},
    "seed prices": {"task": "requests_app.tasks.seed_prices", "schedule": crontab(minute=10)},
    "reprice": {
        "task": "ingest_app.tasks.reprice",
        "schedule": REPRICE_SECONDS,
        "options": {"expires": REPRICE_SECONDS},
    },
    "reconcile budgets": {
        "task": "alerts_app.tasks.reconcile",
        "schedule": BUDGETS_SECONDS,
        "options": {"expires": BUDGETS_SECONDS},
    },
    "send events": {
        "task": "gateway_app.tasks.send_events",
        "schedule": EVENTS_SECONDS,
        "options": {"expires": EVENTS_SECONDS},
    },
    "heartbeat": {
        "task": "heartbeat",
        "schedule": HEARTBEAT_SECONDS,
        "options": {"expires": HEARTBEAT_SECONDS * 2},
    },
}
app.autodiscover_tasks()
