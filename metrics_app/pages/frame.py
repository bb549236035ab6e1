"""What each page's frame holds before anything is counted: its charts' places, their addresses, its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from django.urls import reverse

from accounts_app.models import Role
from accounts_app.permissions import OrganizationRequest, is_at_least
from metrics_app import hiding
from metrics_app.catalog import PROPERTY, dimension
from metrics_app.charts import CHARTS
from metrics_app.pages import lengths, tables
from metrics_app.pages.reading import (
    SPLITS,
    View,
    condition,
    fragment_link,
    is_dimension,
    page_link,
    requests_link,
    with_parameters,
)
from metrics_app.pages.tops import TOPS
from metrics_app.question import BadQuestion
from requests_app.filters import Leaf
from requests_app.queries import TooSlow

WRITTEN_HERE = "helicone-"
"""How names of properties begin that the gateway writes itself: they say less than a user's own."""
MOST_PROPERTIES = 40
"""Cards of the properties page."""


@dataclass(frozen=True, slots=True)
class Choice:
    words: str
    url: str
    is_this: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one chart: how wide of twelve columns, where its content is loaded from."""

    key: str
    title: str
    span: int
    url: str
    is_list: bool = False
    choices: tuple[Choice, ...] = ()
    """Other dimensions it can be split by."""
    chosen: str = ""
    page: str = ""
    """Where its title leads."""
    hides: str = ""
    """The property a button beside the title hides."""


def slot(view: View, key: str, span: int, *, by: str = "", more: Sequence[Leaf] = (), **fields: Any) -> Slot:
    known = CHARTS.get(key) or TOPS[key]
    return Slot(
        key, fields.pop("title", known.title), span, fragment_link("chart", view, key, more=more, by=by),
        is_list=key in TOPS, **fields,
    )  # fmt: skip


def choices(
    request: OrganizationRequest, parameter: str, offered: Sequence[tuple[str, str]], chosen: str
) -> tuple[Choice, ...]:
    return tuple(
        Choice(words, with_parameters(request, **{parameter: value}), value == chosen) for value, words in offered
    )


def property_keys(view: View) -> list[str]:
    """The commonest first, those the gateway writes itself behind all others."""
    try:
        keys = hiding.shown_keys(view.organization_id, limit=MOST_PROPERTIES)
    except TooSlow:
        return []
    return sorted(keys, key=lambda key: key.startswith(WRITTEN_HERE))


class Chosen(NamedTuple):
    """What a page's charts are split by, and the property whose values one of them shows; empty where there is none."""

    by: str
    splits: tuple[Choice, ...]
    named: str
    values: tuple[Choice, ...]


def chosen(request: OrganizationRequest, keys: Sequence[str]) -> Chosen:
    """As the address says, of what can be chosen."""
    by, named = request.GET.get("by", ""), request.GET.get("values", "")
    by = by if is_dimension(by) else "model"
    named = named if is_dimension(PROPERTY + named) else next(iter(keys), "")
    splits = [(one, dimension(one).words) for one in (*SPLITS, *(PROPERTY + key for key in keys))]
    of_values = choices(request, "values", [(key, key) for key in keys], named)
    return Chosen(by, choices(request, "by", splits, by), named, of_values)


def dashboard(request: OrganizationRequest, view: View) -> dict[str, Any]:
    keys = property_keys(view)
    by, splits, named, values = chosen(request, keys)
    slots = [
        slot(view, "requests", 6),
        slot(view, "cost", 6, by=by, choices=splits, chosen=by),
        slot(view, "duration", 6), slot(view, "ttft", 6),
        slot(view, "tokens", 6), slot(view, "cache-savings", 6, page=page_link("cache", view)),
        slot(view, "top-models", 3, page=page_link("models", view)),
        slot(view, "top-users", 3, page=page_link("users", view)),
        *([slot(view, "top-values", 3, by=PROPERTY + named, choices=values, chosen=PROPERTY + named,
                 title=f"Top values of {named}", page=page_link("property", view, named))] if named else
          [slot(view, "top-providers", 3)]),
        slot(view, "errors", 3),
    ]  # fmt: skip
    return {
        "slots": slots, "figures": fragment_link("figures", view),
        "compare": with_parameters(request, compare=None if view.compares else "1"),
    }  # fmt: skip


