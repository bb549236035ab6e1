"""Traces as the line sees them: whose they are, and the shape of their steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from ingest_app.traces import Told, TraceKey
from lib.frozen import dataclass
from requests_app import usage_packing
from requests_app.rows import RequestRow
from requests_app.store import Db

MAX_STEPS = 5_000
"""Of one trace that are looked at together: beyond, a step is counted as it came."""

_TOUCH = """
INSERT INTO trace AS t (organization_id, trace_id, last_at, session_id, session_name, end_user_id, told)
SELECT o, i, a, s, n, u, w FROM unnest(%b::bigint[], %b::text[], %b::timestamptz[], %b::text[], %b::text[],
    %b::text[], %b::jsonb[]) AS f (o, i, a, s, n, u, w)
ORDER BY o, i COLLATE "C"
ON CONFLICT (organization_id, trace_id) DO UPDATE SET last_at = greatest(t.last_at, excluded.last_at)
RETURNING organization_id, trace_id, CASE WHEN xmax <> 0 THEN told END
"""
_TELL = """
UPDATE trace AS t SET session_id = s, session_name = n, end_user_id = u, told = w
FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[], %b::jsonb[]) AS f (o, i, s, n, u, w)
WHERE t.organization_id = o AND t.trace_id = i
"""
_STEPS = """
SELECT o, i, span_id, parent_span_id, kind, coalesce(problems, '{}'), requested_at, id, door, provider_response_id, told
FROM unnest(%b::bigint[], %b::text[]) AS w (o, i) CROSS JOIN LATERAL (
    SELECT r.*, coalesce(octet_length(usage), 0) AS told FROM llm_request r
    WHERE organization_id = o AND trace_id = i AND span_id IS NOT NULL LIMIT %s) AS found
