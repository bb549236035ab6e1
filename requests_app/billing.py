"""How the numbers of one request were reached: counts from what was sent, a price row, lines; or why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import connection

from llm.pricing import BadPrice, Line, PriceRow, context, explain
from llm.provenance import Source, sources
from requests_app import prices, telling
from requests_app.columns import usage_of
from requests_app.recharge import exchange_of, reading_of
from requests_app.rows import RequestRow

ASK_FOR_USAGE = "The gateway asks for them where the header Helicone-Stream-Usage: true comes with the call."
ADVICE = {
    "no_price": "Add a price for this model and price its requests again; or send the cost along with the call "
                "(Helicone-Input-Token-Cost and Helicone-Output-Token-Cost).",
    "no_model": "Name the model with the header Helicone-Model-Override.",
    "no_usage": "A log can tell the counts in its providerResponse; a reply that broke off told none.",
}  # fmt: skip
BY_CONTEXT = {"service_tier": "service tier", "processing": "processing", "speed": "speed",
              "search_context_size": "search context", "search_type": "search type",
              "inference_geo": "region"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bill:
    """`lines` are there where the cost came from a price row; `source` says whose and since when."""

    lines: tuple[Line, ...]
    words: str
    source: str = ""
    advice: str = ""
    """What to do about a cost that is not known."""
    counts: tuple[Source, ...] = ()
    usage: Mapping[str, Any] | None = None
    """As the provider sent it."""
    tiers: tuple[tuple[str, str], ...] = ()
    """What of the call chose among the row's prices: (what, which)."""

    @property
    def total(self) -> Decimal:
        return sum((line.amount_nano_usd for line in self.lines), Decimal(0))


def bill(row: RequestRow) -> Bill:
    counted = usage_of(row)
    found = prices.load_row(connection, row.price_id) if row.price_id is not None else None
    told = Bill(
        lines=(), words=telling.cost_words(row), source=_whose(found) if found else "", advice=_advice(row),
        counts=sources(counted), usage=row.usage,
        tiers=tuple((BY_CONTEXT.get(key, key), value) for key, value in context(counted, row.service_tier).items()),
    )  # fmt: skip
    if found is None:
        return told
    try:
        lines = explain(found, counted, at=row.requested_at, service_tier=row.service_tier)
        return replace(told, lines=(*lines, *_beside(row)))
    except BadPrice as error:
        return replace(told, words=f"{told.words}; the price row cannot be read any more: {error}")


def _beside(row: RequestRow) -> tuple[Line, ...]:
    """What other models took within the call, at the prices of now: a row keeps the number of its own price alone."""
    if "iterations" not in (row.usage or {}):
        return ()
    return prices.load_book(connection).beside(exchange_of(row), reading_of(row))


def _whose(found: PriceRow) -> str:
    since = f", since {found.starts_at:%Y-%m-%d}" if found.starts_at else ""
    until = f", until {found.ends_at:%Y-%m-%d}" if found.ends_at else ""
    return f"{found.model_key} ({found.source}{since}{until})"


def _advice(row: RequestRow) -> str:
    if row.cost_nano_usd is not None:
        return ""
    if row.cost_reason == "no_usage" and row.is_stream and row.dialect == "openai_chat":
        return ASK_FOR_USAGE
    return ADVICE.get(row.cost_reason, "")
