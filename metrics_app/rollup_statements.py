"""The statements that move deltas into tiers and facets: a delta and its effect change places in one statement.

Each takes its source table by name, because a rebuild folds recounted deltas from temporary tables by the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg import sql

from metrics_app.rollup import FACET_MEASURES, KEY, MEASURES

LONGEST_HISTOGRAM = 4096
"""Bytes; a longer one is handed back to be shortened before the transaction ends."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A usage table. `kept`: rows older than this are neither folded into it nor answered from it."""

    name: str
    width: timedelta
    kept: timedelta | None

    @property
    def table(self) -> str:
        return f"usage_{self.name}"


MINUTE = Tier("minute", timedelta(minutes=1), timedelta(days=3))
HOUR = Tier("hour", timedelta(hours=1), timedelta(days=400))
DAY = Tier("day", timedelta(days=1), None)
TIERS = (MINUTE, HOUR, DAY)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _sums(names: Sequence[str]) -> str:
    return ", ".join(f"sum({name})::bigint AS {name}" for name in names)


def _added(names: Sequence[str]) -> str:
    return ", ".join(f"{name} = t.{name} + excluded.{name}" for name in names)


_TAKEN = """
DELETE FROM {source} WHERE organization_id = %(organization)s AND id = ANY (ARRAY(
    SELECT id FROM {source} WHERE organization_id = %(organization)s ORDER BY id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED)) RETURNING *"""

_PLACES = _names([str(place) for place in range(1, len(KEY) + 3)])

_TIER = f"""
INSERT INTO {{table}} AS t (organization_id, bucket, {_names(KEY)}, {_names(MEASURES)}, duration_hist, ttft_hist)
SELECT organization_id, date_bin('{{width}} seconds', minute, '2000-01-01+00'), {_names(KEY)}, {_sums(MEASURES)},
    string_agg(duration_hist, ''::bytea), string_agg(ttft_hist, ''::bytea)
FROM d WHERE minute >= %({{name}}_from)s GROUP BY {_PLACES} ORDER BY {_PLACES}
ON CONFLICT (organization_id, bucket, {_names(KEY)}) DO UPDATE SET {_added(MEASURES)},
    duration_hist = t.duration_hist || excluded.duration_hist, ttft_hist = t.ttft_hist || excluded.ttft_hist
RETURNING bucket, {_names(KEY)}, duration_hist, ttft_hist"""  # noqa: S608 (names of ours)

_IS_LONG = f"octet_length(duration_hist) > {LONGEST_HISTOGRAM} OR octet_length(ttft_hist) > {LONGEST_HISTOGRAM}"


def _usage() -> str:
    inserts = [
        f"{tier.name} AS ({_TIER.format(table=tier.table, width=int(tier.width.total_seconds()), name=tier.name)})"
        for tier in TIERS
    ]
    grown = [f"SELECT '{tier.name}' AS tier, {tier.name}.* FROM {tier.name} WHERE {_IS_LONG}" for tier in TIERS]  # noqa: S608
    return f"""
WITH d AS ({_TAKEN}), {", ".join(inserts)}
SELECT (SELECT count(*) FROM d), g.* FROM (SELECT 1) AS one LEFT JOIN ({" UNION ALL ".join(grown)}) g ON true"""  # noqa: S608


_USAGE = _usage()


def move_usage(source: str) -> sql.Composed:
    """Values: organization, limit, <tier>_from. Rows: (deltas moved, tier, bucket, *KEY, duration_hist, ttft_hist),
    one for each row whose histogram has grown long; a single one with tier NULL where none has."""
    return sql.SQL(_USAGE).format(source=sql.Identifier(source))


_SHORTEN = f"""
UPDATE {{}} SET duration_hist = %s, ttft_hist = %s
WHERE organization_id = %s AND bucket = %s AND ({_names(KEY)}) = (%s, %s, %s, %s, %s)"""  # noqa: S608


def shorten(tier: str) -> sql.Composed:
    """Values: duration_hist, ttft_hist, organization, bucket, *KEY."""
    return sql.SQL(_SHORTEN).format(sql.Identifier(f"usage_{tier}"))


_FACETS = f"""
WITH d AS ({_TAKEN}),
said AS (
    SELECT d.day, u.dim COLLATE "C" AS dim, u.val COLLATE "C" AS val, min(d.id) AS first_id,
        {_names([f"coalesce(sum(u.{name}), 0)::bigint AS {name}" for name in FACET_MEASURES])}
    FROM d, unnest(d.dims, d.vals, {_names([f"d.{name}" for name in FACET_MEASURES])})
        AS u (dim, val, {_names(FACET_MEASURES)})
    GROUP BY 1, 2, 3),
known AS (
    SELECT said.*, f.val IS NOT NULL AS is_known, coalesce(c.admitted, 0) AS used,
        CASE said.dim WHEN 'user' THEN %(users)s WHEN 'p' THEN %(property_keys)s ELSE %(values)s END AS cap
    FROM said
    LEFT JOIN facet_day f ON f.organization_id = %(organization)s AND f.dim = said.dim AND f.state = 0
        AND f.val = said.val AND f.day = said.day
    LEFT JOIN facet_cap c ON c.organization_id = %(organization)s AND c.dim = said.dim AND c.day = said.day
    WHERE f.val IS NOT NULL OR {" OR ".join(f"said.{name} <> 0" for name in FACET_MEASURES)}),
judged AS (
    SELECT known.*, is_known OR
        used + row_number() OVER (PARTITION BY dim, day, is_known ORDER BY first_id, val) <= cap AS is_admitted
    FROM known),
property_key AS (
    SELECT day, val FROM judged WHERE dim = 'p' AND is_admitted
    UNION SELECT day, val FROM facet_day WHERE organization_id = %(organization)s AND dim = 'p' AND state = 0
        AND day = ANY (ARRAY(SELECT day FROM d))),
counted AS (
    SELECT * FROM judged
    WHERE left(dim, 2) <> 'p:' OR (day, substr(dim, 3)) IN (SELECT day, val FROM property_key)),
moved AS (
    INSERT INTO facet_day AS t (organization_id, dim, state, val, day, {_names(FACET_MEASURES)})
    SELECT %(organization)s, dim, CASE WHEN is_admitted THEN 0 ELSE 1 END, CASE WHEN is_admitted THEN val ELSE '' END,
        day, {_sums(FACET_MEASURES)}
    FROM counted GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (organization_id, dim, state, val, day) DO UPDATE SET {_added(FACET_MEASURES)}),
admitted AS (
    INSERT INTO facet_cap AS t (organization_id, dim, day, admitted)
    SELECT %(organization)s, dim, day, count(*) FROM counted WHERE is_admitted AND NOT is_known
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (organization_id, dim, day) DO UPDATE SET admitted = t.admitted + excluded.admitted)
SELECT count(*) FROM d"""  # noqa: S608 (names of ours)


