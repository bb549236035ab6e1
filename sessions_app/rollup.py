"""Keeps `session` in step with the ground, in the line's transaction: sums move by difference, edges only grow.

How many sessions there were by day and name is kept by triggers (third migration), which append; `fold` adds up.

First and last time, names and sets cannot be taken away from a sum; they are found again from the ground when a row
left the session and all of the session's ground is still there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import tuple_row

from lib.frozen import dataclass
from llm.exchange import MODEL_KINDS
from metrics_app import histogram
from requests_app.rows import Change, RequestRow, is_error

LARGEST_SET = 20
"""Users and models a session names; the rest are in its requests."""
LONGEST_HISTOGRAM = 4096
"""Bytes; a longer one is shortened before the transaction ends."""
SEPARATOR = "\x1f"

Key = tuple[int, str]


@dataclass(slots=True)
class _Sums:
    """What a batch adds to one session."""

    requests: int = 0
    steps: int = 0
    errors: int = 0
    priced: int = 0
    cost_nano_usd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    duration_ms: int = 0
    durations: dict[int, int] = field(default_factory=dict)
    """Signed counts by bucket of a histogram."""
    first_at: datetime | None = None
    last_at: datetime | None = None
    last_begun_at: datetime | None = None
    named_at: datetime | None = None
    name: str | None = None
    end_users: set[str] = field(default_factory=set)
    model_names: set[str] = field(default_factory=set)

    def count(self, row: RequestRow, sign: int) -> None:
        self.steps += sign
        self.errors += sign * is_error(row.status)
        if row.kind in MODEL_KINDS:
            self.requests += sign
            self.duration_ms += sign * (row.duration_ms or 0)
            self.priced += sign * (row.cost_nano_usd is not None)
            self.cost_nano_usd += sign * (row.cost_nano_usd or 0)
            self.input_tokens += sign * (row.input_tokens or 0)
            self.output_tokens += sign * (row.output_tokens or 0)
            if row.duration_ms is not None:
                bucket = histogram.bucket(row.duration_ms)
                self.durations[bucket] = self.durations.get(bucket, 0) + sign

    def reach(self, row: RequestRow) -> None:
        """Grow the edges and sets to hold the row."""
        end = row.requested_at + timedelta(milliseconds=max(row.duration_ms or 0, 0))
        self.first_at = min(self.first_at or row.requested_at, row.requested_at)
        self.last_at = max(self.last_at or end, end)
        self.last_begun_at = max(self.last_begun_at or row.requested_at, row.requested_at)
        if row.session_name and (self.named_at is None or row.requested_at >= self.named_at):
            self.name, self.named_at = row.session_name, row.requested_at
        if row.end_user_id:
            self.end_users.add(row.end_user_id)
        if row.model and row.kind in MODEL_KINDS:
            self.model_names.add(row.model)


def apply(connection: Connection[tuple[object, ...]], changes: Iterable[Change]) -> None:
    """Moves the sessions the changes touch. Rows without a session touch none."""
    sums, shrunk = aggregate(changes)
    if sums:
        _upsert(connection, sums)
    for key in sorted(shrunk):
        _find_again(connection, key)


def aggregate(changes: Iterable[Change]) -> tuple[dict[Key, _Sums], set[Key]]:
    """Sums by session in key order, and the sessions a row has left."""
    sums: dict[Key, _Sums] = {}
    shrunk: set[Key] = set()
    for change in changes:
        before, after = _key(change.before), _key(change.after)
        if before and change.before:
            sums.setdefault(before, _Sums()).count(change.before, -1)
            sums[before].reach(change.before)
            if before != after:
                shrunk.add(before)
        if after and change.after:
            sums.setdefault(after, _Sums()).count(change.after, +1)
            sums[after].reach(change.after)
    return {key: sums[key] for key in sorted(sums)}, shrunk


def _key(row: RequestRow | None) -> Key | None:
    return (row.organization_id, row.session_id) if row and row.session_id else None


_UPSERT = """
WITH moved AS (
INSERT INTO session AS t (organization_id, session_id, requests, steps, errors, priced, cost_nano_usd, input_tokens,
    output_tokens, duration_ms, first_at, last_at, last_begun_at, name, named_at, duration_hist, end_users, model_names)
SELECT o, s, r, st, e, p, c, i, ot, d, f, l, lb, n, na, h,
    coalesce(string_to_array(u, chr(31)), '{}'), coalesce(string_to_array(m, chr(31)), '{}')
FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[],
    %b::bigint[], %b::bigint[], %b::bigint[], %b::timestamptz[], %b::timestamptz[], %b::timestamptz[], %b::text[],
    %b::timestamptz[], %b::bytea[], %b::text[], %b::text[])
    WITH ORDINALITY AS q (o, s, r, st, e, p, c, i, ot, d, f, l, lb, n, na, h, u, m, place)
