"""The spool: what a door took, durable on local disk until the line has stored it.

One SQLite file a folder, in WAL mode with synchronous=FULL, so a resolved `put` survives kill -9 and power loss.
Several processes write (edge, web), one reads (line). A record is whole, or *begun* and later *ended*: its bodies are
what BEGIN, the PIECEs and END carry, in that order. A writer holds a lock on a file of its own while it lives, so that
the line can tell an exchange still going on from one whose process died.

SpoolError
 └─ SpoolUnavailable    full, no space left, or the disk refuses: nothing was kept, try again later
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

from lib.frozen import dataclass

BATCH_RECORDS = 512
BATCH_BYTES = 8 * 2**20
ROWS_AT_ONCE = 64
BUSY_TIMEOUT_MS = 10_000
SPACE_CHECK_SECONDS = 1.0
LAST_RESORT_PAGES = 16_000
"""The line moves the log into the file; a writer does so only when the line has not for this long (64 MB)."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, exchange BLOB, writer INTEGER NOT NULL,
    facts BLOB NOT NULL, request BLOB, response BLOB);
CREATE INDEX IF NOT EXISTS record_exchange ON record (exchange) WHERE kind <= 3;
CREATE INDEX IF NOT EXISTS record_ready ON record (seq) WHERE kind >= 3;
CREATE INDEX IF NOT EXISTS record_order ON record (seq) WHERE kind = 7;
CREATE TABLE IF NOT EXISTS dead (
    seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, exchange BLOB, at REAL NOT NULL, reason TEXT NOT NULL,
    facts BLOB NOT NULL, request BLOB, response BLOB);
"""


class SpoolError(Exception):
    """The spool could not do what was asked."""


class SpoolUnavailable(SpoolError):
    """Full, or the disk refuses: nothing was kept."""


class Kind(IntEnum):
    BEGIN = 1
    PIECE = 2
    END = 3
    WHOLE = 4
    AMENDMENT = 5
    FORGET = 6
    FORGET_WHERE = 7


class Record(NamedTuple):
    """One put. `facts` is JSON (ingest_app/records.py); bodies are bytes as captured."""

    kind: Kind
    exchange: bytes | None
    facts: bytes
    request: bytes | None = None
    response: bytes | None = None

    @property
    def size(self) -> int:
        return len(self.facts) + len(self.request or b"") + len(self.response or b"")


@dataclass(frozen=True, slots=True)
class Entry:
    """A record ready for the line, its pieces joined. `seqs` are all the rows it is made of."""

    kind: Kind
    seqs: tuple[int, ...]
    facts: bytes
    request: bytes
    response: bytes
    is_interrupted: bool = False
    """Begun, and its writer died before the end."""


def _connect(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        folder / "spool.db", timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False,
        cached_statements=ROWS_AT_ONCE + 32,
    )
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={LAST_RESORT_PAGES}")
    return connection


def prepare(folder: Path) -> None:
    """The spool's folder and file, private to its owner. Any number of processes may do this at once."""
    (folder / "writers").mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    connection = _connect(folder)
    try:
        connection.executescript("BEGIN IMMEDIATE;" + SCHEMA + "COMMIT;")
    finally:
        connection.close()


Told = Callable[["SpoolUnavailable | None"], None]
"""Called in the loop of who put a record: with None once it is durable, else with why it was not kept."""


@cache
def _inserting(rows: int) -> str:
    marks = ",".join(["(?,?,?,?,?,?)"] * rows)
    return f"INSERT INTO record (kind, exchange, writer, facts, request, response) VALUES {marks}"  # noqa: S608


class _Put(NamedTuple):
    """Records kept together or not at all. `loop` is where a function is told."""

    records: Sequence[Record]
    done: Future[None] | asyncio.Future[None] | Told
    loop: asyncio.AbstractEventLoop | None = None