"""


@dataclass(frozen=True, slots=True)
class StoredStep:
    """One row of a trace: what it is now, and where."""

    span_id: str
    parent_span_id: str | None
    kind: str
    problems: Sequence[str]
    requested_at: datetime
    id: Any
    door: str
    response_id: str | None
    told: int
    """How long its usage is as packed: 0 where it tells none."""


def touch(
    connection: Db, lasts: Mapping[TraceKey, datetime], told: Mapping[TraceKey, Told]
) -> dict[TraceKey, Told | None]:
    """What was known of each trace; None of one that is new, which then has what is told of it now.

    Their rows are held until the transaction ends, taken in key order.
    """
    keys = sorted(lasts, key=lambda key: (key[0], key[1].encode()))
    columns = zip(*((key[0], key[1], lasts[key], *_values(told[key])) for key in keys), strict=True)
    found = connection.execute(_TOUCH, [list(column) for column in columns]).fetchall()
    return {(row[0], row[1]): None if row[2] is None else _told(row[2]) for row in found}


def tell(connection: Db, told: Mapping[TraceKey, Told]) -> None:
    """Writes down what is known now."""
    if told:
        columns = zip(*((*key, *_values(one)) for key, one in told.items()), strict=True)
        connection.execute(_TELL, [list(column) for column in columns])


def _values(told: Told) -> tuple[str | None, str | None, str | None, str]:
    facts = told.facts()
    words = {"session": told.session, "user": told.user, "names": told.names, "properties": told.properties}
    dumped = orjson.dumps({name: said for name, said in words.items() if said}).decode()
    return facts.session_id, facts.session_name, facts.end_user_id, dumped


def _told(words: Mapping[str, Any]) -> Told:
    session, user = (tuple(words[name]) if name in words else None for name in ("session", "user"))
    names, properties = ({k: tuple(w) for k, w in words.get(name, {}).items()} for name in ("names", "properties"))
    return Told(session, user, names, properties)


def steps(connection: Db, keys: Iterable[TraceKey]) -> dict[TraceKey, list[StoredStep]]:
    """The steps of each trace, at most MAX_STEPS of one."""
    wanted = list(keys)
    found: dict[TraceKey, list[StoredStep]] = {}
    if not wanted:
        return found
    values = ([key[0] for key in wanted], [key[1] for key in wanted], MAX_STEPS)
    for row in connection.execute(_STEPS, values).fetchall():
        found.setdefault((row[0], row[1]), []).append(StoredStep(*row[2:]))
    return found


def step_of(row: RequestRow) -> StoredStep:
    """As `steps` would find it."""
    return StoredStep(
        row.span_id or "", row.parent_span_id, row.kind, row.problems, row.requested_at, row.id, row.door,
        row.provider_response_id, len(usage_packing.pack(row.usage) or b""),
    )  # fmt: skip


# --- steps that may have called a model themselves -------------------------------------------------------------------


def watch(connection: Db, spans: Iterable[tuple[int, str, str, datetime]]) -> None:
    """(organization_id, trace_id, span_id, due_at)."""
    rows = sorted(spans)
    if rows:
        connection.execute(
            "INSERT INTO span_watch (organization_id, trace_id, span_id, due_at) "
            "SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::timestamptz[]) ON CONFLICT DO NOTHING",
            [list(column) for column in zip(*rows, strict=True)],
        )


def take_due(connection: Db, now: datetime, *, limit: int) -> list[tuple[int, str, str]]:
    """Removes and answers (organization_id, trace_id, span_id) of those whose time has come; each to one line only."""
    return connection.execute(
        "DELETE FROM span_watch WHERE id IN (SELECT id FROM span_watch WHERE due_at <= %s ORDER BY due_at LIMIT %s "
        "FOR UPDATE SKIP LOCKED) RETURNING organization_id, trace_id, span_id", (now, limit),
    ).fetchall()  # fmt: skip


# --- what is gone -----------------------------------------------------------------------------------------------------


_HOLD = """
SELECT 1 FROM trace JOIN unnest(%b::bigint[], %b::text[]) AS w (o, i) ON organization_id = o AND trace_id = i
ORDER BY o, i COLLATE "C" FOR UPDATE OF trace
"""
_FORGET_EMPTY = """
DELETE FROM trace t USING unnest(%b::bigint[], %b::text[]) AS w (o, i) WHERE organization_id = o AND trace_id = i
AND NOT EXISTS (SELECT 1 FROM llm_request r WHERE r.organization_id = o AND r.trace_id = i)
"""
_UNWATCH = """
DELETE FROM span_watch s USING unnest(%b::bigint[], %b::text[], %b::text[]) AS w (o, i, n)
WHERE s.organization_id = o AND s.trace_id = i AND s.span_id = n
"""
_FORGET_OLD = """
DELETE FROM trace t WHERE t.organization_id = %s AND t.last_at < %s AND NOT EXISTS (
    SELECT 1 FROM llm_request r WHERE r.organization_id = t.organization_id AND r.trace_id = t.trace_id)
"""


def hold(connection: Db, keys: Iterable[TraceKey]) -> tuple[list[int], list[str]]:
    """The rows of these traces until the transaction ends, taken in key order; answers the keys as columns."""
    traces = sorted(keys, key=lambda key: (key[0], key[1].encode()))
    columns = ([key[0] for key in traces], [key[1] for key in traces])
    if traces:
        connection.execute(_HOLD, columns)
    return columns


def forget_gone(connection: Db, steps: Iterable[tuple[int, str, str]]) -> None:
    """What is known of steps (organization_id, trace_id, span_id) whose rows have just gone, and of their traces where
    nothing else of them is left. A trace is held first: then nobody adds to it between the look and the removal."""
    gone = sorted(set(steps))
    if not gone:
        return
    connection.execute(_FORGET_EMPTY, hold(connection, {step[:2] for step in gone}))
    connection.execute(_UNWATCH, tuple(map(list, zip(*gone, strict=True))))


def forget_old(connection: Db, organization_id: int, *, before: datetime) -> int:
    """Removes what is known of an organisation's traces that ended before a moment and have no row any more."""
    return connection.execute(_FORGET_OLD, (organization_id, before)).rowcount
