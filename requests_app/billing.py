"""How the cost of one request was reached, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from llm.pricing import BadPrice, Line, explain
from requests_app import prices, telling
from requests_app.columns import usage_of
from requests_app.rows import RequestRow


@dataclass(frozen=True, slots=True)
class Bill:
    """`lines` are there where the cost came from a price row; `source` says whose and since when."""

    lines: tuple[Line, ...]
    words: str
    source: str = ""


def bill(row: RequestRow) -> Bill:
    words = telling.cost_words(row)
    found = prices.load_row(connection, row.price_id) if row.price_id is not None else None
    if found is None:
        return Bill((), words)
    since = f", since {found.starts_at:%Y-%m-%d}" if found.starts_at else ""
    source = f"{found.model_key} ({found.source}{since})"
    try:
        lines = explain(found, usage_of(row), at=row.requested_at, service_tier=row.service_tier)
    except BadPrice as error:
        return Bill((), f"{words}; the price row cannot be read any more: {error}", source)
    return Bill(lines, words, source)