class Writer:
    """Puts records, many to a commit. One per process; thread-safe.

    `max_bytes` bounds the spool, `min_free_bytes` what is left of its disk; beyond either a put of new work fails with
    SpoolUnavailable. The END of what was begun is still tried: its room was counted at the begin.
    """

    def __init__(self, folder: Path, *, max_bytes: int, min_free_bytes: int) -> None:
        prepare(folder)
        self._folder = folder
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._queue: queue.SimpleQueue[Sequence[_Put] | None] = queue.SimpleQueue()
        self._space_checked_at = -SPACE_CHECK_SECONDS
        self._has_space = True
        self.incarnation = int.from_bytes(os.urandom(7), "big")
        self._lock = _hold_lock(folder / "writers" / f"{self.incarnation:x}")
        self._connection = _connect(folder)
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def put(self, record: Record) -> Future[None]:
        """A future that resolves when the record is durable, or fails with SpoolUnavailable."""
        done: Future[None] = Future()
        self._queue.put((_Put((record,), done),))
        return done

    def put_soon(self, record: Record) -> asyncio.Future[None]:
        """`put` for a coroutine of the running loop, which is woken once a commit, not once a record."""
        done = asyncio.get_running_loop().create_future()
        self._queue.put((_Put((record,), done),))
        return done

    def put_each(self, laid: Iterable[tuple[Record, Told]], loop: asyncio.AbstractEventLoop) -> None:
        """Many records, each kept or not by itself: the thread is woken once for them, and the loop once a commit."""
        self._queue.put([_Put((record,), told, loop) for record, told in laid])

    async def put_durably(self, record: Record) -> None:
        await self.put_soon(record)

    async def put_all_durably(self, records: Sequence[Record]) -> None:
        """All of them in one commit, or none."""
        if not records:
            return
        done = asyncio.get_running_loop().create_future()
        self._queue.put((_Put(records, done),))
        await done

    def close(self) -> None:
        """Writes out what was put, then lets go of the lock. A second time does nothing."""
        if not self._thread.is_alive():
            return
        self._queue.put(None)
        self._thread.join()
        self._connection.close()
        (self._folder / "writers" / f"{self.incarnation:x}").unlink(missing_ok=True)
        os.close(self._lock)

    def _run(self) -> None:
        while True:
            batch, is_last = self._next_batch()
            if batch:
                self._commit(batch)
            if is_last:
                return

    def _next_batch(self) -> tuple[list[_Put], bool]:
        """Everything waiting now, at most BATCH_RECORDS or BATCH_BYTES of it."""
        puts = self._queue.get()
        batch: list[_Put] = []
        count = size = 0
        while puts is not None:
            batch += puts
            for put in puts:
                count += len(put.records)
                size += sum([record.size for record in put.records])
            if count >= BATCH_RECORDS or size >= BATCH_BYTES:
                return batch, False
            try:
                puts = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, batch: list[_Put]) -> None:
        accepted: list[_Put] = []
        reason = "the spool is full"
        try:
            accepted = batch if self._room() else [put for put in batch if put.records[0].kind is Kind.END]
            if accepted:
                self._insert([record for put in accepted for record in put.records])
        except (sqlite3.Error, OSError) as raised:
            accepted, reason = [], str(raised)
        _settle(accepted, None)
        if accepted is not batch:
            kept = {id(put) for put in accepted}
            _settle([put for put in batch if id(put) not in kept], SpoolUnavailable(reason))

    def _insert(self, records: Sequence[Record]) -> None:
        """In one statement, which commits by itself, where there are not very many: each statement and each row of
        `executemany` lets go of the interpreter, and asks the event loop's thread for it again."""
        if len(records) <= ROWS_AT_ONCE:
            self._insert_rows(records)
            return
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(records), ROWS_AT_ONCE):
                self._insert_rows(records[start : start + ROWS_AT_ONCE])
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _insert_rows(self, records: Sequence[Record]) -> None:
        values: list[int | bytes | None] = []
        for kind, exchange, facts, request, response in records:
            values += (int(kind), exchange, self.incarnation, facts, request, response)
        self._connection.execute(_inserting(len(records)), values)

    def _room(self) -> bool:
        now = time.monotonic()
        if now - self._space_checked_at >= SPACE_CHECK_SECONDS:
            self._space_checked_at = now
            self._has_space = (
                shutil.disk_usage(self._folder).free >= self._min_free_bytes
                and used_bytes(self._connection) <= self._max_bytes
            )
        return self._has_space


