"""Looking at processes of this machine, as the tests of faults do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from helicone_site.embedded import Postgres, Valkey
from lib.processes import end, spawn

PATIENCE_SECONDS = 60.0


def wait_until(is_so: Callable[[], object], what: str, patience: float = PATIENCE_SECONDS) -> None:
    """Fails the test where `is_so` stays false."""
    until = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < until, f"waited in vain: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Running, and not merely waiting to be reaped by somebody."""
    fields = _stat(Path("/proc") / str(pid))
    return bool(fields) and fields[0] not in "ZX"


def descendants(pid: int) -> set[int]:
    """Everybody a process has started, and they, and so on."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        if fields := _stat(folder):
            parents[int(folder.name)] = int(fields[1])
    found, grew = {pid}, True
    while grew:
        more = {child for child, parent in parents.items() if parent in found} - found
        found, grew = found | more, bool(more)
    return found - {pid}


@contextmanager
def running(server: Postgres | Valkey, log: Path) -> Iterator[int]:
    """A prepared server, ready; stopped in the end."""
    with log.open("ab") as output:
        pid = spawn(server.program(), output=output.fileno())
    try:
        wait_until(lambda: server.is_ready(pid), "the server is ready")
        yield pid
    finally:
        end(pid, signal.SIGINT if isinstance(server, Postgres) else signal.SIGTERM)
        os.waitpid(pid, 0)


def _stat(folder: Path) -> list[str]:
    """State, parent, … of a process; empty where it is gone."""
    try:
        return (folder / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