def move_facets(source: str) -> sql.Composed:
    """Values: organization, limit, users, property_keys, values. One row: (deltas moved)."""
    return sql.SQL(_FACETS).format(source=sql.Identifier(source))


WAITING = """
SELECT organization_id FROM (
    SELECT organization_id, id FROM usage_delta UNION ALL SELECT organization_id, id FROM facet_delta) q
GROUP BY 1 ORDER BY min(id)"""

TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s, %s)"
LOCK = "SELECT pg_advisory_lock(%s, %s)"
UNLOCK = "SELECT pg_advisory_unlock(%s, %s)"

# --- months of facet_day ------------------------------------------------------------------------------------------

MISSING_MONTHS = """
SELECT DISTINCT date_trunc('month', day)::date FROM {source}
WHERE organization_id = %s AND to_regclass('facet_day_p' || to_char(day, 'YYYYMM')) IS NULL ORDER BY 1"""
LOCK_MONTHS = "SELECT pg_advisory_xact_lock(%s)"
HAS_TABLE = "SELECT to_regclass(%s) IS NOT NULL"
MAKE_MONTH = "CREATE TABLE {} (LIKE facet_day INCLUDING DEFAULTS INCLUDING STORAGE) WITH (fillfactor = 80)"
ATTACH_MONTH = "ALTER TABLE facet_day ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"

# --- trimming -----------------------------------------------------------------------------------------------------

COUNTED_ORGANIZATIONS = "SELECT DISTINCT organization_id FROM usage_day ORDER BY 1"
TRIM = """
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {table} WHERE organization_id = %s AND bucket < %s LIMIT %s FOR UPDATE SKIP LOCKED))"""

# --- rebuilding ---------------------------------------------------------------------------------------------------

RECOUNT_TABLES = """
CREATE TEMP TABLE IF NOT EXISTS usage_recount (LIKE usage_delta INCLUDING IDENTITY INCLUDING DEFAULTS)
    ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS facet_recount (LIKE facet_delta INCLUDING IDENTITY INCLUDING DEFAULTS)
    ON COMMIT DELETE ROWS"""
GROUND = """
SELECT {columns} FROM llm_request WHERE organization_id = %s AND requested_at >= %s AND requested_at < %s
ORDER BY organization_id, requested_at, id"""
WAITING_USAGE = f"""
SELECT organization_id, minute, {_names(KEY)}, {_names(MEASURES)}, duration_hist, ttft_hist FROM usage_delta
WHERE organization_id = %s AND minute >= %s AND minute < %s"""  # noqa: S608 (names of ours)
WAITING_FACETS = f"""
SELECT dims, vals, {_names(FACET_MEASURES)} FROM facet_delta WHERE organization_id = %s AND day = %s"""  # noqa: S608
EMPTY_TIER = "DELETE FROM {table} WHERE organization_id = %s AND bucket >= %s AND bucket < %s"
EMPTY_FACETS = f"""
UPDATE facet_day SET {", ".join(f"{name} = 0" for name in FACET_MEASURES)}
WHERE organization_id = %(organization)s AND day = %(day)s"""  # noqa: S608 (names of ours)
COUNT_ADMITTED = """
WITH gone AS (DELETE FROM facet_cap WHERE organization_id = %(organization)s AND day = %(day)s AND dim NOT IN (
    SELECT dim FROM facet_day WHERE organization_id = %(organization)s AND day = %(day)s AND state = 0))
INSERT INTO facet_cap (organization_id, dim, day, admitted)
SELECT organization_id, dim, day, count(*) FROM facet_day
WHERE organization_id = %(organization)s AND day = %(day)s AND state = 0 GROUP BY 1, 2, 3
ON CONFLICT (organization_id, dim, day) DO UPDATE SET admitted = excluded.admitted"""
GROUND_FROM = "SELECT ground_from FROM counting_state WHERE organization_id = %s"
RAISE_GROUND_FROM = """
INSERT INTO counting_state AS t (organization_id, ground_from) VALUES (%s, %s)
ON CONFLICT (organization_id) DO UPDATE SET ground_from = greatest(t.ground_from, excluded.ground_from)"""
