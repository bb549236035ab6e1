"""How the cost of one request was reached, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from llm.exchange import Usage
from llm.pricing import BadPrice, Line, explain
from requests_app import prices, telling
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
        lines = explain(found, _usage(row), at=row.requested_at, service_tier=row.service_tier)
    except BadPrice as error:
        return Bill((), f"{words}; the price row cannot be read any more: {error}", source)
    return Bill(lines, words, source)


def _usage(row: RequestRow) -> Usage:
    return Usage(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cache_read_tokens=row.cache_read_tokens,
        cache_write_tokens=row.cache_write_tokens,
        cache_write_1h_tokens=row.cache_write_1h_tokens,
        reasoning_tokens=row.reasoning_tokens,
        input_audio_tokens=row.input_audio_tokens,
        output_audio_tokens=row.output_audio_tokens,
        web_searches=row.web_searches,
        sent=row.usage,
    )
