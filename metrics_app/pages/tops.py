"""Lists of the largest values of one dimension, each with a bar and a way to its requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from metrics_app.catalog import OTHER, dimension
from metrics_app.charts import FAILED, HIT, NO_HIT, value_words
from metrics_app.pages import source
from metrics_app.pages.reading import View, condition, page_link, requests_link
from metrics_app.pages.source import Found
from requests_app.filters import Leaf
from requests_app.telling import SHORT

LENGTH = 8


@dataclass(frozen=True, slots=True)
class Top:
    """`dimension` is empty where the reader chooses it; `page` names the page of one value."""

    key: str
    title: str
    dimension: str
    says: str
    empty: str
    only: tuple[Leaf, ...] = ()
    page: str = ""
    metrics: tuple[str, str, str] = ("requests", "cost", "priced")
    """What it is ordered by, an amount in nano-USD, and how many of the first that is known of."""
    behind: tuple[Leaf, ...] = ()
    """What narrows its links to what it counts, where the counts themselves need no narrowing."""


_SAVED = ("cache_hits", "saved_cost", "saved_priced")
_SAYS = "Hits, and what they saved."
TOPS: Mapping[str, Top] = {
    top.key: top
    for top in (
        Top("top-models", "Top models", "model", "The models that answered, by requests.", "No request names a model."),
        Top("top-providers", "Top providers", "provider", "Who was called, by requests.", "No request in this range."),
        Top("top-users", "Top users", "user", "Whom requests were made for, as the header Helicone-User-Id says.",
            "No request in this range names its user. The header Helicone-User-Id does.", page="user"),
        Top("top-values", "Top property values", "", "Values of one property, as the headers Helicone-Property-… say.",
            "No request in this range has this property."),
        Top("errors", "Errors by status", "status", "Every status but 2xx and 3xx; below zero are the gateway's own.",
            "No error in this range.", (FAILED,)),
        Top("cached-models", "By model", "model", f"The models whose replies were kept. {_SAYS}", NO_HIT,
            metrics=_SAVED, behind=HIT),
        Top("cached-users", "By user", "user", f"Whom the cache answered, as the header Helicone-User-Id says. {_SAYS}",
            NO_HIT, page="user", metrics=_SAVED, behind=HIT),
        Top("cached-values", "By property", "", f"Values of one property. {_SAYS}", NO_HIT, metrics=_SAVED, behind=HIT),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """`width` is per cent of the longest, `share` a part of one of all that were asked for. `amount` is in nano-USD."""

    words: str
    count: int
    amount: int | None
    known: int
    width: float
    share: float | None
    link: str
    """Its requests; empty for all others, which no filter says."""
    page: str
    """The page of this one value; empty for none."""
    is_named: bool


@dataclass(frozen=True, slots=True)
class Listing:
    top: Top
    dimension: str
    bars: tuple[Bar, ...]
    found: Found
    view: View


def listing(top: Top, view: View, *, by: str = "", length: int = LENGTH) -> Listing:
    """The largest values. Raises TooSlow."""
    for one in top.only:
        view = view.narrowed(one)
    key = by or top.dimension
    counted = top.metrics[0]
    found = source.ask(view, top.metrics, by=(key,), order=f"-{counted}", limit=length, has_rest=True)
    total = found.total.get(counted) or 0
    largest = max((row[counted] for row in found.rows if row[key] not in (None, OTHER)), default=0)
    bars = tuple(_bar(top, view, key, row, largest, total) for row in _rest_last(found, key) if row[counted])
    return Listing(top, key, bars, found, view)


def _rest_last(found: Found, key: str) -> list[Mapping[str, Any]]:
    """Whoever names nothing, and all others, stand below the names and have no bar."""
    return sorted(found.rows, key=lambda row: (row[key] is OTHER, row[key] is None))


def _bar(top: Top, view: View, key: str, row: Mapping[str, Any], largest: int, total: int) -> Bar:
    value, (count, amount, known) = row[key], (row[name] for name in top.metrics)
    is_named = value not in (None, "", OTHER)
    behind = (*top.only, *top.behind)
    return Bar(
        words=status_words(value) if key == "status" and is_named else value_words(key, value),
        count=count,
        amount=amount,
        known=known,
        width=round(100 * count / largest, 2) if is_named else 0,
        share=count / total if total else None,
        link="" if value is OTHER else requests_link(view, (*behind, condition(key, value if is_named else None))),
        page=page_link(top.page, view, str(value)) if top.page and is_named else "",
        is_named=is_named,
    )


OTHER_STATUSES = {499: "Client Closed Request", 520: "Unknown Error", 522: "Connection Timed Out", 524: "Timed Out",
                  529: "Overloaded"}  # fmt: skip
"""What providers and what stands before them answer beside the registered ones."""


def status_words(status: int) -> str:
    """429 Too Many Requests, timed out."""
    if status in SHORT:
        return SHORT[status]
    if status in OTHER_STATUSES:
        return f"{status} {OTHER_STATUSES[status]}"
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def csv_rows(found: Listing) -> Iterator[list[Any]]:
    counted, amount, known = found.top.metrics
    yield [dimension(found.dimension).words, counted, f"{amount}_usd", known]
    for bar in found.bars:
        yield [bar.words, bar.count, None if bar.amount is None else int(bar.amount) / 10**9, bar.known]