ORDER BY place
ON CONFLICT (organization_id, session_id) DO UPDATE SET
    requests = t.requests + excluded.requests, steps = t.steps + excluded.steps, errors = t.errors + excluded.errors,
    priced = t.priced + excluded.priced, cost_nano_usd = t.cost_nano_usd + excluded.cost_nano_usd,
    input_tokens = t.input_tokens + excluded.input_tokens, output_tokens = t.output_tokens + excluded.output_tokens,
    duration_ms = t.duration_ms + excluded.duration_ms, duration_hist = t.duration_hist || excluded.duration_hist,
    first_at = least(t.first_at, excluded.first_at), last_at = greatest(t.last_at, excluded.last_at),
    last_begun_at = greatest(t.last_begun_at, excluded.last_begun_at),
    name = CASE WHEN excluded.named_at >= coalesce(t.named_at, '-infinity') THEN excluded.name ELSE t.name END,
    named_at = greatest(t.named_at, excluded.named_at),
    end_users = CASE WHEN t.end_users @> excluded.end_users THEN t.end_users ELSE
        (ARRAY(SELECT DISTINCT x FROM unnest(t.end_users || excluded.end_users) x))[:20] END,
    model_names = CASE WHEN t.model_names @> excluded.model_names THEN t.model_names ELSE
        (ARRAY(SELECT DISTINCT x FROM unnest(t.model_names || excluded.model_names) x))[:20] END
RETURNING organization_id, session_id, duration_hist)
SELECT duration_hist, organization_id, session_id FROM moved WHERE octet_length(duration_hist) > %s
"""
_SHORTEN = "UPDATE session SET duration_hist = %s WHERE organization_id = %s AND session_id = %s"


_PLAIN = (
    "requests", "steps", "errors", "priced", "cost_nano_usd", "input_tokens", "output_tokens", "duration_ms",
    "first_at", "last_at", "last_begun_at", "name", "named_at",
)  # fmt: skip


def _upsert(connection: Connection[tuple[object, ...]], sums: dict[Key, _Sums]) -> None:
    entries: Sequence[tuple[Key, _Sums]] = list(sums.items())
    columns: list[list[object]] = [[key[0] for key, _ in entries], [key[1] for key, _ in entries]]
    columns += [[getattr(s, name) for _, s in entries] for name in _PLAIN]
    columns.append([histogram.pack(s.durations) for _, s in entries])
    columns.append([_joined(s.end_users) for _, s in entries])
    columns.append([_joined(s.model_names) for _, s in entries])
    with connection.cursor(row_factory=tuple_row) as cursor:
        for grown, *key in cursor.execute(_UPSERT, [*columns, LONGEST_HISTOGRAM]).fetchall():
            cursor.execute(_SHORTEN, (histogram.shorten(bytes(grown)), *key))


def _joined(values: set[str]) -> str | None:
    return SEPARATOR.join(sorted(value.replace(SEPARATOR, " ") for value in values)[:LARGEST_SET]) or None


_FIND_AGAIN = """
UPDATE session t SET first_at = g.first_at, last_at = g.last_at, last_begun_at = g.last_begun_at,
    name = g.name, named_at = g.named_at,
    end_users = g.end_users[:20], model_names = g.model_names[:20]
