"""Costs of stored rows, walked through in key order and set again. Each call is part of the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg.rows import tuple_row

from lib.frozen import dataclass
from llm.exchange import MODEL_KINDS
from requests_app.rows import RequestRow
from requests_app.store import COLUMNS, Db, row_from

Place = tuple[datetime, UUID]
START: Place = (datetime.min.replace(tzinfo=UTC), UUID(int=0))

_NAMES = ", ".join(f"r.{name}" for name in COLUMNS)
_KINDS = sorted(MODEL_KINDS)


@dataclass(frozen=True, slots=True)
class Extent:
    """Which rows of an organisation: of [since, until), of these models and providers (none named: of all)."""

    organization_id: int
    since: datetime
    until: datetime
    models: Sequence[str] = ()
    providers: Sequence[str] = ()
    only_unpriced: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """`seen` rows of the organisation behind a place, up to `end`; None: to the end of the period."""

    seen: int
    end: Place | None


def count(connection: Db, extent: Extent) -> int:
    found = connection.execute(
        "SELECT count(*) FROM llm_request WHERE organization_id = %s AND requested_at >= %s AND requested_at < %s",
        (extent.organization_id, extent.since, extent.until),
    ).fetchone()
    return int(found[0]) if found else 0


def window(connection: Db, extent: Extent, *, after: Place, size: int) -> Window:
    """The next `size` rows of the period, of whatever model: what a statement looks through is bounded by it."""
    key = (extent.organization_id, max(extent.since, after[0]), extent.until, *after)
    found = connection.execute(
        "SELECT requested_at, id FROM llm_request WHERE organization_id = %s AND requested_at >= %s "
        "AND requested_at < %s AND (requested_at, id) > (%s, %s) ORDER BY requested_at, id OFFSET %s LIMIT 1",
        (*key, size - 1),
    ).fetchone()
    if found is not None:
        return Window(size, (found[0], found[1]))
    rest = connection.execute(
        "SELECT count(*) FROM llm_request WHERE organization_id = %s AND requested_at >= %s "
        "AND requested_at < %s AND (requested_at, id) > (%s, %s)",
        key,
    ).fetchone()
    return Window(int(rest[0]) if rest else 0, None)


def rows(connection: Db, extent: Extent, *, after: Place, end: Place | None) -> list[RequestRow]:
    """The extent's rows behind a place and up to another, in key order; not held."""
    clause, values = _clause(extent, after=after, end=end)
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(f"SELECT {_NAMES} FROM llm_request r WHERE {clause} ORDER BY requested_at, id", values)  # noqa: S608
        return list(_read(cursor))


def _clause(extent: Extent, *, after: Place, end: Place | None) -> tuple[str, tuple[Any, ...]]:
    parts: list[tuple[str, tuple[Any, ...]]] = [
        ("r.organization_id = %s", (extent.organization_id,)),
        ("r.requested_at >= %s AND r.requested_at < %s", (max(extent.since, after[0]), extent.until)),
        ("(r.requested_at, r.id) > (%s, %s)", after),
        ("r.kind = ANY(%s)", (_KINDS,)),
    ]
    if end is not None:
        parts.append(("(r.requested_at, r.id) <= (%s, %s)", end))
    if extent.models:
        parts.append(("coalesce(r.model, '') = ANY(%s)", (list(extent.models),)))
    if extent.providers:
        parts.append(("r.provider = ANY(%s)", (list(extent.providers),)))
    if extent.only_unpriced:
        parts.append(("r.cost_nano_usd IS NULL", ()))
    return " AND ".join(text for text, _ in parts), tuple(value for _, several in parts for value in several)


def locked(connection: Db, organization_id: int, places: Sequence[Place]) -> list[RequestRow]:
    """Those of the rows that are still there, as they are now, in key order; held until the transaction ends."""
    if not places:
        return []
    moments = [at for at, _ in places]
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            f"SELECT {_NAMES} FROM llm_request r WHERE r.organization_id = %s AND r.requested_at BETWEEN %s AND %s "  # noqa: S608
            "AND (r.requested_at, r.id) IN (SELECT * FROM unnest(%b::timestamptz[], %b::uuid[])) "
            "ORDER BY r.requested_at, r.id FOR UPDATE OF r",
            (organization_id, min(moments), max(moments), moments, [one for _, one in places]),
        )
        return list(_read(cursor))


def _read(cursor: Any) -> Iterator[RequestRow]:
    for found in cursor:
        values: Mapping[str, Any] = dict(zip(COLUMNS, found, strict=True))
        yield row_from(values)


def set_costs(connection: Db, organization_id: int, changed: Sequence[RequestRow]) -> None:
    """Writes the four columns that depend on prices. The rows are held, in key order."""
    if not changed:
        return
    moments = [row.requested_at for row in changed]
    connection.execute(
        "UPDATE llm_request r SET cost_nano_usd = w.cost, cost_reason = w.reason, price_id = w.price, "
        "estimated_cost_nano_usd = w.estimated FROM unnest(%b::timestamptz[], %b::uuid[], %b::bigint[], %b::text[], "
        "%b::bigint[], %b::bigint[]) AS w (requested_at, id, cost, reason, price, estimated) "
        "WHERE r.organization_id = %s AND r.requested_at BETWEEN %s AND %s "
        "AND r.requested_at = w.requested_at AND r.id = w.id",
        (
            moments, [row.id for row in changed], [row.cost_nano_usd for row in changed],
            [row.cost_reason for row in changed], [row.price_id for row in changed],
            [row.estimated_cost_nano_usd for row in changed], organization_id, min(moments), max(moments),
        ),
    )  # fmt: skip
