"""`manage.py worker`: runs the tasks, in threads of one process."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import beat
from celery.exceptions import SecurityWarning
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from helicone_site.celery import app
from lib import heartbeat

logger = logging.getLogger("helicone_site")


class Command(BaseCommand):
    help = "Runs tasks until SIGTERM; those under way are finished."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--with-beat", action="store_true", help="be the clock of the tasks as well")

    def handle(self, *args: Any, **options: Any) -> None:
        warnings.simplefilter("ignore", SecurityWarning)  # root is who ./up was started as; tasks are ours alone
        worker = app.Worker(
            pool="threads", concurrency=settings.WORKER_THREADS, loglevel="WARNING", quiet=True,
            without_gossip=True, without_mingle=True, without_heartbeat=True,
        )  # fmt: skip
        if options["with_beat"]:
            with _clock():
                worker.start()
        else:
            heartbeat.keep_beating(settings.HEALTH_DIR, "worker")
            worker.start()
        raise SystemExit(worker.exitcode)


@contextmanager
def _clock() -> Iterator[None]:
    """Celery's own embedded beat is a second process; a thread costs nothing."""
    service = beat.Service(app, max_interval=1, scheduler_cls=app.conf.beat_scheduler)
    thread = threading.Thread(target=_run, args=(service,), name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        service.stop(wait=False)
        thread.join(timeout=5)


def _run(service: Any) -> None:
    """A worker without its clock would look alive and do nothing: it ends, and is started again."""
    try:
        app.send_task("heartbeat")
        service.start()
    except Exception:
        logger.exception("beat failed")
        os.kill(os.getpid(), signal.SIGTERM)
