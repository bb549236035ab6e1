"""The strip of figures over a page, each with its change against the period before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from metrics_app.pages import source
from metrics_app.pages.reading import View
from metrics_app.pages.source import Found
from requests_app.templatetags.figures import count, duration, money, percent_text, tokens

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """`is_good`: its change is good (True), bad (False) or neither (None)."""

    words: str
    shown: SafeString | str
    change: float | None
    """A part of one; None where the period before says nothing."""
    before: SafeString | str
    note: str
    is_good: bool | None


@dataclass(frozen=True, slots=True)
class _Kind:
    words: str
    of: Callable[[Row], float | int | None]
    show: Callable[[Any], SafeString | str]
    says: str
    is_rise_good: bool | None = None


def _share(row: Row) -> float | None:
    return row["errors"] / row["requests"] if row.get("requests") else None


def _cost(row: Row) -> int | None:
    """Unknown where there are calls and none has a price."""
    return row.get("cost") if row.get("priced") or not row.get("requests") else None


def _tokens(row: Row) -> int:
    return int(row.get("input_tokens") or 0) + int(row.get("output_tokens") or 0)


def _hit_rate(row: Row) -> float | None:
    return row["cache_hits"] / row["requests"] if row.get("requests") else None


def _saved(row: Row) -> int | None:
    """Unknown where there are hits and none has a price."""
    return row.get("saved_cost") if row.get("saved_priced") else None if row.get("cache_hits") else 0


CALLS = (
    _Kind("requests", lambda row: row.get("requests") or 0, count, "calls to models"),
    _Kind("cost", _cost, lambda value: money(value, "no call here has a known cost"),
          "sum of the known costs"),
    _Kind("errors", _share, percent_text, "every status but 2xx and 3xx, of all requests", False),
    _Kind("p95 duration", lambda row: row.get("duration_p95"),
          lambda value: duration(value, "nothing was measured"), "95 of 100 calls took at most this long", False),
    _Kind("p50 first token", lambda row: row.get("ttft_p50"),
          lambda value: duration(value, "only measured of streams, and there was none"),
          "half of the streamed calls waited at most this long for their first token", False),
    _Kind("tokens", _tokens, tokens, "input and output, as the providers counted them"),
)  # fmt: skip
CACHE = (
    _Kind("cache hits", lambda row: row.get("cache_hits") or 0, count, "calls answered from the cache", True),
    _Kind("hit rate", _hit_rate, lambda value: percent_text(value or 0), "hits of all calls to models", True),
    _Kind("saved cost", _saved, lambda value: money(value, "no hit here has a known cost"),
          "what the hits would have cost", True),
    _Kind("saved time", lambda row: row.get("saved_ms") or 0, duration, "how much longer the calls took when made",
          True),
    _Kind("saved tokens", lambda row: row.get("saved_tokens") or 0, tokens, "input and output of the calls not made",
          True),
    _Kind("calls to providers", lambda row: (row.get("requests") or 0) - (row.get("cache_hits") or 0), count,
          "calls to models that no kept reply answered"),
)  # fmt: skip
STRIPS: Mapping[str, tuple[tuple[_Kind, ...], tuple[str, ...]]] = {
    "calls": (CALLS, ("requests", "errors", "priced", "cost", "input_tokens", "output_tokens", "duration_p95",
                      "ttft_p50")),
    "cache": (CACHE, ("requests", "cache_hits", "saved_cost", "saved_priced", "saved_ms", "saved_tokens")),
}  # fmt: skip
"""Each with the metrics it is made of."""


def figures(view: View, of: str = "calls") -> tuple[list[Figure], Found]:
    """The figures and where they come from. Raises TooSlow."""
    kinds, metrics = STRIPS[of]
    found = source.ask(view, metrics)
    before = source.ask_before(view, metrics) if view.has_previous else None
    known = before.total if before and not before.is_partial else {}
    return [_figure(kind, found.total, known) for kind in kinds], found


def _figure(kind: _Kind, row: Row, before: Row) -> Figure:
    value, was = kind.of(row), kind.of(before) if before.get("requests") else None
    change = (float(value) - float(was)) / float(was) if value is not None and was else None
    is_good = None if kind.is_rise_good is None or not change else (change > 0) == kind.is_rise_good
    shown_before = kind.show(was) if was is not None else ""
    return Figure(kind.words, kind.show(value), change, shown_before, _note(kind, row), is_good)


def _note(kind: _Kind, row: Row) -> str:
    if kind.of is _cost and row.get("requests"):
        return f"{kind.says}: {row['priced']:,} of {row['requests']:,} calls have one"
    if kind.of is _saved and row.get("cache_hits"):
        return f"{kind.says}: that is known of {row['saved_priced']:,} of {row['cache_hits']:,}"
    return kind.says