_FUTURES = (Future, asyncio.Future)


def _settle(puts: Iterable[_Put], refusal: SpoolUnavailable | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[Future[None] | asyncio.Future[None] | Told]] = {}
    for put in puts:
        done, loop = put.done, put.loop
        if isinstance(done, asyncio.Future):
            loop = done.get_loop()
        if loop is not None:
            by_loop.setdefault(loop, []).append(done)
        elif isinstance(done, Future) and done.set_running_or_notify_cancel():
            _resolve((done,), refusal)
    for loop, ours in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, ours, refusal)


def _resolve(waiting: Iterable[Future[None] | asyncio.Future[None] | Told], refusal: SpoolUnavailable | None) -> None:
    for done in waiting:
        if not isinstance(done, _FUTURES):
            done(refusal)
        elif done.cancelled():
            continue
        elif refusal is None:
            done.set_result(None)
        else:
            done.set_exception(refusal)


class Buried(NamedTuple):
    """A record set apart. `reason` is the drop's name and the error's class: what stood in it stays there."""

    seq: int
    kind: str
    at: datetime
    reason: str


def buried(folder: Path, *, limit: int) -> list[Buried]:
    """The newest of what was set apart in a folder's spool on this machine; none where there is no spool."""
    path = folder / "spool.db"
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
        newest = "SELECT seq, kind, at, reason FROM dead ORDER BY seq DESC LIMIT ?"
        rows = connection.execute(newest, (limit,)).fetchall()
    return [
        Buried(seq, Kind(kind).name.lower(), datetime.fromtimestamp(at, UTC), ": ".join(reason.split(": ")[:2]))
        for seq, kind, at, reason in rows
    ]


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold records (pages given back are not counted)."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _hold_lock(path: Path) -> int:
    """A descriptor holding an exclusive lock that the kernel releases when this process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _is_dead(path: Path) -> bool:
    """Whether no process holds the writer's lock; the file of a dead one is removed."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


