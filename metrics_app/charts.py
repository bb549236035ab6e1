"""Every chart there is, and how an answer becomes what one draws: the same steps and series as JSON, table and CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from metrics_app.catalog import OTHER, TIME, Rest, Value
from metrics_app.pages import source
from metrics_app.pages.reading import ABSENT, View, condition, requests_link
from metrics_app.pages.source import Found
from requests_app.filters import EQUAL, Leaf

Unit = Literal["count", "usd", "ms", "tokens"]
Row = Mapping[str, Any]

MOST_SERIES = 6
"""A split chart shows the largest of them apart and the rest as one."""
NANO = 10**9
FAILED = Leaf("failed", EQUAL, True)
HIT = (Leaf("cached", EQUAL, True),)
NO_HIT = "Nothing was answered from the cache in this range."


@dataclass(frozen=True, slots=True)
class Measure:
    """One line or layer of a chart. `of` reads it from a row; what a row does not have is None."""

    words: str
    colour: str
    of: Callable[[Row], float | int | None]
    behind: tuple[Leaf, ...] = ()
    """What narrows the requests to those it counts."""


@dataclass(frozen=True, slots=True)
class Chart:
    """`form`: bars are layers that add up, lines do not. `by`: a dimension it is always split by, unless another is
    chosen; then it draws its first measure, a layer or line for each value."""

    key: str
    title: str
    unit: Unit
    form: Literal["bars", "lines"]
    metrics: tuple[str, ...]
    measures: tuple[Measure, ...]
    says: str
    by: str = ""
    is_split: bool = False
    empty: str = "No request matches in this range."


def _sum(name: str) -> Callable[[Row], float | int | None]:
    return lambda row: row.get(name)


def _usd(name: str) -> Callable[[Row], float | None]:
    return lambda row: None if row.get(name) is None else row[name] / NANO


def _fine(row: Row) -> int:
    return int(row.get("requests") or 0) - int(row.get("errors") or 0)


def _asked(row: Row) -> int:
    return int(row.get("requests") or 0) - int(row.get("cache_hits") or 0)


def _fresh(row: Row) -> int:
    return int(row.get("input_tokens") or 0) - int(row.get("cache_read_tokens") or 0)


CHARTS: Mapping[str, Chart] = {
    chart.key: chart
    for chart in (
        Chart(
            "requests", "Requests and errors", "count", "bars", ("requests", "errors"),
            (Measure("ok", "accent", _fine, (Leaf("failed", EQUAL, False),)),
             Measure("errors", "error", _sum("errors"), (FAILED,))),
            "Calls to models. An error is every status but 2xx and 3xx.",
        ),
        Chart(
            "requests-by", "Requests", "count", "bars", ("requests",),
            (Measure("requests", "accent", _sum("requests")),), "Calls to models, by what is chosen.",
            by="model", is_split=True,
        ),
        Chart(
            "cost", "Cost", "usd", "bars", ("cost",), (Measure("cost", "accent", _usd("cost")),),
            "Tokens × the price list on that day, or as the provider or client stated it; calls of unknown cost are"
            " not in it.",
            by="model", is_split=True, empty="No call in this range has a known cost.",
        ),
        Chart(
            "duration", "Duration", "ms", "lines", ("duration_p50", "duration_p95", "duration_p99"),
            (Measure("p50", "accent", _sum("duration_p50")), Measure("p95", "warning", _sum("duration_p95")),
             Measure("p99", "error", _sum("duration_p99"))),
            "From the request's first byte to the reply's last. Percentiles are within 1 % of the exact rank.",
            empty="No call in this range has a measured duration.",
        ),
        Chart(
            "duration-by", "Duration p95", "ms", "lines", ("duration_p95", "requests"),
            (Measure("p95", "accent", _sum("duration_p95")),),
            "95 of 100 calls took at most this long, within 1 %.", by="model", is_split=True,
            empty="No call in this range has a measured duration.",
        ),
        Chart(
            "ttft", "Time to first token", "ms", "lines", ("ttft_p50", "ttft_p95", "ttft_p99"),
            (Measure("p50", "accent", _sum("ttft_p50")), Measure("p95", "warning", _sum("ttft_p95")),
             Measure("p99", "error", _sum("ttft_p99"))),
            "How long a streamed reply waited for its first token. Percentiles are within 1 % of the exact rank.",
            empty="No streamed call in this range: time to first token is measured of streams.",
        ),
        Chart(
            "tokens", "Tokens", "tokens", "bars", ("input_tokens", "output_tokens", "cache_read_tokens"),
            (Measure("input", "accent", _fresh),
             Measure("input, from the provider's cache", "cached", _sum("cache_read_tokens")),
             Measure("output", "ok", _sum("output_tokens"))),
            "As the providers counted them. What a provider's own cache gave stands apart.",
            empty="No call in this range told its token counts.",
        ),
        Chart(
            "cache-calls", "Calls and cache hits", "count", "bars", ("requests", "cache_hits"),
            (Measure("from the cache", "cached", _sum("cache_hits"), HIT),
             Measure("from providers", "rest", _asked, (Leaf("cached", EQUAL, False),))),
            "Calls to models, by who answered. The hit rate is the first over both.",
        ),
        Chart(
            "cache-savings", "Cache savings", "usd", "bars", ("saved_cost", "saved_priced"),
            (Measure("saved", "cached", _usd("saved_cost"), HIT),),
            "What the calls not made would have cost at the prices of that time; hits of unknown cost are not in it.",
            empty="No answer from the cache in this range has a known cost.",
        ),
        Chart(
            "cache-time", "Time saved", "ms", "bars", ("saved_ms",),
            (Measure("saved", "cached", _sum("saved_ms"), HIT),),
            "How much longer the calls not made took when they were made, summed.", empty=NO_HIT,
        ),
        Chart(
            "cache-tokens", "Tokens saved", "tokens", "bars", ("saved_tokens",),
            (Measure("saved", "cached", _sum("saved_tokens"), HIT),),
            "Input and output of the calls not made, as the provider counted them the first time.", empty=NO_HIT,
        ),
    )
}  # fmt: skip


# --- drawn ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Series:
    """One value for each step; None where nothing was measured. `link` leads to all its requests; empty for all others,
    which no filter says."""

    name: str
    colour: str
    values: tuple[float | int | None, ...]
    total: float | int | None
    """Over the whole range; of percentiles: theirs, not a sum."""
    link: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a chart shows, whole. `times` are the starts of its steps, and then the end of the last one."""

    chart: Chart
    times: tuple[datetime, ...]
    series: tuple[Series, ...]
    before: Series | None
    """The previous period, step by step, where one compares."""
    found: Found
    dimension: str
    view: View

    @property
    def is_empty(self) -> bool:
        return not any(value for series in self.series for value in series.values)

    @property
    def rows(self) -> Iterator[tuple[datetime, list[float | int | None]]]:
        """The table twin: a step and its values, newest first."""
        for index in range(len(self.times) - 2, -1, -1):
            yield self.times[index], [series.values[index] for series in self.all_series]

    @property
    def all_series(self) -> tuple[Series, ...]:
        return (*self.series, self.before) if self.before else self.series

    def data(self) -> dict[str, Any]:
        """What metrics.js draws."""
        series = [
            {"name": one.name, "colour": one.colour, "y": one.values, "link": one.link} for one in self.series
        ]  # fmt: skip
        return {
            "form": self.chart.form, "unit": self.chart.unit, "grain": self.found.grain, "title": self.chart.title,
            "times": [moment.isoformat() for moment in self.times], "series": series, "all": requests_link(self.view),
            "before": {"name": self.before.name, "y": self.before.values} if self.before else None,
        }  # fmt: skip


