"""Filters somebody named: a page's address without its place, seen by their maker or by all members.

CannotSave    without a name, or too long
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import QueryDict

from accounts_app import audit
from accounts_app.models import Membership, Role
from accounts_app.permissions import is_at_least
from requests_app import asking, filter_json, filter_url
from requests_app.asking import Asked
from requests_app.filters import FilterError
from requests_app.models import SavedFilter

LONGEST_NAME, LONGEST_QUERY = 200, 8_000
MOST_OFFERED = 200
SAFE = "/:<>=*!~@"
NOT_SAVED = frozenset({*asking.PLACE, *asking.ADDING, "live", "csrfmiddlewaretoken", "after", "after_id"})


class CannotSave(ValueError):
    """The message says why."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A saved view as one page shows it. Of another page it is its conditions, with this page's range."""

    id: int
    name: str
    url: str
    is_this: bool
    is_shared: bool
    may_delete: bool
    page: str
    """The page it was saved on, where that is another; empty for this one."""


def offered(membership: Membership, page: str, asked: Asked) -> list[Offer]:
    """This page's own first. What says nothing elsewhere is offered on its own page only."""
    mine_or_shared = Q(is_shared=True) | Q(created_by_id=membership.user_id)
    found = SavedFilter.objects.filter(mine_or_shared, organization_id=membership.organization_id)
    here = cleaned(asked.parameters.urlencode())
    offers = []
    for one in found.order_by("name", "id")[:MOST_OFFERED]:
        is_own = one.page == page and bool(one.query)
        query = one.query if is_own else _conditions_with(one, asked)
        if query is not None:
            url = f"{asked.home}?{query}"
            may_delete = one.created_by_id == membership.user_id or (
                one.is_shared and is_at_least(membership.role, Role.ADMIN)
            )
            offers.append(
                Offer(one.pk, one.name, url, query == here, one.is_shared, may_delete, "" if is_own else one.page)
            )
    return sorted(offers, key=lambda offer: bool(offer.page))


def _conditions_with(saved: SavedFilter, asked: Asked) -> str | None:
    """Its conditions beside the range this address asks; None where it has none this page knows."""
    said = QueryDict(mutable=True)
    for key in ("range", "from", "to"):
        if value := asked.parameters.get(key):
            said[key] = value
    conditions = [(key, value) for key, value in _conditions(saved) if key not in asked.page_keys]
    for key, value in conditions:
        said.appendlist(key, value)
    return said.urlencode(safe=SAFE) if conditions else None


def _conditions(saved: SavedFilter) -> list[tuple[str, str]]:
    if not saved.query:
        try:
            return filter_url.dump(filter_json.parse(saved.tree))
        except FilterError:
            return []
    said = QueryDict(saved.query)
    return [(key, value) for key, values in said.lists() for value in values if filter_url.is_condition(key)]


def save(by: Membership, name: str, *, page: str, query: str, is_shared: bool) -> SavedFilter:
    """One of the same name by the same person is replaced. Raises CannotSave."""
    name, text = name.replace("\x00", "").strip(), cleaned(query)
    if not name or len(name) > LONGEST_NAME:
        raise CannotSave(f"A view needs a name of at most {LONGEST_NAME} characters.")
    if not text or len(text) > LONGEST_QUERY:
        raise CannotSave("There is nothing to save: choose a filter, a range or columns first.")
    made, _ = SavedFilter.objects.update_or_create(
        organization_id=by.organization_id, created_by_id=by.user_id, page=page, name=name,
        defaults={"query": text, "is_shared": is_shared and is_at_least(by.role, Role.MEMBER), "tree": None},
    )  # fmt: skip
    return made


def cleaned(query: str) -> str:
    """The query string without what is only a place in the list."""
    said = QueryDict(query.replace("%00", ""), mutable=True)
    for key in NOT_SAVED:
        said.pop(key, None)
    return said.urlencode(safe=SAFE)


def remove(by: Membership, filter_id: int) -> bool:
    """One's own; an admin any that is shared."""
    allowed = Q(created_by_id=by.user_id)
    if is_at_least(by.role, Role.ADMIN):
        allowed |= Q(is_shared=True)
    found = SavedFilter.objects.filter(allowed, organization_id=by.organization_id, pk=filter_id).first()
    if found is None:
        return False
    found.delete()
    if found.created_by_id != by.user_id:
        audit.record(by.organization_id, by.user, "view deleted", name=found.name)
    return True


def helicone_tree(saved: SavedFilter) -> Any:
    """The filter in Helicone's JSON: as it was given, or made of the page's own; "all" where it says none."""
    if saved.tree is not None:
        return saved.tree
    said = QueryDict(mutable=True)
    for key, value in _conditions(saved):
        said.appendlist(key, value)
    try:
        return filter_json.dump(filter_url.parse(said))
    except FilterError:
        return "all"
