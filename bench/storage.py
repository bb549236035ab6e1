"""Bytes on disk for each byte of request and reply, indexes and counts included.

    python -m bench.storage [--rows 100000] [--batch 200] [--detail]

Every exchange has its bodies (see `bodies.py`). Put in through the real store, in batches as of a line that keeps up
(larger ones, as of a line that is behind, are packed faster and less), day by day with a dictionary trained each
night, folded, vacuumed as autovacuum does it.
Headers are stored with the bodies and not counted among the bytes that came. Counts are by minute, hour and day: the
fewer calls a minute, the more of them a call costs. `--detail` prints every table and index, and what columns hold.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench import ground
from bench.query import cluster, conninfo, somebody

LEISURELY = 200
"""As in `requests_app/store.py`, which cannot be imported before its database is there."""
SIZES = """
SELECT CASE WHEN c.relname LIKE 'llm_request_body%%' THEN 'bodies' WHEN c.relname LIKE 'llm_request%%' THEN 'rows'
    WHEN c.relname = 'session' THEN 'sessions' ELSE 'counts' END AS part,
    sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    AND (c.relname ~ '^(llm_request|usage_|facet_)' OR c.relname IN ('session', 'request_alias'))
GROUP BY 1 ORDER BY 2 DESC
"""


COLUMNS = """
SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
DETAIL = """
SELECT regexp_replace(c.relname, '_p?\\d{6,8}', '_…') AS name, c.relkind, sum(pg_relation_size(c.oid))::bigint
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i')
    AND c.relname ~ '^(llm_request|usage_|facet_|session|request_alias)'
GROUP BY 1, 2 HAVING sum(pg_relation_size(c.oid)) > 0 ORDER BY 3 DESC
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=LEISURELY)
    parser.add_argument("--detail", action="store_true")
    arguments = parser.parse_args()
    rows = arguments.rows
    ground.BODY_EVERY = 1
    with tempfile.TemporaryDirectory(prefix="helicone-bench-") as name, cluster(Path(name)):
        from requests_app.dictionaries import train_all

        def night(connection: psycopg.Connection[Any], moment: datetime) -> None:
            train_all(connection, moment)
            ground.fold_all(conninfo(), organization_id)

        _, organization_id = somebody()
        until = datetime.now(UTC)
        raw = ground.load(
            conninfo(), rows, organization_id=organization_id, seed=1, until=until, nightly=night, most=arguments.batch
        )
        ground.fold_all(conninfo(), organization_id)
        with psycopg.connect(conninfo(), autocommit=True) as connection:
            connection.execute("VACUUM (ANALYZE)")
            found = connection.execute(SIZES).fetchall()
            if arguments.detail:
                print_detail(connection, rows)
        print(f"{rows:,} exchanges, {raw / rows:,.0f} bytes of bodies each\n")
        print("part        table B/row   indexes B/row    of raw")
        for part, table, indexes in found:
            print(f"{part:10} {table / rows:12,.0f} {indexes / rows:15,.0f} {(table + indexes) / raw:9.2f}")
        total = sum(table + indexes for _, table, indexes in found)
        print(f"{'together':10} {total / rows:12,.0f} {'':15} {total / raw:9.2f}   (target 0.50)")


def print_detail(connection: psycopg.Connection[tuple[Any, ...]], rows: int) -> None:
    """Bytes for each exchange by relation, toast left out, and by column of a row."""
    for name, kind, size in connection.execute(DETAIL).fetchall():
        print(f"{'index' if kind == 'i' else 'table'} {name:50} {size / rows:8,.0f}")
    for table in ("llm_request", "llm_request_body"):
        columns = [str(row[0]) for row in connection.execute(COLUMNS, (table,)).fetchall()]
        sums = sql.SQL(", ").join(sql.SQL("sum(pg_column_size({}))").format(sql.Identifier(name)) for name in columns)
        found = connection.execute(sql.SQL("SELECT {} FROM {}").format(sums, sql.Identifier(table))).fetchone() or ()
        widths = sorted(zip(found, columns, strict=True), key=lambda pair: -(pair[0] or 0))
        print(table, ", ".join(f"{name} {width / rows:.0f}" for width, name in widths if width and width > rows))
    print()


if __name__ == "__main__":
    main()
