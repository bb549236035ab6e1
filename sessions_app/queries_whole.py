"""Sums over many sessions from their own tables: what Helicone's API asks where only time narrows.

A session's row outlives its requests. So that these agree with lists of requests, a session counts where all of it is
still there: it began since retention took its last, or it is pinned.

Sessions whose days lie whole inside the range come from `session_day` and what is not folded into it; of the days at
its edges `session` is read, in the same statement.
"""
# ruff: noqa: S608 - what is put together here are clauses of ours; every value is bound

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from requests_app.filters import escaped
from sessions_app.queries import ask

BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_KEPT_FROM = "coalesce((SELECT ground_from FROM counting_state WHERE organization_id = %(org)s), '-infinity')"
_IS_PINNED = """EXISTS (SELECT 1 FROM session_pin p
    WHERE p.organization_id = s.organization_id AND p.session_id = s.session_id)"""
_TOUCHES = f"""s.organization_id = %(org)s AND s.last_begun_at > %(since)s AND s.first_at < %(until)s
    AND (s.last_at >= {_KEPT_FROM} OR {_IS_PINNED})"""
_IS_INSIDE = f"""(s.first_at > %(since)s AND s.last_begun_at < %(until)s
    AND (s.first_at >= {_KEPT_FROM} OR {_IS_PINNED}))"""


def begun(organization_id: int, *, since: datetime, until: datetime, place: int) -> datetime | None:
    """When the session in that place, latest begun first, of those begun inside the range did; None for fewer."""
    rows = ask(
        "SELECT first_at FROM session WHERE organization_id = %s AND first_at > %s AND first_at < %s "
        "ORDER BY first_at DESC OFFSET %s LIMIT 1",
        (organization_id, since, until, place - 1),
    )
    return rows[0][0] if rows else None


_SUMS = ("sessions", "requests", "steps", "cost_nano_usd", "duration_ms")
_DAY = "({} AT TIME ZONE 'UTC')::date"
_KEPT_DAY = _DAY.format(f"({_KEPT_FROM} + interval '1 day' - interval '1 microsecond')")
"""The first day retention has left whole."""
_LAST_DAY = f"""CASE WHEN EXISTS (SELECT 1 FROM session WHERE organization_id = %(org)s AND last_at >= %(until)s)
    THEN {_DAY.format("%(until)s")} ELSE 'infinity' END"""
"""The day the range ends on; where no session reaches its end, as none does when it is now, no day is cut by it."""
_IS_INNER = f"""({{begun}} > {_DAY.format("%(since)s")} AND {{ended}} < (SELECT last_day FROM kept)
    AND {{begun}} >= (SELECT first_day FROM kept))"""
"""Of a day's sessions or of one: all of it is in the range, whatever the hours."""
_INNER = _IS_INNER.format(begun="begun", ended="ended")
_AT_EDGE = "NOT " + _IS_INNER.format(begun=_DAY.format("s.first_at"), ended=_DAY.format("s.last_begun_at"))
_OF_TABLE = f"""SELECT begun, ended, name, {", ".join(_SUMS)} FROM {{}} WHERE organization_id = %(org)s
    AND ended >= {_DAY.format("%(since)s")} AND begun <= {_DAY.format("%(until)s")}"""
_BUCKETS = f"""kept AS (SELECT {_KEPT_DAY} AS first_day, {_LAST_DAY} AS last_day),
bucket AS (
    SELECT begun, ended, name, {", ".join(f"sum({one})::bigint AS {one}" for one in _SUMS)}
    FROM ({_OF_TABLE.format("session_day")} UNION ALL {_OF_TABLE.format("session_delta")}) AS counted
    GROUP BY 1, 2, 3 HAVING sum(sessions) <> 0),
edge AS (
    SELECT s.session_id, s.name, s.first_at, s.last_begun_at, s.requests, s.steps, s.cost_nano_usd, s.duration_ms,
        {_IS_INSIDE} AS inside FROM (SELECT DISTINCT begun FROM bucket WHERE NOT {_INNER}) AS d
    JOIN session s ON s.first_at >= d.begun::timestamp AT TIME ZONE 'UTC'
        AND s.first_at < (d.begun + 1)::timestamp AT TIME ZONE 'UTC'
    WHERE {_TOUCHES} AND {_AT_EDGE})"""


_SUMMED = "SELECT " + ", ".join(
    f"coalesce(sum({one}), 0)::bigint" for one in ("sessions", "steps", "cost_nano_usd", "duration_ms")
)


