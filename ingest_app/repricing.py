"""Prices stored requests again: a look first, then in bounded slices, and back again where asked.

Every slice is one transaction: the rows, the sums made of them, what they cost before, and the run's place. So sums
agree with rows at every moment, wherever a run is stopped, and going on neither repeats nor leaves out a row. Rows
come in key order, as the line takes them, and are waited for a short time only: the line goes first.

    previewing → previewed → applying → applied → undoing → undone
                                 ⇅ paused             (cancelled: from any of them but the last)
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, timedelta
from typing import Any

import psycopg

from ingest_app import store_repricing as runs
from ingest_app.store_repricing import Run
from lib.clock import now
from lib.frozen import replace
from llm.pricing import PriceBook
from metrics_app import rollup as counts
from requests_app import prices, store_costs
from requests_app.columns import LARGEST_COST, integer
from requests_app.recharge import STATED, charge_again
from requests_app.rows import Change, RequestRow
from requests_app.store import Db
from sessions_app import rollup as sessions

log = logging.getLogger("ingest.repricing")

WINDOW = 2_000
"""Rows looked through in a slice; at most as many are held."""
LOOK_SECONDS = 1.5
"""Of a look between two times its findings are written down."""
LINE_SECONDS = 10.0
"""Until then the line has read the prices a run was asked for with: what it stores behind the run's place costs the
same as if the run had come by."""
LOCK_TIMEOUT = "500ms"
"""Shorter than Postgres's deadlock_timeout: where line and run wait for each other, the run gives way."""
PAUSE_SECONDS = 0.3
MOST_FOUND = 5_000
"""Models and days a look keeps apart; of more, models are summed over all days."""
LOCK = 7705

Step = Callable[[Db, Run, PriceBook], Run]


def work(connection: Db, *, seconds: float, on_end: Callable[[int], None] = lambda _: None) -> bool:
    """Goes on with what is waiting, in turns; answers whether anything is left. `connection` is in autocommit.

    `on_end` is told the number of a run that has come to an end, once that is committed.

    One worker at a time: beside another it leaves at once.
    """
    if connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone() != (True,):
        return True
    try:
        runs.forget_old(connection)
        return _in_turns(connection, time.monotonic() + seconds, on_end)
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))


def _in_turns(connection: Db, until: float, on_end: Callable[[int], None]) -> bool:
    book, stamp = PriceBook(()), ""
    while waiting := runs.waiting(connection, applied_before=now() - timedelta(seconds=LINE_SECONDS)):
        if (current := str(tuple(prices.stamp(connection)))) != stamp:
            book, stamp = prices.load_book(connection), current
        for run_id in waiting:
            if time.monotonic() > until:
                return True
            if step(connection, run_id, book) in runs.ENDS:
                on_end(run_id)
    return False


def step(connection: Db, run_id: int, book: PriceBook) -> str:
    """One slice of a run; answers its state after, or nothing. One that fails by itself is stopped, and says so."""
    try:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            run = runs.hold(connection, run_id)
            after = _STEPS[run.state](connection, run, book) if run else None
        return after.state if after else ""
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        time.sleep(PAUSE_SECONDS)
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except Exception as error:
        log.exception("repricing stopped run=%s", run_id)
        runs.fail(connection, run_id, f"{type(error).__name__}: {error}".partition("\n")[0])
    return ""


# --- the price of a row now -------------------------------------------------------------------------------------------


def recharged(row: RequestRow, book: PriceBook) -> RequestRow:
    """The row as the book prices it; the row itself where only the price row's number would be another."""
    charge = charge_again(row, book)
    cost, estimate = integer(charge.nano_usd, LARGEST_COST), integer(charge.estimated_nano_usd, LARGEST_COST)
    if (cost, charge.reason, estimate) == (row.cost_nano_usd, row.cost_reason, row.estimated_cost_nano_usd):
        return row
    return replace(
        row, cost_nano_usd=cost, cost_reason=charge.reason, price_id=charge.price_id, estimated_cost_nano_usd=estimate
    )


# --- looking ----------------------------------------------------------------------------------------------------------

FOUND = (
    "provider", "model", "day", "requests", "changed", "newly_priced", "newly_unpriced", "still_unpriced", "stated",
    "old_nano_usd", "new_nano_usd",
)  # fmt: skip
"""Of each row of a look's findings; the first three are its key."""

_Found = dict[tuple[str, str, str], list[int]]


