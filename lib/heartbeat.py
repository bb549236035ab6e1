"""Each process says in a small file that it lives and whether it can work; `/healthz` reads them all.

A file, so that any process may speak without a server of its own, and be read while Postgres and Redis are away.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.processes import is_running

EVERY_SECONDS = 5.0
STALE_SECONDS = 20.0
"""A process silent for longer counts as stuck: four beats were missed."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a process last said of itself. `at` in seconds since 1970."""

    process: str
    pid: int
    at: float
    is_ready: bool
    detail: Mapping[str, Any]

    @property
    def is_fresh(self) -> bool:
        return abs(time.time() - self.at) <= STALE_SECONDS

    @property
    def is_well(self) -> bool:
        """Ready, not stuck, and not the word of a process that has died since."""
        return self.is_ready and self.is_fresh and is_running(self.pid)


def write(
    folder: Path, process: str, *, is_ready: bool, detail: Mapping[str, Any] | None = None, pid: int | None = None
) -> None:
    """Replaces the process's beat in one step. `pid` where one process speaks for another."""
    said = {"pid": pid or os.getpid(), "at": time.time(), "is_ready": is_ready, "detail": dict(detail or {})}
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = folder / f".{process}.{os.getpid()}.{threading.get_ident()}"
    draft.write_text(json.dumps(said))
    draft.replace(folder / f"{process}.json")


def read(folder: Path) -> dict[str, Beat]:
    """The last beat of every process, by name; a file that cannot be read is as if it were not there."""
    beats = (_read_one(path) for path in sorted(folder.glob("*.json")))
    return {beat.process: beat for beat in beats if beat}


def clear(folder: Path) -> None:
    """Forget what processes of an earlier start have said."""
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)


def keep_beating(folder: Path, process: str) -> None:
    """Beats as ready every EVERY_SECONDS from a thread of its own, for as long as this process lives."""

    def run() -> None:
        while True:
            with contextlib.suppress(OSError):  # a full disk must not end the thread: the next beat may succeed
                write(folder, process, is_ready=True)
            time.sleep(EVERY_SECONDS)

    threading.Thread(target=run, name="heartbeat", daemon=True).start()


def _read_one(path: Path) -> Beat | None:
    try:
        said = json.loads(path.read_text())
        return Beat(path.stem, int(said["pid"]), float(said["at"]), bool(said["is_ready"]), dict(said["detail"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None

