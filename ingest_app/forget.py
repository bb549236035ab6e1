"""Erasure: rows, their bodies and what was counted from them, in the line's own transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.http import QueryDict
from psycopg.rows import tuple_row

from alerts_app import forget as budgets
from ingest_app import store_traces
from ingest_app.records import Forget, ForgetWhere
from lib.frozen import dataclass
from requests_app import filter_url, filters, store
from requests_app.rows import Change, RequestRow, has_attempts, went_on

SLICE = 500

Place = tuple[datetime, UUID]
START: Place = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


def apply(connection: store.Db, orders: Sequence[Forget]) -> list[Change]:
    """A Change with no `after` for every row that was there."""
    located = {
        store.locate(connection, order.organization_id, request_id)
        for order in orders
        for request_id in order.request_ids
    }
    changes = []
    for key in sorted(key for key in located if key is not None):
        before = store.lock_row(connection, key)
        if before is not None:
            store.delete_row(connection, key)
            changes.append(Change(before, None))
    gone = [change.before for change in changes if change.before]
    _forget_beside(connection, gone)
    return changes


def _forget_beside(connection: store.Db, rows: Sequence[RequestRow]) -> None:
    """What is kept of rows that went, in other tables."""
    _forget_traces(connection, rows)
    _forget_attempts(connection, rows)
    budgets.of_rows(connection, rows)


def _forget_traces(connection: store.Db, rows: Sequence[RequestRow]) -> None:
    """What was known of the traces of rows that went, and is of no other row."""
    store_traces.forget_gone(
        connection, [(row.organization_id, row.trace_id, row.span_id or "") for row in rows if row.trace_id]
    )


_ATTEMPTS = """
WITH gone AS (DELETE FROM llm_request r
    USING unnest(%(since)s::timestamptz[], %(until)s::timestamptz[], %(spans)s::text[]) AS w (since, until, span)
    WHERE r.organization_id = %(org)s AND r.requested_at BETWEEN %(first)s AND %(last)s AND r.kind = 'attempt'
        AND r.parent_span_id = w.span AND r.requested_at BETWEEN w.since AND w.until
    RETURNING r.requested_at, r.id)
DELETE FROM llm_request_body b USING gone WHERE b.organization_id = %(org)s
    AND b.requested_at = gone.requested_at AND b.id = gone.id"""


def _forget_attempts(connection: store.Db, rows: Sequence[RequestRow]) -> None:
    """What was tried for rows that went. Attempts are in no count, so nothing is taken away from one."""
    tried = [row for row in rows if has_attempts(row)]
    for organization_id in {row.organization_id for row in tried}:
        spans = {
            row.id.bytes[8:].hex(): (row.requested_at, row.requested_at + went_on(row))
            for row in tried if row.organization_id == organization_id
        }  # fmt: skip
        since, until = zip(*spans.values(), strict=True)
        connection.execute(_ATTEMPTS, {
            "org": organization_id, "spans": list(spans), "since": list(since), "until": list(until),
            "first": min(since), "last": max(until),
        })


@dataclass(frozen=True, slots=True)
class Slice:
    """What went, and how far the order has come; `place` is None at its end."""

    changes: tuple[Change, ...]
    place: Place | None


def clause_of(order: ForgetWhere) -> filters.Clause:
    """Raises FilterError where the filter cannot be read."""
    return filters.compile(filter_url.parse(QueryDict(order.filter)))


def apply_where(connection: store.Db, order: ForgetWhere, *, after: Place) -> Slice:
    """Erases the next SLICE rows of an order beyond a place in key order."""
    rows = _locked(connection, order, after)
    _delete(connection, order.organization_id, rows)
    _forget_beside(connection, rows)
    changes = tuple(Change(row, None) for row in rows)
    if len(rows) < SLICE:
        return Slice(changes, None)
    return Slice(changes, (rows[-1].requested_at, rows[-1].id))


def _locked(connection: store.Db, order: ForgetWhere, after: Place) -> list[RequestRow]:
    clause = clause_of(order)
    names = ", ".join(f"r.{name}" for name in store.COLUMNS)
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            f"SELECT {names} FROM llm_request r WHERE r.organization_id = %s AND r.requested_at >= %s "  # noqa: S608
            f"AND r.requested_at < %s AND (r.requested_at, r.id) > (%s, %s) AND {clause.sql} "
            "ORDER BY r.requested_at, r.id LIMIT %s FOR UPDATE",
            (order.organization_id, order.since, order.until, *after, *clause.values, SLICE),
        )
        return [store.row_from(dict(zip(store.COLUMNS, found, strict=True))) for found in cursor.fetchall()]


def _delete(connection: store.Db, organization_id: int, rows: Sequence[RequestRow]) -> None:
    if not rows:
        return
    keys = ([row.requested_at for row in rows], [row.id for row in rows])
    span = (organization_id, rows[0].requested_at, rows[-1].requested_at)
    for table in store.PARTITIONED:
        connection.execute(
            f"DELETE FROM {table} t USING unnest(%b::timestamptz[], %b::uuid[]) AS w (requested_at, id) "  # noqa: S608
            "WHERE t.organization_id = %s AND t.requested_at BETWEEN %s AND %s "
            "AND t.requested_at = w.requested_at AND t.id = w.id",
            (*keys, *span),
        )
    chosen = sorted({alias for row in rows if (alias := store.alias_of(row))})
    connection.execute(
        "DELETE FROM request_alias WHERE organization_id = %s AND client_id = ANY(%s) AND id = ANY(%s)",
        (organization_id, chosen, keys[1]),
    )
