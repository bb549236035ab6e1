"""Repricing runs as the worker sees them: which goes on, where it stands, and what it has changed.

A run's place moves in the transaction of the rows it is about. Killed anywhere, it goes on where the last transaction
ended: no row is done twice, none is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from psycopg.rows import dict_row, tuple_row
from psycopg.types.json import Jsonb

from lib.frozen import dataclass
from requests_app.rows import Change, RequestRow
from requests_app.store import Db
from requests_app.store_costs import START, Extent, Place

ACTIVE = ("previewing", "applying", "undoing")
ENDS = ("applied", "undone")
UNDO_DAYS = 30
FORGOTTEN_AT_ONCE = 5_000

_COLUMNS = (
    "id, organization_id, since, until, model_names, provider_names, only_unpriced, state, place_at, place_id, total, "
    "seen, changed, undone, left_alone, found, found_is_cut, price_stamp, created_at"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One row of `repricing`, held by this transaction."""

    id: int
    organization_id: int
    since: datetime
    until: datetime
    model_names: Sequence[str]
    provider_names: Sequence[str]
    only_unpriced: bool
    state: str
    place_at: datetime | None
    place_id: UUID | None
    total: int
    seen: int
    changed: int
    undone: int
    left_alone: int
    found: list[list[Any]]
    found_is_cut: bool
    price_stamp: str
    created_at: datetime

    @property
    def extent(self) -> Extent:
        return Extent(
            self.organization_id, self.since, self.until, self.model_names, self.provider_names,
            only_unpriced=self.only_unpriced,
        )  # fmt: skip

    @property
    def place(self) -> Place:
        return (self.place_at, self.place_id) if self.place_at and self.place_id else START


def waiting(connection: Db, *, applied_before: datetime) -> list[int]:
    """Runs with something to do, who has waited longest first; what was asked for after a moment is not applied yet."""
    rows = connection.execute(
        "SELECT id FROM repricing WHERE state = ANY(%s) AND (state <> 'applying' OR created_at < %s) "
        "ORDER BY changed_at, id",
        (list(ACTIVE), applied_before),
    )
    return [found for (found,) in rows.fetchall()]


def hold(connection: Db, run_id: int) -> Run | None:
    """The run, until the transaction ends; None where somebody has stopped it, or another worker has it."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            f"SELECT {_COLUMNS} FROM repricing WHERE id = %s AND state = ANY(%s) FOR UPDATE SKIP LOCKED",  # noqa: S608
            (run_id, list(ACTIVE)),
        ).fetchone()
    return Run(**found) if found else None


def save(connection: Db, run: Run) -> None:
    """How far it is. A finished run is dated, and kept to be undone for UNDO_DAYS."""
    is_finished = run.state not in ACTIVE
    connection.execute(
        "UPDATE repricing SET state = %s, place_at = %s, place_id = %s, total = %s, seen = %s, changed = %s, "
        "undone = %s, left_alone = %s, found = %s, found_is_cut = %s, price_stamp = %s, changed_at = now(), "
        "finished_at = CASE WHEN %s THEN now() END, "
        "undo_until = CASE WHEN %s THEN now() + %s ELSE undo_until END WHERE id = %s",
        (
            run.state, run.place_at, run.place_id, run.total, run.seen, run.changed, run.undone, run.left_alone,
            Jsonb(run.found, orjson.dumps), run.found_is_cut, run.price_stamp, is_finished, run.state == "applied",
            timedelta(days=UNDO_DAYS), run.id,
        ),
    )  # fmt: skip


def advance(connection: Db, run: Run) -> None:
    """The same for a run under way, without what it found: that would be written again with every slice."""
    connection.execute(
        "UPDATE repricing SET place_at = %s, place_id = %s, seen = %s, changed = %s, undone = %s, left_alone = %s, "
        "changed_at = now() WHERE id = %s",
        (run.place_at, run.place_id, run.seen, run.changed, run.undone, run.left_alone, run.id),
    )


def fail(connection: Db, run_id: int, reason: str) -> None:
    """Stops a run that cannot go on; a member may let it try again."""
    connection.execute(
        "UPDATE repricing SET state = CASE state WHEN 'previewing' THEN 'cancelled' ELSE 'paused' END, "
        "resume_as = state, error = %s, changed_at = now() WHERE id = %s AND state = ANY(%s)",
        (reason[:500], run_id, list(ACTIVE)),
    )


# --- what was changed -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a row cost before a run, and what the run set."""

    place: Place
    cost_nano_usd: int | None
    cost_reason: str
    price_id: int | None
    estimated_cost_nano_usd: int | None
    set_cost: int | None
    set_reason: str
    set_price: int | None

    def is_as_set(self, row: RequestRow) -> bool:
        return (row.cost_nano_usd, row.cost_reason, row.price_id) == (self.set_cost, self.set_reason, self.set_price)


def remember(connection: Db, run_id: int, changes: Sequence[Change]) -> None:
    """Before and after of each row."""
    pairs = [(change.before, change.after) for change in changes if change.before and change.after]
    if not pairs:
        return
    with connection.cursor() as cursor, cursor.copy(
        "COPY repriced_row (repricing_id, requested_at, id, cost_nano_usd, cost_reason, price_id, "
        "estimated_cost_nano_usd, new_cost_nano_usd, new_cost_reason, new_price_id) FROM STDIN (FORMAT BINARY)"
    ) as copy:
        copy.set_types(["int8", "timestamptz", "uuid", "int8", "text", "int8", "int8", "int8", "text", "int8"])
        for old, new in pairs:
            copy.write_row((
                run_id, old.requested_at, old.id, old.cost_nano_usd, old.cost_reason, old.price_id,
                old.estimated_cost_nano_usd, new.cost_nano_usd, new.cost_reason, new.price_id,
            ))


def remembered(connection: Db, run_id: int, *, limit: int) -> list[Remembered]:
    """The first of a run's, in key order."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            "SELECT requested_at, id, cost_nano_usd, cost_reason, price_id, estimated_cost_nano_usd, "
            "new_cost_nano_usd, new_cost_reason, new_price_id FROM repriced_row WHERE repricing_id = %s "
            "ORDER BY requested_at, id LIMIT %s",
            (run_id, limit),
        )
        return [Remembered((at, identifier), *rest) for at, identifier, *rest in cursor]


def unremember(connection: Db, run_id: int, *, to: Place) -> None:
    """Takes them off the list, from the first to a place."""
    connection.execute(
        "DELETE FROM repriced_row WHERE repricing_id = %s AND (requested_at, id) <= (%s, %s)", (run_id, *to)
    )


def forget_old(connection: Db) -> int:
    """Removes some of what can no longer be undone; answers how many rows went."""
    return connection.execute(
        "DELETE FROM repriced_row WHERE (repricing_id, requested_at, id) IN (SELECT w.repricing_id, w.requested_at, "
        "w.id FROM repriced_row w JOIN repricing r ON r.id = w.repricing_id AND r.undo_until < now() "
        "AND r.state <> 'undoing' LIMIT %s)",
        (FORGOTTEN_AT_ONCE,),
    ).rowcount
