"""Bytes on disk for each byte of request and reply, indexes and counts included.

    python -m bench.storage [--rows 50000]

Every exchange has its bodies (3.4 KB of request, 1.6 KB of reply; half the request is a system prompt all share, the
rest are random words, which compress worse than language does). Put in through the real store, folded, vacuumed.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from bench import ground
from bench.query import cluster, conninfo, somebody

SIZES = """
SELECT CASE WHEN c.relname LIKE 'llm_request_body%%' THEN 'bodies' WHEN c.relname LIKE 'llm_request%%' THEN 'rows'
    WHEN c.relname = 'session' THEN 'sessions' ELSE 'counts' END AS part,
    sum(pg_table_size(c.oid))::bigint, sum(pg_indexes_size(c.oid))::bigint
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    AND (c.relname ~ '^(llm_request|usage_|facet_)' OR c.relname IN ('session', 'request_alias'))
GROUP BY 1 ORDER BY 2 DESC
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    rows = parser.parse_args().rows
    ground.BODY_EVERY = 1
    with tempfile.TemporaryDirectory(prefix="helicone-bench-") as name, cluster(Path(name)):
        _, organization_id = somebody()
        until = datetime.now(UTC)
        raw = ground.load(conninfo(), rows, organization_id=organization_id, seed=1, until=until)
        ground.fold_all(conninfo(), organization_id)
        with psycopg.connect(conninfo(), autocommit=True) as connection:
            connection.execute("VACUUM FULL")
            found = connection.execute(SIZES).fetchall()
        print(f"{rows:,} exchanges, {raw / rows:,.0f} bytes of bodies each\n")
        print("part        table B/row   indexes B/row    of raw")
        for part, table, indexes in found:
            print(f"{part:10} {table / rows:12,.0f} {indexes / rows:15,.0f} {(table + indexes) / raw:9.2f}")
        total = sum(table + indexes for _, table, indexes in found)
        print(f"{'together':10} {total / rows:12,.0f} {'':15} {total / raw:9.2f}   (target 0.50)")


if __name__ == "__main__":
    main()