def _look(connection: Db, run: Run, book: PriceBook) -> Run:
    if not run.place_at and not run.seen:
        run = replace(run, total=store_costs.count(connection, run.extent),
                      price_stamp=str(tuple(prices.stamp(connection))))
    found: _Found = {(row[0], row[1], row[2]): row[3:] for row in run.found}
    until, seen, place, is_end = time.monotonic() + LOOK_SECONDS, run.seen, run.place, False
    while not is_end and time.monotonic() < until:
        window = store_costs.window(connection, run.extent, after=place, size=WINDOW)
        for row in store_costs.rows(connection, run.extent, after=place, end=window.end):
            _tell(found, row, recharged(row, book))
        seen, is_end, place = seen + window.seen, window.end is None, window.end or place
    is_cut = run.found_is_cut or len(found) > MOST_FOUND
    run = replace(
        run, seen=seen, place_at=place[0], place_id=place[1], found_is_cut=is_cut,
        found=[[*key, *amounts] for key, amounts in sorted((_summed(found) if is_cut else found).items())],
    )  # fmt: skip
    if is_end:
        run = replace(run, state="previewed", total=seen, seen=0, place_at=None, place_id=None)
    runs.save(connection, run)
    return run


def _tell(found: _Found, before: RequestRow, after: RequestRow) -> None:
    day = before.requested_at.astimezone(UTC).date().isoformat()
    amounts = found.setdefault((before.provider, before.model or "", day), [0] * (len(FOUND) - 3))
    old, new = before.cost_nano_usd, after.cost_nano_usd
    for place, amount in enumerate((
        1, old != new, old is None and new is not None, old is not None and new is None, new is None,
        before.cost_reason in STATED, old or 0, new or 0,
    )):  # fmt: skip
        amounts[place] += amount


def _summed(found: _Found) -> _Found:
    """By model alone; its day is empty."""
    sums: _Found = {}
    for (provider, model, _), amounts in found.items():
        known = sums.setdefault((provider, model, ""), [0] * len(amounts))
        sums[provider, model, ""] = [one + other for one, other in zip(known, amounts, strict=True)]
    return sums


# --- applying, undoing ------------------------------------------------------------------------------------------------


def _apply(connection: Db, run: Run, book: PriceBook) -> Run:
    window = store_costs.window(connection, run.extent, after=run.place, size=WINDOW)
    rows = store_costs.rows(connection, run.extent, after=run.place, end=window.end)
    places = [(row.requested_at, row.id) for row in rows if recharged(row, book) is not row]
    changes = [
        Change(before, after)
        for before in store_costs.locked(connection, run.organization_id, places)
        if not (run.only_unpriced and before.cost_nano_usd is not None)
        and (after := recharged(before, book)) is not before
    ]
    _write(connection, run, changes)
    runs.remember(connection, run.id, changes)
    run = replace(run, seen=run.seen + window.seen, changed=run.changed + len(changes))
    if window.end is None:
        run = replace(run, state="applied", place_at=None, place_id=None)
        runs.save(connection, run)
    else:
        run = replace(run, place_at=window.end[0], place_id=window.end[1])
        runs.advance(connection, run)
    return run


def _undo(connection: Db, run: Run, book: PriceBook) -> Run:
    remembered = runs.remembered(connection, run.id, limit=WINDOW)
    by_place = {one.place: one for one in remembered}
    changes = []
    for before in store_costs.locked(connection, run.organization_id, list(by_place)):
        old = by_place[before.requested_at, before.id]
        if old.is_as_set(before):
            changes.append(Change(before, replace(
                before, cost_nano_usd=old.cost_nano_usd, cost_reason=old.cost_reason, price_id=old.price_id,
                estimated_cost_nano_usd=old.estimated_cost_nano_usd,
            )))  # fmt: skip
    _write(connection, run, changes)
    if remembered:
        runs.unremember(connection, run.id, to=remembered[-1].place)
    left = len(remembered) - len(changes)
    run = replace(run, undone=run.undone + len(changes), left_alone=run.left_alone + left)
    if len(remembered) < WINDOW:
        run = replace(run, state="undone")
        runs.save(connection, run)
    else:
        runs.advance(connection, run)
    return run


def _write(connection: Db, run: Run, changes: Sequence[Change]) -> None:
    """Rows, then deltas, then sessions: the order of locks of every line."""
    store_costs.set_costs(connection, run.organization_id, [change.after for change in changes if change.after])
    if changes:
        counts.write(connection, changes)
        sessions.apply(connection, changes)


_STEPS: dict[str, Step] = {"previewing": _look, "applying": _apply, "undoing": _undo}


def findings(found: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Each row of a look's findings by name."""
    return [dict(zip(FOUND, row, strict=True)) for row in found]
