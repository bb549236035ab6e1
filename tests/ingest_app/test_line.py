"""The line against a real Postgres: what goes in once is there once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection

from ingest_app import line, records
from ingest_app.records import Amendment, Forget
from ingest_app.run import Line, Settings
from ingest_app.spool import Kind, Reader, Record, Writer
from lib.postgres import conninfo
from llm.exchange import Exchange
from llm.pricing import PriceBook
from requests_app import store
from tests.ingest_app.exchanges import NOON, chat, ending, opening

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path, max_bytes=2**40, min_free_bytes=0)
    yield writer
    writer.close()


def connect() -> store.Db:
    return psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True)


@pytest.fixture
def db() -> Iterator[store.Db]:
    with connect() as connection:
        yield connection


@pytest.fixture
def the_line(tmp_path: Path, writer: Writer) -> Iterator[Line]:
    reader = Reader(tmp_path)
    one = Line(reader, connect=connect, load_prices=lambda _: PriceBook(()), settings=Settings(partition_days=7))
    yield one
    one.close()
    reader.close()


@pytest.fixture(autouse=True)
def _empty_ground(transactional_db: None) -> Iterator[None]:
    yield
    with django_connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, session, request_alias, pending_amendment")
        cursor.execute("TRUNCATE usage_delta, facet_delta")


def put(writer: Writer, *exchanges: Exchange) -> None:
    for future in [writer.put(records.whole(exchange)) for exchange in exchanges]:
        future.result(5)


def run_dry(the_line: Line) -> None:
    while the_line.step():
        pass


def query(db: store.Db, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    return db.execute(sql, values).fetchall()


def test_an_exchange_becomes_a_row_with_its_bodies(writer: Writer, the_line: Line, db: store.Db) -> None:
    put(writer, chat(1, end_user_id="u-1", session_id="s-1", session_path="/plan", properties={"env": "prod"}))
    run_dry(the_line)
    assert query(
        db,
        "SELECT model, request_model, status, input_tokens, output_tokens, duration_ms, end_user_id, session_id, "
        "properties, request_preview, response_preview, kind FROM llm_request",
    ) == [(
        "gpt-4o-mini-2024-07-18", "gpt-4o-mini", 200, 10, 5, 420, "u-1", "s-1", {"env": "prod"}, "Hello", "Reply 1",
        "llm",
    )]  # fmt: skip
    assert query(db, "SELECT count(together), count(response_raw) FROM llm_request_body") == [(1, 0)]


def test_a_batch_run_twice_changes_nothing_the_second_time(writer: Writer, the_line: Line, db: store.Db) -> None:
    exchanges = [chat(n, session_id="s", client_request_id=f"c-{n}", door="log") for n in range(5)]
    put(writer, *exchanges)
    run_dry(the_line)
    before = query(db, "SELECT * FROM session"), query(db, "SELECT * FROM llm_request ORDER BY id")
    put(writer, *exchanges)
    run_dry(the_line)
    assert (query(db, "SELECT * FROM session"), query(db, "SELECT * FROM llm_request ORDER BY id")) == before
    assert the_line.tally.drops["duplicate"] == 5


def test_a_log_posted_again_under_its_clients_id_is_dropped_and_counted(
    writer: Writer, the_line: Line, db: store.Db
) -> None:
    put(writer, chat(1, client_request_id="mine", door="log"), chat(2, client_request_id="mine", door="log"))
    run_dry(the_line)
    assert query(db, "SELECT count(*) FROM llm_request") == [(1,)]
    assert the_line.tally.drops["duplicate"] == 1


def test_a_gateway_call_repeating_its_id_is_a_call_of_its_own(writer: Writer, the_line: Line, db: store.Db) -> None:
    put(writer, chat(1, client_request_id="mine"), chat(2, client_request_id="mine"))
    run_dry(the_line)
    assert query(db, "SELECT count(*), count(DISTINCT id), min(client_request_id) FROM llm_request") == [(2, 2, "mine")]
    assert query(db, "SELECT count(*) FROM request_alias") == [(1,)]


def test_what_was_begun_and_never_ended_is_kept_as_interrupted(
    tmp_path: Path, writer: Writer, the_line: Line, db: store.Db
) -> None:
    exchange = chat(1)
    writer.put(records.begin(opening(exchange))).result(5)
    writer.close()
    run_dry(the_line)
    assert query(db, "SELECT status, problems[1], request_preview FROM llm_request") == [
        (-5, "interrupted: the gateway process ended before the reply did", "Hello")
    ]


def test_an_exchange_of_last_year_makes_its_own_partition(writer: Writer, the_line: Line, db: store.Db) -> None:
    old = datetime(2025, 12, 24, 18, tzinfo=UTC)
    put(writer, replace(chat(1), requested_at=old))
    run_dry(the_line)
    assert query(db, "SELECT tableoid::regclass::text FROM llm_request") == [("llm_request_p20251222",)]


def test_partitions_start_on_mondays_and_hold_their_moment() -> None:
    for days in (1, 7, 30):
        for hours in range(0, 24 * 40, 7):
            moment = NOON + timedelta(hours=hours)
            start = store.partition_start(moment, days)
            assert start <= moment < start + timedelta(days=days)
    assert store.partition_start(NOON, 7) == datetime(2026, 11, 16, tzinfo=UTC)


def test_a_record_nobody_can_read_is_set_apart_and_stops_nothing(
    tmp_path: Path, writer: Writer, the_line: Line, db: store.Db
) -> None:
    writer.put(Record(Kind.WHOLE, None, b"not json")).result(5)
    put(writer, chat(1))
    run_dry(the_line)
    assert query(db, "SELECT count(*) FROM llm_request") == [(1,)]
    assert the_line.tally.drops["unreadable_record"] == 1


def test_an_exchange_whose_reading_cannot_be_stored_is_kept_without_it(
    writer: Writer, the_line: Line, db: store.Db, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(batch: Any, bench: Any) -> Any:
        return [replace(p, charge=replace(p.charge, price_id=2**70)) if p.reading.dialect and
                p.exchange.url.endswith("#bad") else p for p in line_price(batch, bench)]

    line_price = line.price_all
    monkeypatch.setattr(line, "PRICING", (("price", broken),))
    put(writer, *[chat(n) for n in range(6)], replace(chat(7), url="https://api.openai.com/v1/chat/completions#bad"))
    run_dry(the_line)
    assert query(db, "SELECT count(*) FROM llm_request") == [(7,)]
    [[problems]] = query(db, "SELECT problems FROM llm_request WHERE target_url LIKE '%%#bad'")
    assert problems[0].startswith("unstorable")


@pytest.mark.parametrize("amendment_first", [True, False])
def test_a_late_fact_sets_whether_it_comes_before_or_after_its_request(
    writer: Writer, the_line: Line, db: store.Db, amendment_first: bool
) -> None:
    exchange = chat(1, properties={"env": "prod"})
    fact = records.amendment(Amendment(1, exchange.id, NOON, {"env": "dev", "team": "x"}, {"good": 1.0}))
    both = [fact, records.whole(exchange)]
    for record in both if amendment_first else reversed(both):
        writer.put(record).result(5)
        run_dry(the_line)
    assert query(db, "SELECT properties, scores FROM llm_request") == [({"env": "dev", "team": "x"}, {"good": 1.0})]
    assert query(db, "SELECT count(*) FROM pending_amendment") == [(0,)]


def test_of_two_late_facts_the_later_by_its_own_time_wins(writer: Writer, the_line: Line, db: store.Db) -> None:
    exchange = chat(1)
    put(writer, exchange)
    for at, value in ((NOON + timedelta(minutes=2), "second"), (NOON + timedelta(minutes=1), "first")):
        writer.put(records.amendment(Amendment(1, exchange.id, at, {"env": value}))).result(5)
        run_dry(the_line)
    assert query(db, "SELECT properties FROM llm_request") == [({"env": "second"},)]


def test_late_facts_find_a_request_by_the_id_its_client_chose(writer: Writer, the_line: Line, db: store.Db) -> None:
    chosen = "6f1b7a54-3f0a-4c35-9d0f-0a4f2f4a9a11"
    put(writer, chat(1, client_request_id=chosen))
    writer.put(records.amendment(Amendment(1, __import__("uuid").UUID(chosen), NOON, {"a": "b"}))).result(5)
    run_dry(the_line)
    assert query(db, "SELECT properties FROM llm_request") == [({"a": "b"},)]


def test_a_fact_about_another_organisations_request_changes_nothing(
    writer: Writer, the_line: Line, db: store.Db
) -> None:
    exchange = chat(1, organization_id=1)
    put(writer, exchange)
    writer.put(records.amendment(Amendment(2, exchange.id, NOON, {"a": "b"}))).result(5)
    writer.put(records.forget(Forget(2, (exchange.id,), NOON))).result(5)
    run_dry(the_line)
    assert query(db, "SELECT properties FROM llm_request") == [({},)]


def test_what_is_forgotten_leaves_neither_row_nor_body_nor_sum(writer: Writer, the_line: Line, db: store.Db) -> None:
    kept, gone = chat(1, session_id="s"), chat(5, session_id="s", client_request_id="c", end_user_id="u")
    put(writer, kept, gone)
    run_dry(the_line)
    writer.put(records.forget(Forget(1, (gone.id,), NOON))).result(5)
    run_dry(the_line)
    assert query(db, "SELECT id FROM llm_request") == [(kept.id,)]
    assert query(db, "SELECT id FROM llm_request_body") == [(kept.id,)]
    assert query(db, "SELECT count(*) FROM request_alias") == [(0,)]
    assert query(db, "SELECT requests, input_tokens, first_at, end_users FROM session") == [
        (1, 10, kept.requested_at, [])
    ]
    writer.put(records.forget(Forget(1, (kept.id,), NOON))).result(5)
    run_dry(the_line)
    assert query(db, "SELECT count(*) FROM session") == [(0,)]


def test_the_line_waits_while_postgres_is_away_and_loses_nothing(
    tmp_path: Path, writer: Writer, db: store.Db
) -> None:
    is_away = True

    def sometimes() -> store.Db:
        if is_away:
            raise psycopg.OperationalError("connection refused")
        return connect()

    reader = Reader(tmp_path)
    waiting = Line(
        reader, connect=sometimes, load_prices=lambda _: PriceBook(()), settings=Settings(partition_days=7)
    )
    put(writer, chat(1))
    with pytest.raises(psycopg.OperationalError):
        waiting.step()
    is_away = False
    run_dry(waiting)
    assert query(db, "SELECT count(*) FROM llm_request") == [(1,)]
    waiting.close()
    reader.close()


def test_a_begun_exchange_that_ends_is_one_row(writer: Writer, the_line: Line, db: store.Db) -> None:
    exchange = chat(1)
    writer.put(records.begin(opening(exchange)))
    writer.put(records.end(ending(exchange))).result(5)
    run_dry(the_line)
    assert query(db, "SELECT status, request_preview, response_preview FROM llm_request") == [(200, "Hello", "Reply 1")]