class Reader:
    """The line's side: takes what is ready in order, and removes it once stored. One per folder.

    One thread may `take` while another does the rest.
    """

    def __init__(self, folder: Path) -> None:
        prepare(folder)
        self._folder = folder
        self._lock = self._hold_alone()
        self._connection = _connect(folder)
        self._taking = _connect(folder)

    def _hold_alone(self) -> int:
        descriptor = os.open(self._folder / "line.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return descriptor

    def close(self) -> None:
        self._taking.close()
        self._connection.close()
        os.close(self._lock)

    def take(self, *, limit: int, max_bytes: int = BATCH_BYTES, after: int = 0) -> list[Entry]:
        """The oldest ready entries beyond seq `after`, at least one where there is any. They stay until `remove`."""
        rows = self._taking.execute(
            "SELECT seq, kind, exchange, facts, request, response FROM record "
            "WHERE kind >= 3 AND kind != 7 AND seq > ? ORDER BY seq LIMIT ?",
            (after, limit),
        )
        entries: list[Entry] = []
        size = 0
        for seq, kind, exchange, facts, request, response in rows:
            if kind == Kind.END:
                entry = _joined(self._taking, seq, exchange, facts, request, response)
            else:
                entry = Entry(Kind(kind), (seq,), facts, request or b"", response or b"")
            entries.append(entry)
            size += len(entry.request) + len(entry.response)
            if size >= max_bytes:
                break
        return entries

    def order(self) -> Entry | None:
        """The oldest order over many rows, once all that was put before it has been taken; it stays until `remove`."""
        row = self._connection.execute(
            "SELECT seq, facts FROM record AS o WHERE kind = 7 AND NOT EXISTS (SELECT 1 FROM record AS r "
            "WHERE r.kind >= 3 AND r.kind != 7 AND r.seq < o.seq) ORDER BY seq LIMIT 1"
        ).fetchone()
        return Entry(Kind.FORGET_WHERE, (row[0],), row[1], b"", b"") if row else None

    def interrupted(self) -> list[Entry]:
        """What dead writers had begun and not ended, as far as it was captured."""
        connection = self._connection
        writers = [row[0] for row in connection.execute("SELECT DISTINCT writer FROM record WHERE kind = 1")]
        dead = [writer for writer in writers if _is_dead(self._folder / "writers" / f"{writer:x}")]
        found = []
        for writer in dead:
            begun = connection.execute(
                "SELECT exchange, facts FROM record AS b WHERE kind = 1 AND writer = ? AND NOT EXISTS "
                "(SELECT 1 FROM record AS e WHERE e.kind <= 3 AND e.kind = 3 AND e.exchange = b.exchange)",
                (writer,),
            ).fetchall()
            found += [
                _joined(connection, 0, exchange, facts, None, None, is_interrupted=True) for exchange, facts in begun
            ]
        return found

    def waiting(self, *, after: int, limit: int) -> int:
        """How many ready records stand beyond seq `after`; beyond `limit` they are not counted."""
        found = self._connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM record WHERE kind >= 3 AND kind != 7 AND seq > ? LIMIT ?)",
            (after, limit),
        ).fetchone()
        return int(found[0])

    def remove(self, entries: Iterable[Entry]) -> None:
        """Forget what is stored. Run twice it changes nothing."""
        self._in_one_commit([("DELETE FROM record WHERE seq = ?", [(s,) for e in entries for s in e.seqs])])

    def bury(self, entry: Entry, reason: str) -> None:
        """Keep apart, with its reason, what can never be stored, so that it stops nothing behind it."""
        row = (entry.seqs[-1], int(entry.kind), time.time(), reason, entry.facts, entry.request, entry.response)
        self._in_one_commit([
            ("INSERT OR REPLACE INTO dead (seq, kind, at, reason, facts, request, response) "
             "VALUES (?,?,?,?,?,?,?)", [row]),
            ("DELETE FROM record WHERE seq = ?", [(s,) for s in entry.seqs]),
        ])

    def _in_one_commit(self, statements: Sequence[tuple[str, Sequence[tuple[object, ...]]]]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for sql, rows in statements:
            connection.executemany(sql, rows)
        connection.execute("COMMIT")

    def depth(self) -> tuple[int, int, int]:
        """(records ready, exchanges under way, records buried)."""
        row = self._connection.execute(
            "SELECT (SELECT count(*) FROM record WHERE kind >= 3), (SELECT count(*) FROM record WHERE kind = 1), "
            "(SELECT count(*) FROM dead)"
        ).fetchone()
        return (int(row[0]), int(row[1]), int(row[2]))

    def tidy(self) -> None:
        """Move the log into the file, and give some pages of removed records back to the disk."""
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self._connection.execute("PRAGMA incremental_vacuum(500)").fetchall()


def _joined(
    connection: sqlite3.Connection, seq: int, exchange: bytes, facts: bytes, request: bytes | None,
    response: bytes | None, *, is_interrupted: bool = False,
) -> Entry:  # fmt: skip
    parts = connection.execute(
        "SELECT seq, request, response FROM record WHERE exchange = ? AND kind <= 3 AND kind != 3 ORDER BY seq",
        (exchange,),
    ).fetchall()
    return Entry(
        Kind.END,
        (*(part[0] for part in parts), *((seq,) if seq else ())),
        facts,
        b"".join([part[1] or b"" for part in parts] + [request or b""]),
        b"".join([part[2] or b"" for part in parts] + [response or b""]),
        is_interrupted=is_interrupted,
    )