def draw(chart: Chart, view: View, *, by: str = "") -> Drawing:
    """Asks what a chart needs and lays it out. Raises TooSlow."""
    dimension = by or (chart.by if chart.is_split else "")
    if not dimension:
        return _plain(chart, view)
    return _split(chart, view, dimension)


def _plain(chart: Chart, view: View) -> Drawing:
    found = source.ask(view, chart.metrics, over_time=True)
    at = {row[TIME]: row for row in found.rows}
    series = tuple(
        Series(
            one.words, one.colour, _values(chart, one, at, found.times), one.of(found.total),
            requests_link(view, one.behind),
        )
        for one in chart.measures
    )  # fmt: skip
    return _drawing(chart, view, series, found, "")


def _drawing(chart: Chart, view: View, series: tuple[Series, ...], found: Found, dimension: str) -> Drawing:
    return Drawing(chart, _edges(found), series, _before(chart, view, found), found, dimension, view)


def _edges(found: Found) -> tuple[datetime, ...]:
    """Starts of the steps, the first one no earlier than the range, and the end of the last."""
    first = found.times[:1]
    if first and found.since and found.since > first[0]:
        first = (found.since,)
    return (*first, *found.times[1:], found.end)


def _values(
    chart: Chart, measure: Measure, at: Mapping[datetime, Row], times: Sequence[datetime]
) -> tuple[float | int | None, ...]:
    """A step without rows counts as nothing in what adds up, and as unknown in what does not."""
    nothing: float | int | None = 0 if chart.form == "bars" else None
    found = [measure.of(at[moment]) if moment in at else nothing for moment in times]
    return tuple(_number(nothing if value is None else value) for value in found)


