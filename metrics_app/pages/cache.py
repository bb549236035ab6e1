"""The page of the gateway's cache: what it answered, what that saved, and which replies it gave most often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts_app.permissions import OrganizationRequest
from metrics_app import queries_cache
from metrics_app.catalog import PROPERTY
from metrics_app.pages import source
from metrics_app.pages.frame import WRITTEN_HERE, chosen, property_keys, slot
from metrics_app.pages.reading import View, fragment_link, local, requests_link
from metrics_app.queries_cache import Repeated
from metrics_app.question import BadQuestion
from requests_app.filters import EQUAL, Leaf
from requests_app.queries import TooSlow

LENGTH = 25


def context(request: OrganizationRequest, view: View) -> dict[str, Any]:
    keys = [key for key in property_keys(view) if not key.startswith(WRITTEN_HERE)]
    by, splits, named, values = chosen(request, keys)
    slots = [
        slot(view, "cache-calls", 6),
        slot(view, "cache-savings", 6, by=by, choices=splits, chosen=by),
        slot(view, "cache-time", 6), slot(view, "cache-tokens", 6),
        slot(view, "cached-models", 4), slot(view, "cached-users", 4),
        *([slot(view, "cached-values", 4, by=PROPERTY + named, choices=values, chosen=PROPERTY + named,
                title=f"By {named}")] if named else []),
    ]  # fmt: skip
    return {
        "slots": slots, "figures": fragment_link("figures", view, extra={"of": "cache"}),
        "repeated": fragment_link("repeated", view), "has_hits": _has_hits(view),
    }  # fmt: skip


def _has_hits(view: View) -> bool:
    """Where that cannot be told in time the page shows what it has."""
    if view.asked.complaint:
        return False
    try:
        return bool(source.ask(view, ("cache_hits",)).total["cache_hits"])
    except (TooSlow, BadQuestion):
        return True


@dataclass(frozen=True, slots=True)
class Line:
    one: Repeated
    first_at: datetime
    last_at: datetime
    link: str
    """The requests it was given to."""


@dataclass(frozen=True, slots=True)
class Listing:
    """`since`: only hits from then on were looked at; None: all of the range."""

    lines: Sequence[Line]
    since: datetime | None


def repeated(view: View) -> Listing:
    """Raises TooSlow, BadQuestion."""
    question = source.question(view, ("cache_hits",), by=(), order="", limit=LENGTH)
    found, since = queries_cache.most_repeated(question, limit=LENGTH)
    lines = [Line(one, local(one.first_at), local(one.last_at), _hits_link(view, one)) for one in found]
    return Listing(lines, since and local(since))


def _hits_link(view: View, one: Repeated) -> str:
    hits = (Leaf("cached", EQUAL, True), Leaf("cached_from", EQUAL, str(one.original)))
    return requests_link(view, hits)
