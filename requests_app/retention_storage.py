"""What is stored by day, and what a policy would free of it today."""
# ruff: noqa: S608 - names put together here are partitions read from the catalogue and retention's own tables

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from requests_app.retention import COUNTED, Db, Policy, What, partitions, present


@dataclass(frozen=True, slots=True)
class Day:
    """What one organisation has stored of one day (UTC). Bytes are its part of the partition's, indexes included."""

    day: date
    requests: int = 0
    request_bytes: int = 0
    bodies: int = 0
    body_bytes: int = 0
    pinned: int = 0
    pinned_bodies: int = 0


@dataclass(frozen=True, slots=True)
class Freed:
    rows: int
    bytes: int


def storage(connection: Db, organization_id: int) -> tuple[Day, ...]:
    """By day, oldest first. Reads the key's index, not the rows."""
    requests = _by_day(connection, "llm_request", organization_id)
    bodies = _by_day(connection, "llm_request_body", organization_id)
    pinned = _pinned_by_day(connection, organization_id)
    return tuple(
        Day(day, *requests.get(day, (0, 0)), *bodies.get(day, (0, 0)), *pinned.get(day, (0, 0)))
        for day in sorted({*requests, *bodies})
    )


def _by_day(connection: Db, table: str, organization_id: int) -> dict[date, tuple[int, int]]:
    """Rows and bytes. A partition's bytes are shared out by rows."""
    found: dict[date, tuple[int, int]] = {}
    for partition in partitions(connection, table):
        rows = connection.execute(
            f"SELECT (requested_at AT TIME ZONE 'UTC')::date, count(*) FROM {partition.name} "
            "WHERE organization_id = %s GROUP BY 1",
            (organization_id,),
        ).fetchall()
        if not rows:
            continue
        width = _bytes_per_row(connection, partition.name, at_least=sum(count for _, count in rows))
        for day, count in rows:
            before = found.get(day, (0, 0))
            found[day] = (before[0] + count, before[1] + int(count * width))
    return found


def _bytes_per_row(connection: Db, name: str, *, at_least: int) -> float:
    size, rows = connection.execute(
        "SELECT pg_total_relation_size(c.oid), greatest(c.reltuples, s.n_live_tup, 0) FROM pg_class c "
        "LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid WHERE c.oid = %s::regclass",
        (name,),
    ).fetchone() or (0, 0)
    return float(size) / max(float(rows), at_least, 1.0)


def _pinned_by_day(connection: Db, organization_id: int) -> dict[date, tuple[int, int]]:
    rows = connection.execute(
        "SELECT (r.requested_at AT TIME ZONE 'UTC')::date, count(*), count(b.id) FROM session_pin p "
        "JOIN llm_request r ON r.organization_id = p.organization_id AND r.session_id = p.session_id "
        "LEFT JOIN llm_request_body b ON b.organization_id = r.organization_id "
        "AND b.requested_at = r.requested_at AND b.id = r.id WHERE p.organization_id = %s GROUP BY 1",
        (organization_id,),
    )
    return {day: (requests, bodies) for day, requests, bodies in rows.fetchall()}


def counts_by_day(connection: Db, organization_id: int) -> dict[date, int]:
    """Rows of counts by the day they are of."""
    found: dict[date, int] = {}
    for table in present(connection, COUNTED):
        dated = COUNTED[table]
        day = dated if dated == "day" else f"({dated} AT TIME ZONE 'UTC')::date"
        unpinned = (
            " AND NOT EXISTS (SELECT 1 FROM session_pin p WHERE p.organization_id = c.organization_id"
            " AND p.session_id = c.session_id)" if table == "session" else ""
        )  # fmt: skip
        rows = connection.execute(
            f"SELECT {day}, count(*) FROM {table} c WHERE organization_id = %s{unpinned} GROUP BY 1", (organization_id,)
        )
        for when, count in rows.fetchall():
            found[when] = found.get(when, 0) + count
    return found


def plan(days: Sequence[Day], policy: Policy, now: datetime) -> dict[What, Freed]:
    """What bodies and requests a policy would free if it were applied now."""
    bodies, requests = policy.cutoff("bodies", now), policy.cutoff("requests", now)
    old_bodies = [day for day in days if bodies and day.day < bodies.date()]
    old_requests = [day for day in days if requests and day.day < requests.date()]
    return {
        "bodies": _freed([(d.bodies, d.pinned_bodies, d.body_bytes) for d in old_bodies]),
        "requests": _freed([(d.requests, d.pinned, d.request_bytes) for d in old_requests]),
    }


def _freed(parts: Sequence[tuple[int, int, int]]) -> Freed:
    rows = sum(stored - pinned for stored, pinned, _ in parts)
    size = sum(size * (stored - pinned) // stored for stored, pinned, size in parts if stored)
    return Freed(rows, size)