def _number(value: Any) -> float | int | None:
    """As JSON and CSV write it: Postgres's numeric is neither."""
    if value is None or isinstance(value, int | float):
        return value
    return int(value) if value == int(value) else float(value)


def _before(chart: Chart, view: View, now: Found) -> Series | None:
    """The first line, or all layers together, of the previous period, laid over this one step by step."""
    if not view.compares or now.grain is None:
        return None
    found, count = source.ask_before(view, chart.metrics, grain=now.grain), len(now.times)
    at = {row[TIME]: row for row in found.rows}
    shown = chart.measures if chart.form == "bars" else chart.measures[:1]
    parts = [_values(chart, one, at, found.times) for one in shown]
    total = [None if all(v is None for v in step) else sum(v or 0 for v in step) for step in zip(*parts, strict=True)]
    words = "period before" if chart.form == "bars" else f"{shown[0].words}, period before"
    words += " (part)" if found.is_partial else ""
    known = [value for one in shown if (value := one.of(found.total)) is not None]
    whole = sum(known) if known else None
    return Series(words, "before", tuple([*total, *([None] * count)][:count]), whole, requests_link(view))


def _split(chart: Chart, view: View, dimension: str) -> Drawing:
    """A layer or line for each of the largest values; what layers leave over is one more."""
    found = source.ask(
        view, chart.metrics, by=(dimension,), over_time=True, order=f"-{chart.metrics[0]}", limit=MOST_SERIES,
        has_rest=True,
    )  # fmt: skip
    groups: dict[Value, dict[datetime, Row]] = {}
    for row in found.rows:
        groups.setdefault(row[dimension], {})[row[TIME]] = row
    measure = chart.measures[0]
    kept = [value for value in groups if value is not OTHER or chart.form == "bars"]
    drawn = [(value, _values(chart, measure, groups[value], found.times)) for value in kept]
    drawn = [(value, values) for value, values in drawn if any(values)]  # a layer of nothing would only be a $0
    drawn.sort(key=lambda pair: (pair[0] is OTHER, -sum(value or 0 for value in pair[1])))
    series = tuple(
        Series(
            value_words(dimension, value), "rest" if value is OTHER else str(index % MOST_SERIES), values,
            sum(one or 0 for one in values) if chart.form == "bars" else None, _behind(view, dimension, value),
        )
        for index, (value, values) in enumerate(drawn)
    )  # fmt: skip
    return _drawing(chart, view, series, found, dimension)


def _behind(view: View, dimension: str, value: Value) -> str:
    return "" if isinstance(value, Rest) else requests_link(view, (condition(dimension, value),))


def value_words(dimension: str, value: Value) -> str:
    if value is OTHER:
        return "all others"
    if value is None or value == "":
        return ABSENT.get(dimension, "without it")
    return str(value)


def csv_rows(drawing: Drawing) -> Iterator[list[Any]]:
    """A head, then a line for each step, oldest first; times in ISO with the reader's zone."""
    yield ["time", *(f"{one.name} ({drawing.chart.unit})" for one in drawing.all_series)]
    for index, moment in enumerate(drawing.times[:-1]):
        yield [moment.isoformat(), *(one.values[index] for one in drawing.all_series)]
