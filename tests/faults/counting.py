"""Lines and folders to be killed: `python -m tests.faults.counting line|fold <conninfo> <seed>`, until told to stop.

A line's batches follow from its seed, so one that is started again repeats what it wrote before it was killed. Lines
share exchanges, post some twice, some days late, and amend and erase each other's.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import psycopg

from ingest_app import amendments
from ingest_app.records import Amendment
from llm.exchange import Attribution, Charge, Exchange, PricedExchange, Reading, Usage
from metrics_app import fold, rollup
from requests_app import store
from requests_app.rows import Change

ORGANIZATIONS = (501, 502)
NAMES = UUID("0b5f2c1e-6f0b-4d0c-9a53-2d8f9f5a4c11")
BATCH = 40
SHARED = 400
"""Exchanges two lines may both have at a time."""


def start_of_today() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def exchange(number: int) -> PricedExchange:
    """The exchange of this number, the same in every process of a day; a tenth is up to two days late."""
    dice = random.Random(number)
    at = start_of_today() + timedelta(seconds=dice.randrange(86_400), microseconds=number)
    if dice.random() < 0.1:
        at -= timedelta(minutes=dice.randrange(2_880))
    made = Exchange(
        id=uuid5(NAMES, str(number)), organization_id=dice.choice(ORGANIZATIONS), requested_at=at, door="log",
        provider=dice.choice(["openai", "anthropic"]), status=dice.choice([200, 200, 200, 429, 500]),
        duration_ms=dice.choice([None, int(dice.lognormvariate(7, 1))]),
        time_to_first_token_ms=dice.choice([None, int(dice.lognormvariate(5, 1))]),
        attribution=Attribution(
            end_user_id=dice.choice([None, *"abcde"]), session_name=dice.choice([None, "triage"]),
            properties={"env": dice.choice(["prod", "dev"])} if dice.random() < 0.7 else {},
        ),
        country_code=dice.choice([None, "CH"]), api_key_id=dice.choice([None, 1, 2]),
    )  # fmt: skip
    usage = Usage(input_tokens=dice.choice([None, dice.randrange(2_000)]), output_tokens=dice.randrange(500))
    reading = Reading(kind=dice.choice(["llm", "llm", "llm", "tool"]), request_model=f"m-{number % 3}", usage=usage)
    return PricedExchange(made, reading, Charge(dice.choice([None, dice.randrange(10**8)]), "price"))


def batches(seed: int) -> Iterator[tuple[list[int], list[Amendment], Exchange]]:
    """Numbers of exchanges with repetitions, late facts about earlier ones, one to erase."""
    dice = random.Random(seed)
    base = 0
    while True:
        numbers = [base + dice.randrange(SHARED) for _ in range(BATCH)]
        numbers += dice.sample(numbers, 4)
        facts = [_fact(dice, exchange(max(base + dice.randrange(-SHARED, SHARED), 0))) for _ in range(6)]
        gone = exchange(max(base - dice.randrange(SHARED), 0)).exchange
        yield numbers, facts, gone
        base += BATCH


def _fact(dice: random.Random, about: PricedExchange) -> Amendment:
    one = about.exchange
    said = {"env": dice.choice(["prod", "dev", None]), "team": dice.choice(["x", "y", None])}
    at = one.requested_at + timedelta(seconds=dice.randrange(1_000))
    return Amendment(one.organization_id, one.id, at, said, None)


def run_line(connection: store.Db, seed: int) -> None:
    store.prepare(connection)
    for numbers, facts, gone in batches(seed):
        priced = [exchange(number) for number in numbers]
        while True:
            try:
                _store(connection, priced, facts, gone=gone)
                break
            except psycopg.errors.DeadlockDetected:
                continue


def _store(connection: store.Db, priced: list[PricedExchange], facts: list[Amendment], *, gone: Exchange) -> None:
    with connection.transaction():
        stored = store.store(connection, priced)
        rollup.write(connection, amendments.apply_pending(connection, stored.changes))
        rollup.write(connection, amendments.apply(connection, facts))
        rollup.write(connection, _erase(connection, (gone.organization_id, gone.requested_at, gone.id)))


def _erase(connection: store.Db, key: store.Key) -> list[Change]:
    before = store.lock_row(connection, key)
    if before is None:
        return []
    store.delete_row(connection, key)
    return [Change(before, None)]


def run_folder(connection: store.Db) -> None:
    while True:
        for organization_id in fold.waiting(connection):
            fold.fold(connection, organization_id)
        time.sleep(0.05)


if __name__ == "__main__":
    role, conninfo, seed = sys.argv[1:]
    with psycopg.connect(conninfo, autocommit=True, application_name="stress") as opened:
        run_line(opened, int(seed)) if role == "line" else run_folder(opened)
