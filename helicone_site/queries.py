"""What the system page asks Postgres about itself: sizes and what waits to be folded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from requests_app.queries import reader

LARGEST_TABLES = 30


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its partitions, indexes and long values. `rows` is Postgres's estimate."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Week:
    """One stretch of the ground. Sizes with indexes and long values."""

    start: str
    rows: int
    request_bytes: int
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Unfolded:
    """Deltas no task has folded yet, and since when the oldest of them waits."""

    deltas: int
    waiting_since: datetime | None


def sizes() -> list[TableSize]:
    """The largest tables first."""
    with reader() as cursor:
        cursor.execute(
            "SELECT c.relname, coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint, "
            "coalesce(sum(pg_total_relation_size(t.relid)), 0)::bigint AS size FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL pg_partition_tree(c.oid) t "
            "JOIN pg_class p ON p.oid = t.relid WHERE n.nspname = current_schema() AND NOT c.relispartition "
            "AND c.relkind = 'p' AND t.isleaf GROUP BY 1 UNION ALL "
            "SELECT c.relname, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() "
            "AND c.relkind = 'r' AND NOT c.relispartition ORDER BY size DESC LIMIT %s",
            [LARGEST_TABLES],
        )
        return [TableSize(*row) for row in cursor.fetchall()]


def weeks() -> list[Week]:
    """Partitions of the ground, newest first."""
    with reader() as cursor:
        cursor.execute(
            "SELECT to_char(to_date(right(c.relname, 8), 'YYYYMMDD'), 'YYYY-MM-DD') AS start, "
            "coalesce(sum(greatest(c.reltuples, 0)) FILTER (WHERE i.inhparent = 'llm_request'::regclass), 0)::bigint, "
            "coalesce(sum(pg_total_relation_size(c.oid)) "
            "FILTER (WHERE i.inhparent = 'llm_request'::regclass), 0)::bigint, "
            "coalesce(sum(pg_total_relation_size(c.oid)) "
            "FILTER (WHERE i.inhparent = 'llm_request_body'::regclass), 0)::bigint "
            "FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = ANY(%s::regclass[]) "
            "AND c.relkind = 'r' GROUP BY 1 ORDER BY 1 DESC",
            [["llm_request", "llm_request_body"]],
        )
        return [Week(*row) for row in cursor.fetchall()]


def unfolded(organization_id: int | None = None) -> Unfolded:
    """Of one organisation, or of all."""
    with reader() as cursor:
        cursor.execute(
            "SELECT count(*), min(written_at) FROM (SELECT organization_id, written_at FROM usage_delta UNION ALL "
            "SELECT organization_id, written_at FROM facet_delta) d WHERE %s::bigint IS NULL OR organization_id = %s",
            [organization_id, organization_id],
        )
        deltas, oldest = cursor.fetchone() or (0, None)
    return Unfolded(deltas, oldest)
