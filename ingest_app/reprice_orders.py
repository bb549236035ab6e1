"""What members order of repricing runs; every order is written down. The worker carries them out.

    BadOrder    what was asked for cannot be, or not now; the message says why
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import psycopg
from django.db import connection, transaction
from django.db.models import QuerySet

from accounts_app import audit
from ingest_app import repricing
from ingest_app.models import Repricing
from ingest_app.reprice_words import words
from ingest_app.store_repricing import UNDO_DAYS
from lib.clock import now
from lib.frozen import dataclass
from lib.postgres import conninfo
from requests_app import prices
from requests_app.price_rules import Author
from requests_app.store_costs import Extent

State = Repricing.State
FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
MOST_NAMES, LONGEST_NAME = 200, 500
WORKING: Final = (State.PREVIEWING, State.APPLYING, State.UNDOING)
UNFINISHED: Final = (State.APPLYING, State.PAUSED, State.UNDOING)


class BadOrder(ValueError):
    """The message is a sentence for whoever asked."""


def runs(organization_id: int) -> QuerySet[Repricing]:
    """Newest first."""
    return Repricing.objects.filter(organization_id=organization_id).order_by("-created_at", "-id")


@transaction.atomic
def look(by: Author, extent: Extent) -> Repricing:
    """A new run, that looks first. Raises BadOrder."""
    until = min(extent.until, now())
    if extent.since >= until:
        raise BadOrder("The period ends before it starts.")
    for names in (extent.models, extent.providers):
        if len(names) > MOST_NAMES or any(len(name) > LONGEST_NAME or "\x00" in name for name in names):
            raise BadOrder(f"At most {MOST_NAMES} models and providers, of {LONGEST_NAME} characters each.")
    if runs(by.organization_id).filter(state__in=UNFINISHED).exists():
        raise BadOrder("Another run is not finished yet: let it end, or cancel it.")
    runs(by.organization_id).filter(state=State.PREVIEWING).update(state=State.CANCELLED)
    made = Repricing.objects.create(
        organization_id=by.organization_id, created_by_id=by.user.pk if by.user else None, since=extent.since,
        until=until, model_names=list(extent.models), provider_names=list(extent.providers),
        only_unpriced=extent.only_unpriced,
    )  # fmt: skip
    _told(by, "repricing previewed", made)
    transaction.on_commit(partial(_begin, made.pk))
    return made


@dataclass(frozen=True, slots=True)
class Order:
    """From which states it may be given, and what is written down."""

    froms: Sequence[str]
    action: str
    refusal: str


ORDERS: Final[Mapping[str, Order]] = {
    "apply": Order((State.PREVIEWED,), "repricing started", "Only what has been looked at can be applied."),
    "again": Order((State.PREVIEWED,), "repricing previewed", "Only a finished look can be made again."),
    "pause": Order((State.APPLYING, State.UNDOING), "repricing paused", "Only a run under way can be paused."),
    "resume": Order((State.PAUSED,), "repricing resumed", "Only a paused run can be resumed."),
    "cancel": Order(
        (State.PREVIEWING, State.PREVIEWED, State.APPLYING, State.PAUSED), "repricing cancelled",
        "This run has ended already.",
    ),
    "undo": Order(
        (State.APPLIED, State.CANCELLED, State.PAUSED), "repricing undone", "There is nothing to undo, or not any more."
    ),
}  # fmt: skip


@transaction.atomic
def order(by: Author, run_id: int, what: str) -> Repricing:
    """Gives a run an order. Raises BadOrder, Repricing.DoesNotExist."""
    run = runs(by.organization_id).select_for_update().get(pk=run_id)
    said = ORDERS[what]
    if run.state not in said.froms:
        raise BadOrder(said.refusal)
    for name, value in _changes(run, what).items():
        setattr(run, name, value)
    run.save()
    _told(by, said.action, run)
    return run


def _changes(run: Repricing, what: str) -> Mapping[str, Any]:
    """What an order sets. Raises BadOrder."""
    match what:
        case "apply":
            return _apply(run)
        case "again":
            return _AGAIN
        case "pause":
            return {"state": State.PAUSED, "resume_as": run.state}
        case "resume":
            return {"state": run.resume_as or State.APPLYING, "error": ""}
        case "cancel":
            if run.state == State.PAUSED and run.resume_as == State.UNDOING:
                raise BadOrder("This run is being undone: resume it.")
            undo_until = now() + timedelta(days=UNDO_DAYS) if run.changed else None
            return {"state": State.CANCELLED, "finished_at": now(), "undo_until": undo_until}
    if not may_undo(run):
        raise BadOrder(ORDERS["undo"].refusal)
    return {"state": State.UNDOING, "error": ""}


_AGAIN: Final[Mapping[str, Any]] = {
    "state": State.PREVIEWING, "place_at": None, "place_id": None, "seen": 0, "found": [], "found_is_cut": False,
}  # fmt: skip


def _apply(run: Repricing) -> dict[str, Any]:
    if run.price_stamp != str(tuple(prices.stamp(connection))):
        raise BadOrder("Prices have changed since this look: look again, then apply.")
    if runs(run.organization_id).filter(state__in=UNFINISHED).exists():
        raise BadOrder("Another run is not finished yet: let it end, or cancel it.")
    return {"state": State.APPLYING, "seen": 0, "place_at": None, "place_id": None}


def may_undo(run: Repricing) -> bool:
    is_in_time = run.undo_until is None or run.undo_until > now()
    return run.state in ORDERS["undo"].froms and run.changed > run.undone + run.left_alone and is_in_time


def _told(by: Author, action: str, run: Repricing) -> None:
    audit.record(by.organization_id, by.user, action, **words(run))


def _begin(run_id: int) -> None:
    """The first part of a look, here and now: most are done by then. The worker goes on with the others."""
    described = conninfo(connection.settings_dict, application="repricing")
    with psycopg.connect(described, autocommit=True) as db:
        repricing.step(db, run_id, prices.load_book(db))


# --- what a look has found --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sums:
    provider: str
    model: str
    day: str = ""
    requests: int = 0
    changed: int = 0
    newly_priced: int = 0
    newly_unpriced: int = 0
    still_unpriced: int = 0
    stated: int = 0
    old_nano_usd: int = 0
    new_nano_usd: int = 0

    @property
    def difference(self) -> int:
        return self.new_nano_usd - self.old_nano_usd

    @property
    def old_cost(self) -> int | None:
        """None where no request had a cost."""
        unpriced = self.newly_priced + self.still_unpriced - self.newly_unpriced
        return self.old_nano_usd if self.requests > unpriced else None

    @property
    def new_cost(self) -> int | None:
        return self.new_nano_usd if self.requests > self.still_unpriced else None

    def add(self, row: Mapping[str, Any]) -> None:
        for name in repricing.FOUND[3:]:
            setattr(self, name, getattr(self, name) + row[name])


def by_model(found: Sequence[Sequence[Any]]) -> list[Sums]:
    """The largest differences first."""
    sums: dict[tuple[str, str], Sums] = {}
    for row in repricing.findings(found):
        sums.setdefault((row["provider"], row["model"]), Sums(row["provider"], row["model"])).add(row)
    return sorted(sums.values(), key=lambda one: (-abs(one.difference), -one.changed, -one.requests, one.model))


def by_day(found: Sequence[Sequence[Any]]) -> list[Sums]:
    """Each model's days on which anything changes, the newest first."""
    rows = [Sums(**row) for row in repricing.findings(found) if row["changed"]]
    return sorted(rows, key=lambda one: (one.day, abs(one.difference)), reverse=True)


def total(found: Sequence[Sequence[Any]]) -> Sums:
    sums = Sums("", "")
    for row in repricing.findings(found):
        sums.add(row)
    return sums
