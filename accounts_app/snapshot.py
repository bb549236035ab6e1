"""What `edge` knows of the database: one versioned read, kept in memory and on disk.

Each room declares a `Part` (a query and how its rows are read); the composition joins them. All parts and the version
come from one statement, so they belong together. Refreshed on NOTIFY, when a look at the version says so, and every
REFRESH_SECONDS; the last good copy lies on disk, so that a start without Postgres still knows its keys.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import psycopg
from psycopg import sql
from psycopg.types.json import set_json_loads

from accounts_app.keys import Speaker, hash_key
from lib import files
from lib.frozen import dataclass

log = logging.getLogger("accounts_app")

LOOK_SECONDS = 2.0
"""How often the version is looked at: a NOTIFY may get lost (a pooler, a dead link), a revocation may not."""
REFRESH_SECONDS = 30.0
READ_TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 1.0
UNKNOWN_KEY_SECONDS = 1.0
"""Unknown keys ask for a refresh at most this often."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """What one room wants `edge` to know: a SELECT whose rows become `read(rows)`."""

    name: str
    query: str
    read: Callable[[Rows], Any]


def _speakers(rows: Rows) -> dict[str, Speaker]:
    return {
        row["key_hash"]: Speaker(
            row["organization_id"], row["id"], row["name"], row["permissions"], row.get("asks_stream_usage", False),
            row.get("may_borrow", False), row.get("provider_key_id"),
        )
        for row in rows
    }


KEYS = Part(
    "keys",
    "SELECT k.id, k.organization_id, k.name, k.key_hash, k.permissions, o.asks_stream_usage, k.provider_key_id,"
    " (k.may_borrow OR NOT o.lends_to_chosen) AND k.provider_key_id IS NULL AS may_borrow"
    " FROM api_key k JOIN organization o ON o.id = k.organization_id WHERE k.revoked_at IS NULL",
    _speakers,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    version: int
    loaded_at: float
    """Seconds since 1970."""
    parts: Mapping[str, Any]

    def speaker(self, key: str) -> Speaker | None:
        """Whom the key speaks for; None for one unknown or revoked."""
        speakers: Mapping[str, Speaker] = self.parts[KEYS.name]
        return speakers.get(hash_key(key))


def _as_text(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else bytes(data)


class Keeper:
    """Keeps the newest snapshot at hand. `current` is None until one was ever read here."""

    def __init__(self, conninfo: str, file: Path, parts: Sequence[Part] = (KEYS,)) -> None:
        self._conninfo = conninfo
        self._file = file
        self._parts = parts
        self._last_wish = float("-inf")
        self._was_reachable = True
        self._texts: dict[str, bytes] = {}
        """Of each part as it was last read, so that one that says the same is not read again."""
        self.current: Snapshot | None = self._stored()

    async def speaker(self, key: str) -> Speaker | None:
        """Whom the key speaks for; one not known yet is worth a fresh look, at most once a second for all."""
        if self.current is None:
            return None
        found = self.current.speaker(key)
        if found is None and await self._look_again():
            found = self.current.speaker(key)
        return found

    async def _look_again(self) -> bool:
        """Whether a fresh snapshot could be read just now, on a connection of its own."""
        now = time.monotonic()
        if now - self._last_wish < UNKNOWN_KEY_SECONDS:
            return False
        self._last_wish = now
        try:
            async with asyncio.timeout(UNKNOWN_KEY_SECONDS), await self._connect() as connection:
                await self._refresh(connection)
        except (psycopg.Error, OSError, TimeoutError):
            return False
        return True

    async def run(self) -> None:
        """Refreshes until cancelled; without Postgres it goes on trying."""
        while True:
            try:
                async with await self._connect() as connection:
                    await self._follow(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._say_lost(error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        set_json_loads(_as_text, connection)
        return connection

    async def _follow(self, connection: psycopg.AsyncConnection[Any]) -> None:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            await connection.execute("LISTEN snapshot")
        while True:
            await self._refresh(connection)
            await self._until_stale(connection)

    async def _refresh(self, connection: psycopg.AsyncConnection[Any]) -> None:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            cursor = await connection.execute(self._statement())
            row = await cursor.fetchone()
        if row is None or row[0] is None:
            raise psycopg.OperationalError("snapshot_version is empty: run the migrations")
        self._take(int(row[0]), {part.name: text for part, text in zip(self._parts, row[1:], strict=True)})

    def _statement(self) -> sql.Composed:
        """One statement, so that all parts are of one moment."""
        selects = [
            sql.SQL("(SELECT coalesce(json_agg(part), '[]') FROM ({}) AS part)").format(sql.SQL(part.query))
            for part in self._parts
        ]
        return sql.SQL("SELECT (SELECT version FROM snapshot_version), {}").format(sql.SQL(", ").join(selects))

    def _take(self, version: int, texts: Mapping[str, bytes]) -> None:
        is_new = self.current is None or self.current.version != version
        before = {} if self.current is None else self.current.parts
        parts = {
            part.name: before[part.name] if self._texts.get(part.name) == (text := texts[part.name])
            else part.read(orjson.loads(text))
            for part in self._parts
        }  # fmt: skip
        self._texts, self.current = dict(texts), Snapshot(version, time.time(), parts)
        if is_new or not self._file.exists():
            self._store(version, texts)
        if not self._was_reachable:
            log.info("snapshot_back version=%d", version)
        self._was_reachable = True

    async def _until_stale(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Returns when the database has news or the snapshot is old."""
        deadline = time.monotonic() + REFRESH_SECONDS
        while time.monotonic() < deadline:
            async for _ in connection.notifies(timeout=LOOK_SECONDS, stop_after=1):
                return
            async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                row = await (await connection.execute("SELECT version FROM snapshot_version")).fetchone()
            if row is None or self.current is None or row[0] != self.current.version:
                return

    def _say_lost(self, error: Exception) -> None:
        if self._was_reachable:
            log.warning("snapshot_stale reason=%s", " ".join(str(error).split()) or type(error).__name__)
        self._was_reachable = False

    def _store(self, version: int, texts: Mapping[str, bytes]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            parts = {name: orjson.Fragment(text) for name, text in texts.items()}
            files.replace(self._file, orjson.dumps({"version": version, "at": time.time(), "parts": parts}).decode())
        except OSError as error:
            log.warning("snapshot_not_stored reason=%s", error)

    def _stored(self) -> Snapshot | None:
        """The last good copy; None where there is none. One from before a part was there has no rows of it: what that
        part is about could not be set then."""
        try:
            stored = orjson.loads(self._file.read_bytes())
            rows = stored["parts"]
            if KEYS.name not in rows:
                raise ValueError("it holds no keys")
            parts = {part.name: part.read(rows.get(part.name, ())) for part in self._parts}
            return Snapshot(stored["version"], stored["at"], parts)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("snapshot_unreadable reason=%s", error)
            return None
