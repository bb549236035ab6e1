"""Words of the counting pages' templates: a value in its unit, a change, a table's cell, data for the charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString

from metrics_app import catalog
from metrics_app.pages import reading
from metrics_app.pages.tables import Column, Line
from requests_app.templatetags import figures, requests_tags

register = template.Library()
NANO = 10**9
WRITERS: Mapping[str, Callable[[Any], SafeString]] = {
    "duration": figures.duration, "speed": requests_tags.speed, "tokens": figures.tokens,
}  # fmt: skip


@register.filter
def unit_span(value: float | None, unit: str) -> SafeString:
    """A chart's value, exact on hover."""
    if unit == "usd":
        return figures.money(None if value is None else round(value * NANO))
    if unit == "ms":
        return figures.duration(value, "nothing was measured in this step")
    return figures.tokens(value) if unit == "tokens" else figures.count(value)


@register.filter
def unit_text(value: float | None, unit: str) -> str:
    if unit == "usd":
        return figures.money_text(None if value is None else round(value * NANO))
    return figures.duration_text(value) if unit == "ms" else figures.tokens_text(value)


@register.filter
def change(share: float) -> str:
    """+12 %, −3.4 %, ×14: as one says it."""
    if share >= 9.995:
        return f"×{share + 1:,.0f}"
    text = figures.percent_text(abs(share)) if abs(share) < 0.995 else f"{abs(share) * 100:.0f} %"
    return text if not share else f"{'+' if share > 0 else '−'}{text}"


@register.filter
def dimension_words(dimension: str) -> str:
    return catalog.dimension(dimension).words


@register.filter
def data_block(data: Mapping[str, Any]) -> SafeString:
    """JSON the page's script reads; nothing in it can end the element."""
    return json_script(data, encoder=DjangoJSONEncoder)


@register.filter
def cell(line: Line, column: Column) -> SafeString | str:
    """One figure of a table, written as its column says."""
    row, value = line.row, line.row.get(column.metric)
    if column.shows == "money":
        return figures.money(value if row["priced"] else None, "no call here has a known cost")
    if column.shows == "share":
        return _share(value, row["requests"])
    if column.shows == "day":
        return _day(value)
    return WRITERS.get(column.shows, figures.count)(value)


def _share(part: int | None, whole: int) -> SafeString:
    if not part:
        return format_html('<span class="muted num" title="0 of {}">0</span>', whole)
    return format_html(
        '<span class="num bad" title="{} of {}">{}</span>', part, whole, figures.percent_text(part / whole)
    )


def _day(moment: datetime | None) -> SafeString:
    if moment is None:
        return requests_tags.known(None, "not known")
    if moment.astimezone(UTC).time() == time():  # a day of the facets, not a moment
        return format_html('<span class="num" title="that day, UTC">{}</span>', f"{moment.astimezone(UTC):%-d %b %Y}")
    words = reading.local(moment)
    return format_html('<time datetime="{}" data-time="ago">{}</time>', moment.isoformat(), f"{words:%-d %b %Y}")
