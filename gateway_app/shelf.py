"""Records gathered for a moment on their way to the spool, so that many share one commit.

A provider takes far longer to answer than a record waits here; whoever needs his record durable flushes the shelf.
Killed within that moment, an ended exchange is found as an interrupted one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

from ingest_app.spool import Record, Writer

GATHER_SECONDS = 0.005

Given = Callable[[Future[None]], None]


class Shelf:
    """Belongs to one event loop; records go to the spool in the order they were laid."""

    def __init__(self, spool: Writer) -> None:
        self._spool = spool
        self._laid: list[tuple[Record, Given]] = []
        self._timer: asyncio.TimerHandle | None = None

    def lay(self, record: Record, given: Given) -> None:
        """`given` gets the record's future once the spool has it."""
        self._laid.append((record, given))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        laid, self._laid = self._laid, []
        for record, given in laid:
            given(self._spool.put(record))