FROM (SELECT count(*) AS steps, min(requested_at) AS first_at, max(requested_at) AS last_begun_at,
        max(requested_at + make_interval(secs => greatest(coalesce(duration_ms, 0), 0) / 1000.0)) AS last_at,
        (array_agg(session_name ORDER BY requested_at DESC) FILTER (WHERE session_name IS NOT NULL))[1] AS name,
        max(requested_at) FILTER (WHERE session_name IS NOT NULL) AS named_at,
        coalesce(array_agg(DISTINCT end_user_id) FILTER (WHERE end_user_id IS NOT NULL), '{}') AS end_users,
        coalesce(array_agg(DISTINCT model) FILTER (WHERE model IS NOT NULL AND kind = ANY(%(kinds)s)), '{}')
            AS model_names
    FROM llm_request WHERE organization_id = %(org)s AND session_id = %(session)s) g
WHERE t.organization_id = %(org)s AND t.session_id = %(session)s AND t.steps = g.steps AND g.steps > 0
"""


def _find_again(connection: Connection[tuple[object, ...]], key: Key) -> None:
    """A session no row is left of goes; another's edges and sets are found again where its ground is whole."""
    values = {"org": key[0], "session": key[1], "kinds": sorted(MODEL_KINDS)}
    connection.execute(
        "DELETE FROM session WHERE organization_id = %(org)s AND session_id = %(session)s AND steps <= 0", values
    )
    connection.execute(_FIND_AGAIN, values)


# --- by day ---------------------------------------------------------------------------------------------------------

FOLD_LIMIT = 20_000
"""Deltas of one run; what is left waits for the next one."""
_WAITING = "SELECT organization_id FROM session_delta GROUP BY 1 ORDER BY min(id)"
_FOLD = """
WITH moved AS (DELETE FROM session_delta WHERE organization_id = %(org)s AND id = ANY (ARRAY(
    SELECT id FROM session_delta WHERE organization_id = %(org)s ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING *),
added AS (
INSERT INTO session_day AS t
    (organization_id, begun, ended, name, sessions, requests, steps, cost_nano_usd, duration_ms)
SELECT organization_id, begun, ended, name, sum(sessions), sum(requests), sum(steps), sum(cost_nano_usd),
    sum(duration_ms)
FROM moved GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (organization_id, begun, ended, name) DO UPDATE SET sessions = t.sessions + excluded.sessions,
    requests = t.requests + excluded.requests, steps = t.steps + excluded.steps,
    cost_nano_usd = t.cost_nano_usd + excluded.cost_nano_usd, duration_ms = t.duration_ms + excluded.duration_ms
RETURNING sessions, requests, steps, cost_nano_usd, duration_ms)
SELECT (SELECT count(*) FROM moved), EXISTS (SELECT 1 FROM added
    WHERE (sessions, requests, steps, cost_nano_usd, duration_ms) = (0, 0, 0, 0, 0))
"""
_CLEAR = """DELETE FROM session_day WHERE organization_id = %s
AND (sessions, requests, steps, cost_nano_usd, duration_ms) = (0, 0, 0, 0, 0)"""


def waiting(connection: Connection[Any]) -> list[int]:
    """Organisations with deltas, longest waiting first."""
    return [organization_id for (organization_id,) in connection.execute(_WAITING).fetchall()]


def fold(connection: Connection[Any], organization_id: int) -> bool:
    """Moves what the triggers of `session` appended into `session_day`, in one statement; whether some may be left.

    Sums may be added in any order and by any number of folders at once. What came to nothing is removed: its name was
    perhaps erased.
    """
    found = connection.execute(_FOLD, {"org": organization_id, "limit": FOLD_LIMIT}).fetchone()
    moved, has_nothing = found or (0, False)
    if has_nothing:
        connection.execute(_CLEAR, (organization_id,))
    return bool(moved == FOLD_LIMIT)
