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
METRICS = (
    "requests", "errors", "priced", "cost", "input_tokens", "output_tokens", "duration_p95", "ttft_p50",
)  # fmt: skip


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


KINDS = (
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


def figures(view: View) -> tuple[list[Figure], Found]:
    """The figures and where they come from. Raises TooSlow."""
    found = source.ask(view, METRICS)
    before = source.ask_before(view, METRICS).total if view.has_previous else {}
    return [_figure(kind, found.total, before) for kind in KINDS], found


def _figure(kind: _Kind, row: Row, before: Row) -> Figure:
    value, was = kind.of(row), kind.of(before) if before.get("requests") else None
    change = (float(value) - float(was)) / float(was) if value is not None and was else None
    is_good = None if kind.is_rise_good is None or not change else (change > 0) == kind.is_rise_good
    shown_before = kind.show(was) if was is not None else ""
    return Figure(kind.words, kind.show(value), change, shown_before, _note(kind, row), is_good)


def _note(kind: _Kind, row: Row) -> str:
    if kind.of is not _cost or not row.get("requests"):
        return kind.says
    return f"{kind.says}: {row['priced']:,} of {row['requests']:,} calls have one"
