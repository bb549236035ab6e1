"""Sums over many sessions from their own table, one row each: what Helicone's API asks where only time narrows.

A session's row outlives its requests. So that these agree with lists of requests, a session counts where all of it is
still there: it began since retention took its last, or it is pinned.
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


def sums(
    organization_id: int, *, since: datetime | None, until: datetime | None
) -> tuple[tuple[int, int, int, int], Sequence[str]]:
    """Sessions, requests, nano-USD and ms of those wholly inside the range, and the ids of those only partly so."""
    ((*sums, cut),) = ask(
        "SELECT count(*) FILTER (WHERE q.inside), coalesce(sum(steps) FILTER (WHERE q.inside), 0)::bigint, "
        "coalesce(sum(cost_nano_usd) FILTER (WHERE q.inside), 0)::bigint, "
        "coalesce(sum(duration_ms) FILTER (WHERE q.inside), 0)::bigint, "
        "coalesce(array_agg(session_id) FILTER (WHERE NOT q.inside), '{}') "
        f"FROM (SELECT s.*, {_IS_INSIDE} AS inside FROM session s WHERE {_TOUCHES}) q",
        _values(organization_id, since, until),
    )
    sessions, steps, cost, duration = sums
    return (sessions, steps, cost, duration), cut


def names(
    organization_id: int, *, since: datetime | None, until: datetime | None, contains: str, limit: int
) -> list[tuple[Any, ...]]:
    """(name, first begun, last request, sessions, ms a call) of the sessions the range touches, latest first."""
    narrower = " AND coalesce(s.name, '') ILIKE %(like)s" if contains else ""
    return ask(
        "SELECT coalesce(s.name, ''), min(s.first_at) AS begun, max(s.last_begun_at), count(*), "
        "coalesce(sum(s.duration_ms) / nullif(sum(s.requests), 0), 0)::float8 "
        f"FROM session s WHERE {_TOUCHES}{narrower} GROUP BY 1 ORDER BY begun DESC, 1 LIMIT %(limit)s",
        {**_values(organization_id, since, until), "like": f"%{escaped(contains)}%", "limit": limit},
    )


def measures(
    organization_id: int, *, since: datetime | None, until: datetime | None, name: str, limit: int
) -> list[tuple[int, float, float]]:
    """(requests, seconds, USD) of the latest begun sessions of that name the range touches."""
    rows = ask(
        "SELECT s.steps, extract(epoch FROM s.last_begun_at - s.first_at)::float8, s.cost_nano_usd / 1e9::float8 "
        f"FROM session s WHERE {_TOUCHES} AND coalesce(s.name, '') = %(name)s ORDER BY s.first_at DESC LIMIT %(limit)s",
        {**_values(organization_id, since, until), "name": name, "limit": limit},
    )
    return [(steps, seconds, usd) for steps, seconds, usd in rows]


def _values(organization_id: int, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    return {"org": organization_id, "since": since or BEGINNING, "until": until or END}
