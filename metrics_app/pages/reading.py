"""The address of a page that counts: which requests, against which before; and the addresses beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.http import HttpRequest, QueryDict
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from accounts_app.permissions import OrganizationRequest
from metrics_app.catalog import TIME, Unknown, dimension
from requests_app import asking
from requests_app.asking import Asked, address
from requests_app.filter_url import parameter, text_of
from requests_app.filters import EQUAL, Leaf, Node, join

PAGE_KEYS = asking.PAGE_KEYS | {"by", "compare", "sort", "dir", "rows", "values", "format", "find", "of", "p95"}
OWN_KEYS = ("by", "sort", "dir", "rows", "values", "compare", "find", "of", "p95")
"""What the requests page has no use for."""
ADDING = (*asking.ADDING, "format")


@dataclass(frozen=True, slots=True)
class View:
    """One page's range and filter; `compares` with the stretch of the same length before."""

    organization_id: int
    asked: Asked
    tree: Node
    compares: bool

    @property
    def has_previous(self) -> bool:
        """All of time has no time before it."""
        return self.asked.period.since is not None

    def narrowed(self, one: Leaf) -> View:
        return replace(self, tree=join("and", (self.tree, one)))

    def without(self, *keys: str) -> list[tuple[str, str]]:
        """The address's parameters but these."""
        return [(key, value) for key, values in self.asked.parameters.lists() for value in values if key not in keys]


def read(request: OrganizationRequest, *, default_range: str = "7d") -> View:
    """The view an address asks for; where it cannot be read, `asked.complaint` says why."""
    asked = asking.read(
        request.membership.organization_id, request.GET,
        home=request.path, page_keys=PAGE_KEYS, default_range=default_range,
    )  # fmt: skip
    compares = request.GET.get("compare") == "1" and asked.period.since is not None
    return View(request.membership.organization_id, asked, asked.tree, compares)


# --- addresses ------------------------------------------------------------------------------------------------


def requests_link(
    view: View, more: Sequence[Leaf] = (), *, path: str = "", without: Sequence[str] = OWN_KEYS,
    extra: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """The requests this view counts, or another page of them, narrowed by more conditions."""
    query = QueryDict(mutable=True)
    for key, value in view.without(*without, *asking.PLACE, *ADDING):
        query.appendlist(key, value)
    for one in more:
        query.setlist(parameter(one), [text_of(one)])
    if not any(key in query for key in ("range", "from", "to")) and view.asked.period.preset:
        query["range"] = view.asked.period.preset
    for key, value in (extra or {}).items():
        query[key] = value
    return address(path or reverse("requests"), query)


def page_link(name: str, view: View, *args: str) -> str:
    """Another counting page with the same range and filter; empty for a value no address can hold."""
    try:
        path = reverse(name, args=args)
    except NoReverseMatch:
        return ""
    return requests_link(view, path=path, without=("by", "sort", "dir", "rows", "values", "find"))


def fragment_link(
    name: str, view: View, *args: str, more: Sequence[Leaf] = (), by: str = "", extra: Mapping[str, str] | None = None
) -> str:
    """Where a part of this page is loaded from."""
    extra = {**({"by": by} if by else {}), **({"compare": "1"} if view.compares else {}), **(extra or {})}
    return requests_link(view, more, path=reverse(name, args=args), extra=extra)


def chart_file_path(key: str) -> str:
    return reverse("chart-file", args=[key])


def with_parameters(request: HttpRequest, path: str = "", **changes: str | None) -> str:
    """This address, or that path's, with parameters set or, by None, taken away."""
    query = request.GET.copy()
    for key, value in changes.items():
        query.pop(key, None)
        if value is not None:
            query[key] = value
    return address(path or request.path, query)


# --- dimensions -------------------------------------------------------------------------------------------------

SPLITS = ("model", "undated_model", "provider", "user", "session_name", "prompt", "country")
"""Dimensions a chart of the dashboard can be split by, beside properties."""
ABSENT: Mapping[str, str] = {
    "model": "no model named", "undated_model": "no model named", "provider": "no provider", "user": "no user named",
    "session_name": "not in a session", "prompt": "no prompt named", "country": "country not told",
}  # fmt: skip


def is_dimension(text: str) -> bool:
    """One that narrows the requests page, too."""
    try:
        return bool(dimension(text).filter) and text != TIME and "\x00" not in text
    except Unknown:
        return False


def condition(key: str, value: str | int | bool | None) -> Leaf:
    """That a request falls under this value of the dimension; None: it has none."""
    found = dimension(key)
    return Leaf(found.filter, EQUAL, value, found.name)


def local(moment: datetime) -> datetime:
    return timezone.localtime(moment)
