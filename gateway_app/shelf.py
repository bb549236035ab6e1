"""Records gathered for a moment on their way to the spool, so that many share one commit.

A provider takes far longer to answer than a record waits here; whoever needs his record durable flushes the shelf.
Killed within that moment, an ended exchange is found as an interrupted one.
"""

from __future__ import annotations

import asyncio

from ingest_app.spool import Record, Told, Writer

GATHER_SECONDS = 0.005


class Shelf:
    """Belongs to one event loop; records go to the spool in the order they were laid."""

    def __init__(self, spool: Writer) -> None:
        self._spool = spool
        self._loop = asyncio.get_running_loop()
        self._laid: list[tuple[Record, Told]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._round = 0
        self._is_asked = False

    def lay(self, record: Record, told: Told) -> int:
        """`told` is called once the record is durable, or known not to be. Answers the round it is flushed in."""
        self._laid.append((record, told))
        if self._timer is None:
            self._timer = self._loop.call_later(GATHER_SECONDS, self.flush)
        return self._round

    def flush_soon(self, round_: int) -> None:
        """At the loop's next turn, with what others lay in this one; nothing where the round was flushed before."""
        if self._timer is None or self._is_asked or round_ != self._round:
            return
        self._is_asked = True
        self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """What lies here."""
        self._is_asked = False
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._round += 1
        laid, self._laid = self._laid, []
        self._spool.put_each(laid, self._loop)