def found_by(request: OrganizationRequest) -> str:
    """What a name has to hold, as the page's search box says."""
    return request.GET.get("find", "").replace("\x00", "").strip()


def users(request: OrganizationRequest, view: View) -> dict[str, Any]:
    return {**_table(request, view, tables.USERS), "find": found_by(request)}


def models_asked(request: OrganizationRequest) -> tables.Kind:
    """The table of the models page; `?by=model` tells versions of different dates apart."""
    return tables.VERSIONS if request.GET.get("by") == tables.VERSIONS.by[0] else tables.MODELS


def models(request: OrganizationRequest, view: View) -> dict[str, Any]:
    kind = models_asked(request)
    by = kind.by[0]
    slots = [slot(view, key, 4, by=by) for key in ("requests-by", "cost", "duration-by")]
    picked = [value for value in request.GET.getlist(by) if value]
    kept = [(k, v) for k, v in view.without(by, "rows", "add_key")]
    other = None if kind is tables.VERSIONS else tables.VERSIONS.by[0]
    return {**_table(request, view, kind), "slots": slots, "picked": picked, "kept": kept,
            "is_apart": kind is tables.VERSIONS, "other": with_parameters(request, by=other)}  # fmt: skip


def user(request: OrganizationRequest, view: View, user_id: str) -> dict[str, Any]:
    own = condition("user", user_id)
    return {
        "user_id": user_id, "figures": fragment_link("figures", view, more=(own,)),
        "slots": [slot(view, "requests", 6, more=(own,)), slot(view, "cost", 6, by="model", more=(own,)),
                  slot(view, "tokens", 4, more=(own,)), slot(view, "duration", 4, more=(own,)),
                  slot(view, "top-models", 4, more=(own,))],
        "requests_url": requests_link(view, (own,)),
        "rows_url": requests_link(view, (own,), path=reverse("request-rows"), extra={"size": "25", "live": "0"}),
        "compare": with_parameters(request, compare=None if view.compares else "1"),
    }  # fmt: skip


def properties(request: OrganizationRequest, view: View) -> dict[str, Any]:
    keys = property_keys(view)
    slots = [
        slot(view, "top-values", 4, by=PROPERTY + key, title=key, page=page_link("property", view, key), hides=key)
        for key in keys
    ]  # fmt: skip
    hidden = [(key, page_link("property", view, key)) for key in hiding.hidden(view.organization_id)]
    return {"slots": slots, "keys": keys, "hidden_keys": hidden,
            "may_hide": is_at_least(request.membership.role, Role.MEMBER)}  # fmt: skip


def property_page(request: OrganizationRequest, view: View, name: str) -> dict[str, Any]:
    by = PROPERTY + name
    slots = [slot(view, "requests-by", 6, by=by), slot(view, "cost", 6, by=by)]
    others = [(key, page_link("property", view, key), key == name) for key in property_keys(view)]
    return {**_table(request, view, tables.property_values(by)), "name": name, "slots": slots, "others": others}


def _table(request: OrganizationRequest, view: View, kind: tables.Kind) -> dict[str, Any]:
    if view.asked.complaint:
        return {"table": None}
    try:
        found = counted_table(request, kind, view)
    except (TooSlow, BadQuestion) as error:
        return {"table": None, "trouble": str(error)}
    return {"table": found, "csv": with_parameters(request, format="csv")}


def counted_table(request: OrganizationRequest, kind: tables.Kind, view: View, *, length: int = 0) -> tables.Table:
    """The table, of names that hold what is searched for. Raises TooSlow, BadQuestion."""
    if kind is tables.USERS and (find := found_by(request)):
        view = view.narrowed(Leaf("user", "~", find))
    if kind.key != tables.VALUES.key:
        return tables.table(request, kind, view, length=length)
    wants_p95 = request.GET.get("p95") == "1" or request.GET.get("sort") == tables.P95_READ.key
    if length or wants_p95 or lengths.are_few(view):
        return tables.table(request, replace(kind, columns=(*kind.columns, tables.P95_READ)), view, length=length)
    return replace(tables.table(request, kind, view), p95=with_parameters(request, p95="1"))
