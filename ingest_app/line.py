"""The line: what a batch goes through between spool and tables, step by step.

Each step takes a batch and gives one; it is timed and counted under its own name. Nothing here waits for a client.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from ingest_app import amendments, answered_later, forget, late_bodies, spans, store_events
from ingest_app.records import Amendment, Forget, ForgetWhere, LateBodies
from lib.frozen import dataclass
from llm.exchange import Exchange, ParsedExchange, PricedExchange
from llm.parse import parse
from llm.pricing import PriceBook
from metrics_app import rollup as counts
from requests_app import store
from requests_app.rows import Change
from sessions_app import rollup as sessions

DropReason = Literal["duplicate", "unreadable_record", "unstorable", "unclaimed_bodies"]


@dataclass(slots=True)
class Tally:
    """Seconds and items by step, drops by reason, since the process started."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    items: Counter[str] = field(default_factory=Counter)
    drops: Counter[DropReason] = field(default_factory=Counter)


def _nothing_to_settle(batch: Sequence[PricedExchange]) -> None:
    """Where there is no Redis: tests, tools."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What the steps work with."""

    connection: store.Db
    prices: PriceBook
    tally: Tally
    settle: Callable[[Sequence[PricedExchange]], None] = _nothing_to_settle
    """Counts what calls cost against the limits in cents they name."""


@dataclass(frozen=True, slots=True)
class Work:
    """A batch as read from the spool, by kind; each kind in the order it was spooled."""

    exchanges: Sequence[Exchange] = ()
    amendments: Sequence[Amendment] = ()
    bodies: Sequence[LateBodies] = ()
    forgets: Sequence[Forget] = ()

    def moments(self) -> set[datetime]:
        return {exchange.requested_at for exchange in self.exchanges}


def parsed(work: Work) -> list[ParsedExchange]:
    """The first step, which needs nothing but the batch. What the door read already, because it kept no bytes, is not
    read again."""
    batch = late_bodies.joined(work.exchanges, work.bodies)
    return [spans.placed(exchange, exchange.reading or parse(exchange)) for exchange in batch]


def price_all(batch: Sequence[ParsedExchange], bench: Bench) -> list[PricedExchange]:
    charge = bench.prices.charge
    return [PricedExchange(p.exchange, p.reading, charge(p.exchange, p.reading)) for p in batch]


def settle_all(batch: Sequence[PricedExchange], bench: Bench) -> Sequence[PricedExchange]:
    bench.settle(batch)
    return batch


def store_all(batch: Sequence[PricedExchange], bench: Bench) -> list[Change]:
    filled = spans.fill(bench.connection, batch)
    stored = store.store(bench.connection, filled.batch)
    bench.tally.drops["duplicate"] += stored.duplicates
    store_events.keep(bench.connection, [one.exchange for one in batch], stored.changes)
    changes = spans.settle(bench.connection, filled, stored, bench.prices)
    changes = answered_later.settle(bench.connection, changes, bench.prices)
    changes = late_bodies.settle(bench.connection, changes, bench.prices)
    return amendments.apply_pending(bench.connection, changes)


def roll_up(changes: Sequence[Change], bench: Bench) -> Sequence[Change]:
    """Deltas before sessions: one order of locks for every line."""
    counts.write(bench.connection, changes)
    sessions.apply(bench.connection, changes)
    return changes


Step = Callable[[Any, Bench], Sequence[Any]]
PRICING: tuple[tuple[str, Step], ...] = (("price", price_all), ("settle", settle_all))
"""Before the transaction."""
STORING: tuple[tuple[str, Step], ...] = (("store", store_all), ("roll_up", roll_up))
"""In one transaction."""


def run(work: Work, bench: Bench, read: Sequence[ParsedExchange] | None = None) -> Sequence[Change]:
    """The batch, stored and counted in one transaction. Running it twice changes nothing the second time.

    `read`: its exchanges, `parsed` before.
    """
    priced = _through(PRICING, parsed(work) if read is None else read, bench)
    with bench.connection.transaction():
        changes = _through(STORING, priced, bench)
        attached, dropped = late_bodies.apply(bench.connection, work.bodies, bench.prices)
        bench.tally.drops["unclaimed_bodies"] += dropped
        late = amendments.composed((
            *attached,
            *amendments.apply(bench.connection, work.amendments),
            *forget.apply(bench.connection, work.forgets),
        ))
        if late:
            _through(STORING[1:], late, bench)
    return (*changes, *late)


def carry_out(order: ForgetWhere, bench: Bench, *, after: forget.Place) -> forget.Place | None:
    """One slice of an order over many rows, in a transaction; answers where to go on, None at the end."""
    with bench.connection.transaction():
        done = forget.apply_where(bench.connection, order, after=after)
        if done.changes:
            _through(STORING[1:], done.changes, bench)
    bench.tally.items["forget"] += len(done.changes)
    return done.place


def promote(bench: Bench) -> int:
    """Steps that turned out to have called a model themselves; answers how many, in a transaction."""
    with bench.connection.transaction():
        answered_later.forget_old(bench.connection)
        bench.tally.drops["unclaimed_bodies"] += late_bodies.forget_old(bench.connection)
        promoted = spans.promote(bench.connection, bench.prices)
        changes = amendments.composed((*promoted, *amendments.apply_rootless(bench.connection)))
        if changes:
            _through(STORING[1:], changes, bench)
    return len(changes)


def _through(steps: Sequence[tuple[str, Step]], batch: Sequence[Any], bench: Bench) -> Sequence[Any]:
    for name, step in steps:
        bench.tally.items[name] += len(batch)
        started = time.perf_counter()
        batch = step(batch, bench)
        bench.tally.seconds[name] += time.perf_counter() - started
    return batch
