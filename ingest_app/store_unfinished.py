"""Calls whose reply told no usage yet, and replies told later that found no such call: each waits for the other."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from requests_app.store import Db, Key

Wanted = tuple[int, str]
"""(organization_id, provider_response_id)."""

_WAIT = """
INSERT INTO unfinished_call (organization_id, provider_response_id, is_answer, requested_at, id)
SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bool[], %b::timestamptz[], %b::uuid[]) AS w (o, p, a, r, i)
ORDER BY o, p, a ON CONFLICT DO NOTHING
"""
_PAIRS = """
SELECT c.organization_id, c.provider_response_id, c.requested_at, c.id, a.requested_at, a.id
FROM unfinished_call c JOIN unfinished_call a USING (organization_id, provider_response_id)
JOIN unnest(%b::bigint[], %b::text[]) AS w (o, p) ON c.organization_id = o AND c.provider_response_id = p
WHERE NOT c.is_answer AND a.is_answer
"""


def wait(connection: Db, calls: Iterable[tuple[Wanted, bool, Key]]) -> None:
    """(what, whether it is an answer, where its row is)."""
    rows = [(org, response_id, is_answer, key[1], key[2]) for (org, response_id), is_answer, key in calls]
    connection.execute(_WAIT, tuple(map(list, zip(*rows, strict=True))))


def pairs(connection: Db, wanted: Iterable[Wanted]) -> list[tuple[Wanted, Key, Key]]:
    """What has found its answer: (what, the call's row, the answer's row)."""
    ones = sorted(set(wanted))
    rows = connection.execute(_PAIRS, ([one[0] for one in ones], [one[1] for one in ones])).fetchall()
    return sorted(((r[0], r[1]), (r[0], r[2], r[3]), (r[0], r[4], r[5])) for r in rows)


def done(connection: Db, wanted: Iterable[Wanted]) -> None:
    ones = list(wanted)
    connection.execute(
        "DELETE FROM unfinished_call u USING unnest(%b::bigint[], %b::text[]) AS w (o, p) "
        "WHERE u.organization_id = o AND u.provider_response_id = p AND NOT u.is_answer",
        ([one[0] for one in ones], [one[1] for one in ones]),
    )


def forget(connection: Db, *, before: datetime) -> int:
    """Removes what has waited since before a moment: its other half was never captured."""
    return connection.execute("DELETE FROM unfinished_call WHERE waits_since < %s", (before,)).rowcount
