"""Bodies that came before the message about their call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from ingest_app.records import LateBodies
from requests_app.store import Db

MOST_BYTES: Final = 512 * 2**20
"""Of one organisation's; beyond, the oldest go."""

_KEEP = """
INSERT INTO pending_body (organization_id, request_id, at, request, response) VALUES (%s, %s, %s, %s, %s)
"""
_BOUND = """
DELETE FROM pending_body WHERE id IN (SELECT id FROM (
    SELECT id, sum(octet_length(request) + octet_length(response)) OVER (ORDER BY at DESC, id DESC) AS bytes
    FROM pending_body WHERE organization_id = %s) AS found WHERE bytes > %s)
"""
_TAKE = """
DELETE FROM pending_body p USING unnest(%b::bigint[], %b::uuid[]) AS w (o, i)
WHERE organization_id = o AND request_id = i RETURNING organization_id, request_id, at, request, response
"""


def keep(connection: Db, uploads: Sequence[LateBodies], *, most: int = MOST_BYTES) -> int:
    """Answers how many had to go to make room."""
    with connection.cursor() as cursor:
        cursor.executemany(_KEEP, [(b.organization_id, b.request_id, b.at, b.request, b.response) for b in uploads])
    organizations = sorted({one.organization_id for one in uploads})
    return sum(connection.execute(_BOUND, (organization_id, most)).rowcount for organization_id in organizations)


def has_any(connection: Db) -> bool:
    return connection.execute("SELECT EXISTS (SELECT 1 FROM pending_body)").fetchone() == (True,)


def take(connection: Db, wanted: Iterable[tuple[int, UUID]]) -> list[LateBodies]:
    """Removes and answers what waits for these calls, oldest first."""
    ones = sorted(set(wanted))
    rows = connection.execute(_TAKE, ([one[0] for one in ones], [one[1] for one in ones])).fetchall()
    found = [LateBodies(row[0], row[1], row[2], bytes(row[3]), bytes(row[4])) for row in rows]
    return sorted(found, key=lambda one: one.at)


def forget(connection: Db, *, before: datetime) -> int:
    return connection.execute("DELETE FROM pending_body WHERE at < %s", (before,)).rowcount
