"""The unpriced inbox: what has no cost and why, who sends it, whether a price is there by now, what was dismissed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from django.db import connection, transaction

from accounts_app import audit
from accounts_app.models import ApiKey, Membership
from llm.pricing import PriceBook, PriceRow
from requests_app import prices, queries_unpriced
from requests_app.models import Dismissal
from requests_app.queries_unpriced import Group

What = Literal["no_price", "no_usage", "usage_key"]
SECTIONS: Final[tuple[What, ...]] = ("no_price", "no_usage", "usage_key")
LONGEST = 500
KEYS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a section; `name` is a model, or a usage key."""

    what: What
    provider: str
    name: str
    requests: int
    first_at: datetime
    last_at: datetime
    example: UUID | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    is_stream: bool = False
    price: PriceRow | None = None
    """A price that would fit by now."""
    senders: tuple[tuple[str, int], ...] = ()
    """Names of the API keys it came by, and how often."""
    is_dismissed: bool = False


@dataclass(frozen=True, slots=True)
class Inbox:
    sections: Mapping[What, Sequence[Entry]]
    dismissed: int
    """Entries not shown because somebody dismissed them."""

    @property
    def is_empty(self) -> bool:
        return not any(self.sections.values())

    @property
    def requests(self) -> int:
        return sum(entry.requests for what in ("no_price", "no_usage") for entry in self.sections[what])


def read(organization_id: int, since: datetime, *, with_dismissed: bool = False) -> Inbox:
    """Raises TooSlow."""
    book = prices.load_book(connection)
    found = [_entry(group, book, organization_id) for group in queries_unpriced.groups(organization_id, since)]
    senders = _senders(organization_id, since) if any(entry.is_stream for entry in found) else {}
    found = [_with_senders(entry, senders) for entry in found]
    found += [
        Entry("usage_key", one.provider, one.key, one.requests, one.first_at, one.last_at, one.example)
        for one in queries_unpriced.unknown_usage_keys(organization_id, since)
    ]
    gone = dismissed(organization_id)
    marked = [_marked(entry) if (entry.what, entry.provider, entry.name) in gone else entry for entry in found]
    shown = [entry for entry in marked if with_dismissed or not entry.is_dismissed]
    sections = {what: [entry for entry in shown if entry.what == what] for what in SECTIONS}
    return Inbox(sections, sum(entry.is_dismissed for entry in marked))


def _entry(group: Group, book: PriceBook, organization_id: int) -> Entry:
    what: What = "no_usage" if group.reason == "no_usage" else "no_price"
    price = None
    if what == "no_price" and group.model:
        price = book.find(group.provider, group.model, at=group.last_at, organization_id=organization_id)
    return Entry(
        what, group.provider, group.model, group.requests, group.first_at, group.last_at, group.example,
        group.input_tokens, group.output_tokens, group.is_stream, price,
    )  # fmt: skip


def _senders(organization_id: int, since: datetime) -> Mapping[tuple[str, str], Sequence[tuple[str, int]]]:
    found = queries_unpriced.keys_of_silent_streams(organization_id, since)
    keys = ApiKey.objects.filter(organization_id=organization_id).in_bulk({key for _, _, key, _ in found if key})
    senders: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for provider, model, key, count in found:
        name = keys[key].name if key in keys else "a key that is gone" if key else "no key of ours"
        senders[provider, model].append((name, count))
    return senders


def _with_senders(entry: Entry, senders: Mapping[tuple[str, str], Sequence[tuple[str, int]]]) -> Entry:
    if not entry.is_stream:
        return entry
    return replace(entry, senders=tuple(senders.get((entry.provider, entry.name), ()))[:KEYS_NAMED])


def _marked(entry: Entry) -> Entry:
    return replace(entry, is_dismissed=True)


# --- dismissing -------------------------------------------------------------------------------------------------------


def dismissed(organization_id: int) -> set[tuple[str, str, str]]:
    found = Dismissal.objects.filter(organization_id=organization_id)
    return set(found.values_list("what", "provider", "name"))


@transaction.atomic
def dismiss(by: Membership, what: What, provider: str, *, name: str) -> None:
    key = {"organization_id": by.organization_id, "what": what, "provider": provider, "name": name}
    _, is_new = Dismissal.objects.get_or_create(**key, defaults={"created_by_id": by.user_id})
    if is_new:
        audit.record(by.organization_id, by.user, "unpriced dismissed", what=what, provider=provider, name=name)


@transaction.atomic
def restore(by: Membership, what: What, provider: str, *, name: str) -> None:
    found = Dismissal.objects.filter(organization_id=by.organization_id, what=what, provider=provider, name=name)
    if found.delete()[0]:
        audit.record(by.organization_id, by.user, "unpriced restored", what=what, provider=provider, name=name)
