"""`manage.py web`: pages and REST API, gunicorn with threads on a unix socket that only `edge` reaches.

Django is imported by the workers alone: their master, which only watches them, stays small.
"""

from __future__ import annotations

import importlib
import signal
from typing import Any

from gunicorn.app.base import BaseApplication

from helicone_site import places, settings
from lib import folders, heartbeat
from lib.processes import die_with_parent


class Pages(BaseApplication):  # type: ignore[misc]
    """gunicorn, told here what its configuration file would."""

    def load_config(self) -> None:
        for name, value in OPTIONS.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return importlib.import_module("helicone_site.wsgi").application


def _after_fork(_server: Any, worker: Any) -> None:
    die_with_parent(signal.SIGKILL, parent=worker.ppid)


def _when_loaded(_worker: Any) -> None:
    heartbeat.keep_beating(settings.HEALTH_DIR, "web")


OPTIONS: dict[str, Any] = {
    "bind": f"unix:{places.WEB_SOCKET}",
    "worker_class": "gthread",
    "workers": settings.WEB_WORKERS,
    "threads": settings.WEB_THREADS,
    "timeout": 60,
    "graceful_timeout": 10,
    "umask": 0o077,
    "forwarded_allow_ips": "*",
    "forwarder_headers": "",
    "loglevel": "warning",
    "control_socket_disable": True,
    "post_fork": _after_fork,
    "post_worker_init": _when_loaded,
}
"""`edge` alone reaches the socket, so what it says of where a request came from is believed."""


def main() -> None:
    folders.make_private(places.RUN_DIR)
    Pages().run()
