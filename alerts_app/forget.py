"""What budgets have written down of a user, session or property's value goes with the last request that had it.

In the transaction that erases those requests, and each night for what retention dropped. In Redis a segment of nothing
is let go by the next looks of `ledger.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row

from requests_app.rows import RequestRow

log = logging.getLogger("alerts")
Db = psycopg.Connection[Any]
Named = tuple[str, str, str]
"""By what it is counted, a property's name, the value."""

_COUNTED: Final = """
SELECT DISTINCT "by", property_name FROM budget
WHERE organization_id = %(org)s AND "by" IN ('user', 'session', 'property')"""

_GONE: Final = """
WITH written AS (
    SELECT budget_id, value FROM budget_event WHERE organization_id = %(org)s
    UNION SELECT budget_id, value FROM budget_state WHERE organization_id = %(org)s),
gone AS (
    SELECT w.budget_id, w.value FROM written w JOIN budget b ON b.id = w.budget_id
    WHERE b.organization_id = %(org)s AND b."by" IN ('user', 'session', 'property') AND (%(all)s OR
        (b."by", b.property_name, w.value) IN
        (SELECT * FROM unnest(%(by)s::text[], %(names)s::text[], %(values)s::text[])))
    AND NOT EXISTS (SELECT 1 FROM llm_request r WHERE r.organization_id = %(org)s AND b."by" = 'user'
        AND r.end_user_id = w.value)
    AND NOT EXISTS (SELECT 1 FROM llm_request r WHERE r.organization_id = %(org)s AND b."by" = 'session'
        AND r.session_id = w.value)
    AND NOT EXISTS (SELECT 1 FROM llm_request r WHERE r.organization_id = %(org)s AND b."by" = 'property'
        AND r.properties @> jsonb_build_object(b.property_name, w.value))),
states AS (DELETE FROM budget_state s USING gone g WHERE s.organization_id = %(org)s
    AND s.budget_id = g.budget_id AND s.value = g.value)
DELETE FROM budget_event e USING gone g WHERE e.organization_id = %(org)s
    AND e.budget_id = g.budget_id AND e.value = g.value"""


def of_rows(connection: Db, rows: Iterable[RequestRow]) -> None:
    """After those rows were erased, in their transaction."""
    by_organization: dict[int, list[RequestRow]] = {}
    for row in rows:
        by_organization.setdefault(row.organization_id, []).append(row)
    for organization_id, gone in by_organization.items():
        counted = _counted(connection, organization_id)
        named = {one for by, name in counted for row in gone if (one := _named(row, by, name))}
        if named:
            _forget(connection, organization_id, sorted(named), is_all=False)


def of_organization(connection: Db, organization_id: int) -> None:
    """Everything that is of no request any more."""
    if _counted(connection, organization_id):
        _forget(connection, organization_id, (), is_all=True)


def _counted(connection: Db, organization_id: int) -> list[tuple[str, str]]:
    """By what its budgets count that is a person's, or may be."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(_COUNTED, {"org": organization_id}).fetchall()


def _named(row: RequestRow, by: str, name: str) -> Named | None:
    value = {"user": row.end_user_id, "session": row.session_id, "property": row.properties.get(name)}[by]
    return (by, name, value) if value else None


def _forget(connection: Db, organization_id: int, named: Iterable[Named], *, is_all: bool) -> None:
    by, names, values = (list(column) for column in zip(*named, strict=True)) if named else ([], [], [])
    told = {"org": organization_id, "all": is_all, "by": by, "names": names, "values": values}
    if events := connection.execute(_GONE, told).rowcount:
        log.info("budget_events_forgotten organization=%d events=%d", organization_id, events)
