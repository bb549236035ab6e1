"""The p95 duration of a property's values. Counts by day keep no lengths, so it is read from single requests: unasked
where these are few, else only where the reader wants it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from metrics_app import queries, queries_kept
from metrics_app.catalog import Value
from metrics_app.pages import source
from metrics_app.pages.reading import View
from metrics_app.pages.source import Found
from metrics_app.question import MOST_GROUPS
from requests_app.long_names import counted_name
from requests_app.queries import TooSlow

P95 = "duration_p95"
FEW = queries.MOST_EDGE_ROWS_OF_LONG
"""Of so many requests in the range it is read unasked."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """`by_value`, as counts name values, has no unknown; `note` says what is missing, empty where nothing is."""

    by_value: Mapping[Value, float]
    note: str = ""
    is_part: bool = False
    """Not of all requests the table counts."""


def are_few(view: View) -> bool:
    """Raises TooSlow."""
    return queries.rows_about(source.question(view, ("requests",), by=(), order="", limit=1)) <= FEW


def read(view: View, by: str) -> Lengths:
    """By value of the dimension."""
    try:
        found = source.ask(view, (P95,), by=(by,), limit=MOST_GROUPS)
    except TooSlow:
        return Lengths({}, "The p95 duration took too long to work out.", is_part=True)
    known = {_name(row[by]): row[P95] for row in found.rows if row[P95] is not None}
    return Lengths(known, *_missing(view, found))


def _name(value: Value) -> Value:
    return counted_name(value) if isinstance(value, str) else value


def _missing(view: View, found: Found) -> tuple[str, bool]:
    since, kept = view.asked.period.since, queries_kept.kept_from(view.organization_id)
    if found.is_partial and found.since and not (kept and found.since < kept):
        start, why = found.since, "there are too many to read all"
    elif kept and (since is None or since < kept):
        start, why = kept, "older ones are removed by retention, only counts are left"
    else:
        return "", False
    return f"The p95 duration is that of requests since {start:%Y-%m-%d %H:%M %Z} only: {why}.", True


def added(found: Found, by: str, lengths: Lengths) -> Found:
    """The rows with what is known of each."""
    rows = tuple({**row, P95: lengths.by_value.get(_name(row[by]))} for row in found.rows)
    return replace(found, rows=rows, notes=(*found.notes, lengths.note) if lengths.note else found.notes)


def ordered(found: Found, *, is_rising: bool) -> Found:
    """By it; unknown stays at the end."""
    known = sorted((row for row in found.rows if row[P95] is not None), key=lambda row: row[P95], reverse=not is_rising)
    return replace(found, rows=(*known, *(row for row in found.rows if row[P95] is None)))
