"""Dictionaries of bodies: which one an organisation writes with, those its bodies need, and their end.

A body names the version it was made with, and nobody may take that version away from under it. A line locks the rows
of the versions it writes with until its batch is committed; what removes a version locks it first and then looks.
"""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from psycopg import Connection

from lib import zstd
from lib.frozen import dataclass

Db = Connection[Any]
LOCK = 7705
KEPT_CODECS = 64
"""In memory, of whichever organisations were asked for last; one that compresses takes 1 MB for level 3, 2.3 for 12."""


@dataclass(frozen=True, slots=True)
class Packing:
    """How to pack a new body: the version to write on it, and what packs."""

    version: int
    codec: zstd.Codec
    level: int = zstd.LEVEL

    def pack(self, data: bytes) -> bytes | None:
        """A frame; None of nothing."""
        return self.codec.compress(data, self.level) if data else None


PLAIN = Packing(0, zstd.PLAIN)


class _Codecs:
    """The codecs used last, by version. A version's content never changes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[int, int], zstd.Codec] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int], load: Callable[[], bytes]) -> zstd.Codec:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        codec = zstd.Codec(load())
        with self._lock:
            codec = self._kept.setdefault(key, codec)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return codec


_codecs = _Codecs(KEPT_CODECS)


def codec(organization_id: int, version: int, *, load: Callable[[], bytes]) -> zstd.Codec:
    """Of one version, from memory or by `load`, whose error goes to the caller."""
    return _codecs.get((organization_id, version), load)


# --- writing --------------------------------------------------------------------------------------------------------

_CURRENT = """
SELECT organization_id, version FROM body_dictionary WHERE organization_id = ANY(%s) AND is_current
ORDER BY version FOR KEY SHARE
"""


def packings(connection: Db, organizations: Iterable[int], level: int = zstd.LEVEL) -> Mapping[int, Packing]:
    """What each organisation writes with now, held until the transaction ends."""
    asked = sorted(set(organizations))
    found: Sequence[tuple[int, int]] = connection.execute(_CURRENT, (asked,)).fetchall()
    return {one: Packing(0, zstd.PLAIN, level) for one in asked} | {
        one: Packing(version, codec(one, version, load=partial(_content, connection, version)), level)
        for one, version in found
    }


def _content(connection: Db, version: int) -> bytes:
    row = connection.execute("SELECT content FROM body_dictionary WHERE version = %s", (version,)).fetchone()
    assert row is not None, "the row is locked"
    return bytes(row[0])


# --- training -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Current:
    version: int
    content: bytes
    made_at: datetime


def organizations(connection: Db) -> list[int]:
    """All that have bodies, or dictionaries."""
    rows = connection.execute(
        "WITH RECURSIVE seen AS (SELECT min(organization_id) AS one FROM llm_request_body UNION ALL "
        "SELECT (SELECT min(organization_id) FROM llm_request_body WHERE organization_id > seen.one) FROM seen "
        "WHERE seen.one IS NOT NULL) SELECT one FROM seen WHERE one IS NOT NULL "
        "UNION SELECT organization_id FROM body_dictionary ORDER BY one"
    )
    return [one for (one,) in rows.fetchall()]


def current(connection: Db, organization_id: int) -> Current | None:
    row = connection.execute(
        "SELECT version, content, made_at FROM body_dictionary WHERE organization_id = %s AND is_current",
        (organization_id,),
    ).fetchone()
    return Current(row[0], bytes(row[1]), row[2]) if row else None


def body_days(connection: Db, organization_id: int) -> int | None:
    row = connection.execute(
        "SELECT least(body_days, request_days) FROM retention_policy WHERE organization_id = %s", (organization_id,)
    ).fetchone()
    return row[0] if row else None


_PLACES = """
SELECT requested_at, id FROM llm_request_body WHERE organization_id = %s AND requested_at >= %s
ORDER BY requested_at DESC LIMIT %s
"""
_SAMPLED = """
SELECT coalesce(r.end_user_id, 's ' || r.session_id, ''), b.dict_version, b.key_version,
    b.request, b.response, b.headers, b.together
FROM llm_request_body b JOIN unnest(%s::timestamptz[], %s::uuid[]) AS w (requested_at, id) USING (requested_at, id)
JOIN llm_request r ON r.organization_id = b.organization_id AND r.requested_at = b.requested_at AND r.id = b.id
WHERE b.organization_id = %s AND b.requested_at BETWEEN %s AND %s
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """One row's bodies as stored, and whose they are; "" where nobody is named."""

    person: str
    version: int
    frames: tuple[bytes, ...]
    is_joined: bool
    """Then the only frame is of all parts."""


def recent(connection: Db, organization_id: int, *, since: datetime, among: int, most: int) -> list[Stored]:
    """Up to `most` of the newest `among` bodies, in any order: every n-th would fall in with traffic's rhythms."""
    places = connection.execute(_PLACES, (organization_id, since, among)).fetchall()
    places = random.sample(places, min(most, len(places)))
    if not places:
        return []
    moments = [at for at, _ in places]
    rows = connection.execute(
        _SAMPLED, (moments, [one for _, one in places], organization_id, min(moments), max(moments))
    )
    found = [
        Stored(person, version, tuple(bytes(frame) for frame in (*frames, together) if frame), together is not None)
        for person, version, key_version, *frames, together in rows if not key_version
    ]  # fmt: skip
    return random.sample(found, len(found))


def next_version(connection: Db) -> int:
    """Never given twice, to no organisation; what is not used is a gap."""
    row = connection.execute("SELECT nextval('body_dictionary_version')").fetchone()
    return int(row[0]) if row else 0


def install(connection: Db, organization_id: int, *, version: int, content: bytes, made_at: datetime) -> None:
    """From now on the organisation writes with this one."""
    with connection.transaction():
        retire(connection, organization_id)
        connection.execute(
            "INSERT INTO body_dictionary (version, organization_id, is_current, content, made_at) "
            "VALUES (%s, %s, true, %s, %s)",
            (version, organization_id, content, made_at),
        )


def retire(connection: Db, organization_id: int) -> None:
    """From now on the organisation writes without."""
    connection.execute(
        "UPDATE body_dictionary SET is_current = false WHERE organization_id = %s AND is_current", (organization_id,)
    )


# --- the end --------------------------------------------------------------------------------------------------------

IDLE = timedelta(days=1)
"""How long a current dictionary may be without a body: it was only just made, or its organisation says nothing."""
_ENDING = """
SELECT organization_id, version FROM body_dictionary WHERE NOT is_current OR made_at < %s ORDER BY version
"""
_USED = """
SELECT EXISTS (SELECT 1 FROM llm_request_body WHERE organization_id = %s AND dict_version = %s AND dict_version > 0)
"""


def sweep(connection: Db, now: datetime) -> list[int]:
    """Removes the versions no body needs any more; answers which. `connection` is in autocommit.

    The lock waits for batches that write with the version, and a batch that comes later waits for us and then finds it
    gone; the look is a statement of its own behind the lock, so it sees what those batches committed.
    """
    gone = []
    for organization_id, version in connection.execute(_ENDING, (now - IDLE,)).fetchall():
        with connection.transaction():
            connection.execute("SELECT 1 FROM body_dictionary WHERE version = %s FOR UPDATE", (version,))
            if connection.execute(_USED, (organization_id, version)).fetchone() == (False,):
                connection.execute("DELETE FROM body_dictionary WHERE version = %s", (version,))
                gone.append(version)
    return gone
