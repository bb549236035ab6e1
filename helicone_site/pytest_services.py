"""Throw-away Postgres and Valkey for a test run, given to pytest with `-p helicone_site.pytest_services`.

pytest-django reads the settings before any conftest.py, so this has to be a plugin named by `-p`, and to say where
things are before anything else of ours is imported. DATABASE_URL and REDIS_URL are used where they are set. Each run
has a DATA_DIR of its own.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from lib.processes import IS_LINUX, Watchdog, end, spawn

START_SECONDS = 60.0
STOP_SECONDS = 30.0
STATE = pytest.StashKey["Services"]()


class Services:
    """The servers of one run, in a folder that goes with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watchdog = None if IS_LINUX else Watchdog()
        self._running: list[tuple[int, signal.Signals]] = []
        self._log = os.open(folder / "services.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def start(self) -> None:
        """Starts what no URL names, and waits until it answers."""
        embedded = importlib.import_module("helicone_site.embedded")
        places = importlib.import_module("helicone_site.places")
        if not os.environ.get("REDIS_URL"):
            self._start(embedded.valkey(places.VALKEY_SOCKET), signal.SIGTERM)
        if not os.environ.get("DATABASE_URL"):
            postgres = embedded.postgres(self._folder / "postgres", places.POSTGRES_SOCKETS, is_throw_away=True)
            self._start(postgres, signal.SIGINT)

    def _start(self, server: Any, stop_signal: signal.Signals) -> None:
        server.prepare()
        pid = spawn(server.program(), output=self._log, watchdog=self._watchdog)
        until = time.monotonic() + START_SECONDS
        while not server.is_ready(pid):
            if os.waitpid(pid, os.WNOHANG)[0] or time.monotonic() > until:
                end(pid, signal.SIGKILL)
                raise pytest.UsageError(f"{server} did not start:\n{(self._folder / 'services.log').read_text()}")
            time.sleep(0.02)
        self._running.append((pid, stop_signal))

    def stop(self) -> None:
        for pid, stop_signal in reversed(self._running):
            end(pid, stop_signal)
            until = time.monotonic() + STOP_SECONDS
            while not os.waitpid(pid, os.WNOHANG)[0]:
                if time.monotonic() > until:
                    end(pid, signal.SIGKILL)
                time.sleep(0.02)
        self._running.clear()
        os.close(self._log)
        shutil.rmtree(self._folder, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The first hook a plugin hears, and the only one before pytest-django has read the settings."""
    folder = tempfile.mkdtemp(prefix="helicone-test-")
    os.environ["DATA_DIR"] = folder
    for name in ("SPOOL_DIR", "SECRET_KEY_FILE"):
        os.environ.pop(name, None)


def pytest_sessionstart(session: pytest.Session) -> None:
    services = Services(Path(os.environ["DATA_DIR"]))
    session.config.stash[STATE] = services
    if not session.config.option.collectonly and not _is_controller(session.config):
        services.start()


def _is_controller(config: pytest.Config) -> bool:
    """Whether it hands the tests to processes of its own: each of them has servers of its own."""
    return bool(config.getoption("numprocesses", None)) and not hasattr(config, "workerinput")


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    if services := config.stash.get(STATE, None):
        services.stop()
    shutil.rmtree(os.environ["DATA_DIR"], ignore_errors=True)
