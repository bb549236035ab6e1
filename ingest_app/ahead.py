"""What the line stores next, read while Postgres stores what it has: that step needs nothing but the spool."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from ingest_app import line, records
from ingest_app.records import Amendment, Forget, LateBodies, Said
from ingest_app.spool import Entry, Reader
from lib.frozen import dataclass
from llm.exchange import Exchange, ParsedExchange

log = logging.getLogger("ingest.line")

BATCH = 1000
MANY = 500
"""Fewer are left to become more: small batches cost as many trips as large ones."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries in the order they were spooled, and what was read of them."""

    entries: Sequence[Entry]
    said: Sequence[tuple[Entry, Said]]
    unreadable: Sequence[tuple[Entry, Exception]]
    work: line.Work
    parsed: Sequence[ParsedExchange] | None
    """None where that failed, which it never should: whoever stores it finds the one at fault."""
    seconds: float
    """What parsing took."""


class Ahead:
    """Batches of one spool, each once; a thread reads the next one where more wait than fit into one."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._next: Future[Batch] | None = None

    def take(self) -> Batch:
        """The oldest entries that were not taken yet."""
        batch = self._read(after=0) if self._next is None else self._next.result()
        self._next = None
        if batch.entries and self._reader.waiting(after=(last := batch.entries[-1].seqs[-1]), limit=MANY) == MANY:
            self._next = self._threads.submit(self._read, after=last)
        return batch

    def begin_anew(self) -> None:
        """What was taken and is still in the spool will be taken again."""
        if self._next is not None and not self._next.cancel():
            wait([self._next])
        self._next = None

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _read(self, *, after: int) -> Batch:
        return read(self._reader.take(limit=BATCH, after=after))


def read(entries: Sequence[Entry]) -> Batch:
    said: list[tuple[Entry, Said]] = []
    unreadable: list[tuple[Entry, Exception]] = []
    for entry in entries:
        try:
            said.append((entry, records.read(entry)))
        except (ValueError, KeyError, TypeError) as error:
            unreadable.append((entry, error))
    work = _work_of([one for _, one in said])
    started = time.perf_counter()
    parsed = _parsed(work)
    return Batch(entries, said, unreadable, work, parsed, time.perf_counter() - started)


def _parsed(work: line.Work) -> Sequence[ParsedExchange] | None:
    try:
        return line.parsed(work)
    except Exception as error:
        log.error("a batch could not be parsed whole error=%s", type(error).__name__)
        return None


def _work_of(said: Sequence[Said]) -> line.Work:
    return line.Work(
        exchanges=[one for one in said if isinstance(one, Exchange)],
        amendments=[one for one in said if isinstance(one, Amendment)],
        bodies=[one for one in said if isinstance(one, LateBodies)],
        forgets=[one for one in said if isinstance(one, Forget)],
    )