def sums(
    organization_id: int, *, since: datetime | None, until: datetime | None
) -> tuple[tuple[int, int, int, int], Sequence[str]]:
    """Sessions, requests, nano-USD and ms of those wholly inside the range, and the ids of those only partly so."""
    ((*sums, cut),) = ask(
        f"WITH {_BUCKETS} {_SUMMED}, (SELECT coalesce(array_agg(session_id), '{{}}') FROM edge WHERE NOT inside) "
        f"FROM (SELECT sessions, steps, cost_nano_usd, duration_ms FROM bucket WHERE {_INNER} UNION ALL "
        "SELECT 1, steps, cost_nano_usd, duration_ms FROM edge WHERE inside) AS found",
        _values(organization_id, since, until),
    )
    sessions, steps, cost, duration = sums
    return (sessions, steps, cost, duration), cut


_NAMED = """parts AS (
    SELECT name, min(begun) AS first_day, max(ended) AS last_day, NULL::timestamptz AS first_at,
        NULL::timestamptz AS last_at, sum(sessions)::bigint AS sessions, sum(requests)::bigint AS requests,
        sum(duration_ms)::bigint AS duration_ms FROM bucket WHERE {inner} GROUP BY 1
    UNION ALL SELECT coalesce(name, ''), NULL, NULL, min(first_at), max(last_begun_at), count(*),
        sum(requests)::bigint, sum(duration_ms)::bigint FROM edge GROUP BY 1),
named AS (
    SELECT name, min(first_day) AS first_day, max(last_day) AS last_day, min(first_at) AS first_at,
        max(last_at) AS last_at, sum(sessions)::bigint AS sessions,
        coalesce(sum(duration_ms) / nullif(sum(requests), 0), 0)::float8 AS average_ms
    FROM parts WHERE name ILIKE %(like)s GROUP BY 1),
begun AS (
    SELECT n.*, least(n.first_at, (SELECT min(s.first_at) FROM session s WHERE {of_name}
        AND s.first_at >= n.first_day::timestamp AT TIME ZONE 'UTC')) AS began
    FROM named n),
shown AS (SELECT * FROM begun ORDER BY began DESC, name LIMIT %(limit)s)
SELECT n.name, n.began, greatest(n.last_at, (SELECT max(s.last_begun_at) FROM session s WHERE {of_name}
    AND s.first_at >= (SELECT min(begun) FROM bucket WHERE name = n.name AND ended = n.last_day AND {inner})::timestamp
        AT TIME ZONE 'UTC'
    AND s.first_at < (n.last_day + 1)::timestamp AT TIME ZONE 'UTC' AND {last_day} = n.last_day)),
    n.sessions, n.average_ms
FROM shown n ORDER BY n.began DESC, n.name"""
_OF_NAME = "s.organization_id = %(org)s AND coalesce(s.name, '') = n.name"


def names(
    organization_id: int, *, since: datetime | None, until: datetime | None, contains: str, limit: int
) -> list[tuple[Any, ...]]:
    """(name, first begun, last request, sessions, ms a call) of the sessions the range touches, latest first."""
    named = _NAMED.format(inner=_INNER, of_name=_OF_NAME, last_day=_DAY.format("s.last_begun_at"))
    return ask(
        f"WITH {_BUCKETS}, {named}",
        {**_values(organization_id, since, until), "like": f"%{escaped(contains)}%", "limit": limit},
    )


def measures(
    organization_id: int, *, since: datetime | None, until: datetime | None, name: str, limit: int
) -> list[tuple[int, float, float]]:
    """(requests, seconds, USD) of the latest begun sessions of that name the range touches."""
    rows = ask(
        f"WITH {_BUCKETS} "
        "SELECT s.steps, extract(epoch FROM s.last_begun_at - s.first_at)::float8, s.cost_nano_usd / 1e9::float8 "
        f"FROM session s WHERE {_TOUCHES} AND coalesce(s.name, '') = %(name)s AND s.first_at >= "
        "(SELECT min(begun) FROM bucket WHERE name = %(name)s)::timestamp AT TIME ZONE 'UTC' "
        "ORDER BY s.first_at DESC LIMIT %(limit)s",
        {**_values(organization_id, since, until), "name": name, "limit": limit},
    )
    return [(steps, seconds, usd) for steps, seconds, usd in rows]


def _values(organization_id: int, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    return {"org": organization_id, "since": since or BEGINNING, "until": until or END}
