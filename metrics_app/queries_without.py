"""Rows a question leaves out although counts hold them: taken away again, by rows of the layout with negative numbers.

TooSlow        of the requests room: there are too many of them
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from metrics_app import histogram, sql
from metrics_app.sql import Layout, Piece
from requests_app.filters import Clause, Node, join
from requests_app.queries import reader

MOST_MS = 250
"""So long a page waits for what it leaves out, before it shows all that counts know and says so."""


def taken_away(layout: Layout, piece: Piece, without: Node) -> Clause | None:
    """None where there are none. To be asked before the counts, so that nothing is taken away that is not in them."""
    narrowed = replace(layout, tree=join("and", (layout.tree, without)))
    asking = sql.whole(narrowed, [sql.ground(narrowed, piece)], order="sum(m_requests) DESC")
    with reader(MOST_MS) as cursor:
        cursor.execute(asking.sql, asking.values)
        rows = [_negative(layout, row) for row in cursor.fetchall()]
    return sql.told(layout, list(zip(*rows, strict=True))) if rows else None


def _negative(layout: Layout, row: Sequence[Any]) -> list[Any]:
    """Its keys, sums and histograms."""
    first = len(layout.keys)
    second = first + len(layout.measures)
    lengths = row[second + 1 : second + 2 * len(layout.histograms) : 2]
    packed = [histogram.pack(_counted_off(values or ())) for values in lengths]
    return [*row[:first], *(-number for number in row[first:second]), *packed]


def _counted_off(values: Sequence[int]) -> dict[int, int]:
    return {bucket: -count for bucket, count in Counter(map(histogram.bucket, values)).items()}
