"""Retention removes exactly what it says, whoever else writes meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connection as django_connection

from accounts_app.models import AuditEntry
from helicone_site import nights
from ingest_app import records
from ingest_app.models import Trace
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader, Writer
from lib.postgres import conninfo
from llm.pricing import PriceBook
from metrics_app import fold, rebuild
from metrics_app.models import FacetDay, UsageDay
from metrics_app.rollup import FACET_MEASURES, MEASURES
from requests_app import retention, retention_storage
from requests_app.models import (
    LLMRequest,
    PendingAmendment,
    RequestAlias,
    RetentionPolicy,
    RetentionRun,
    SessionPin,
)
from requests_app.retention import Policy
from sessions_app.models import Session
from tests.ingest_app.exchanges import chat
from tests.requests_app.factories import make_request

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 11, 20, 3, 30, tzinfo=UTC)
ACME, GLOBEX, EVER = 1, 2, 3
BODY: dict[str, Any] = {"messages": []}


def connect() -> Any:
    return psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True)


@pytest.fixture
def db(transactional_db: None) -> Iterator[Any]:
    with connect() as opened:
        yield opened
        opened.execute(
            "TRUNCATE llm_request, llm_request_body, request_alias, session, pending_amendment, retention_policy, "
            "session_pin, retention_run, counting_state, usage_delta, facet_delta, usage_day, facet_day, trace"
        )


@contextmanager
def beside(work: Callable[[Callable[[], bool]], None]) -> Iterator[threading.Thread]:
    """`work` in a thread, told when to stop; whatever happens here it is joined, and what it raised is raised."""
    stopping, raised = threading.Event(), []

    def guarded() -> None:
        try:
            work(stopping.is_set)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield thread
    finally:
        stopping.set()
        thread.join()
    if raised:
        raise raised[0]


def policy(organization_id: int, body: int | None = None, requests: int | None = None, counts: int | None = None):
    RetentionPolicy.objects.create(
        organization_id=organization_id, body_days=body, request_days=requests, count_days=counts
    )


def row(organization_id: int, days_ago: float, **values: Any):
    return make_request(organization_id, NOW - timedelta(days=days_ago), request=BODY, response=BODY, **values)


def run(db: Any, announced: dict[int, datetime] | None = None) -> list[retention.Removed | retention.Skipped]:
    told = {} if announced is None else announced
    return list(retention.apply(db, NOW, announce=told.__setitem__))


def left(db: Any, table: str = "llm_request") -> set[Any]:
    return {found for (found,) in db.execute(f"SELECT id FROM {table}").fetchall()}


def names(db: Any, table: str) -> set[str]:
    return {one.name for one in retention.partitions(db, table)}


def test_two_organisations_keep_their_own_days_in_the_same_weeks(db):
    policy(ACME, body=10, requests=30)
    policy(GLOBEX, body=40, requests=60)
    ages = (1, 9, 11, 29, 31, 39, 41, 59, 61, 90)
    rows = {(one, age): row(one, age).id for one in (ACME, GLOBEX, EVER) for age in ages}
    removed = run(db)
    kept = {ACME: (10, 30), GLOBEX: (40, 60), EVER: (999, 999)}
    assert left(db) == {rows[one, age] for one, age in rows if age < kept[one][1]}
    assert left(db, "llm_request_body") == {rows[one, age] for one, age in rows if age < kept[one][0]}
    sums = {(one, what): 0 for one in (ACME, GLOBEX) for what in ("bodies", "requests")}
    for part in removed:
        sums[part.organization_id, part.what] += part.rows
    assert sums == {(ACME, "bodies"): 8, (ACME, "requests"): 6, (GLOBEX, "bodies"): 4, (GLOBEX, "requests"): 2}
    assert run(db) == []


def test_the_day_a_policy_ends_at_is_kept_whole(db):
    policy(ACME, requests=30)
    edge = datetime(2026, 10, 21, tzinfo=UTC)
    first, last = (make_request(ACME, edge + timedelta(microseconds=n)) for n in (0, -1))
    run(db)
    assert left(db) == {first.id} and last.id != first.id


def test_a_partition_all_have_done_with_is_dropped_and_one_somebody_keeps_is_not(db):
    policy(ACME, requests=30)
    policy(GLOBEX, requests=60)
    row(ACME, 100), row(GLOBEX, 100), row(ACME, 45), row(GLOBEX, 45)
    before = names(db, "llm_request")
    removed = run(db)
    gone = before - names(db, "llm_request")
    assert "llm_request_p20260810" in gone and "llm_request_p20261005" not in gone
    assert {(part.organization_id, part.is_dropped) for part in removed if part.what == "requests"} == {
        (ACME, True), (GLOBEX, True), (ACME, False)
    }  # fmt: skip


def test_a_week_emptied_night_by_night_is_dropped_in_the_end(db):
    policy(ACME, requests=30)
    monday = datetime(2026, 10, 12, tzinfo=UTC)
    for day in range(7):
        make_request(ACME, monday + timedelta(days=day), request=BODY)
    for day in range(8):
        night = monday + timedelta(days=30 + day, hours=3)
        list(retention.apply(db, night, announce=lambda *_: None))
        assert len(left(db)) == 7 - day
    assert not {"llm_request_p20261012", "llm_request_body_p20261012"} & (
        names(db, "llm_request") | names(db, "llm_request_body")
    )


def test_a_pinned_session_keeps_its_rows_and_bodies(db):
    policy(ACME, body=5, requests=30)
    SessionPin.objects.create(organization_id=ACME, session_id="keep")
    SessionPin.objects.create(organization_id=GLOBEX, session_id="other")
    pinned, plain, other = row(ACME, 100, session_id="keep"), row(ACME, 100), row(ACME, 100, session_id="other")
    run(db)
    assert left(db) == left(db, "llm_request_body") == {pinned.id} != {plain.id, other.id}


def test_rows_without_a_policy_are_kept_for_ever(db):
    kept = row(EVER, 400)
    assert run(db) == []
    assert left(db) == left(db, "llm_request_body") == {kept.id}


def test_ids_clients_chose_go_with_their_rows(db):
    policy(ACME, requests=30)
    SessionPin.objects.create(organization_id=ACME, session_id="keep")
    for age, client_id, session in ((50, "old", None), (50, "pinned", "keep"), (1, "new", None)):
        row(ACME, age, client_request_id=client_id, session_id=session)
    row(GLOBEX, 50, client_request_id="theirs")
    run(db)
    assert {alias.client_id for alias in RequestAlias.objects.all()} == {"pinned", "new", "theirs"}


def a_session(organization_id: int, days_ago: int, session_id: str) -> None:
    at = NOW - timedelta(days=days_ago)
    Session.objects.create(
        organization_id=organization_id, session_id=session_id, requests=1, steps=1, errors=0, priced=1,
        cost_nano_usd=5, input_tokens=1, output_tokens=1, duration_ms=1, first_at=at, last_at=at, last_begun_at=at,
        end_users=[], model_names=[],
    )  # fmt: skip


def test_counts_outlive_their_ground_and_go_by_days_of_their_own(db):
    policy(ACME, requests=30, counts=90)
    for age in (50, 100):
        row(ACME, age, session_id=f"s-{age}")
        a_session(ACME, age, f"s-{age}")
    a_session(GLOBEX, 100, "theirs")
    removed = run(db)
    assert left(db) == set()
    assert [(s.organization_id, s.session_id, s.cost_nano_usd) for s in Session.objects.order_by("session_id")] == [
        (ACME, "s-50", 5), (GLOBEX, "theirs", 5)
    ]  # fmt: skip
    assert [part.rows for part in removed if part.what == "counts"] == [1]


def counted(organization_id: int, days_ago: int) -> None:
    """What the fold would have counted of one request of that day."""
    day = retention.midnight(NOW) - timedelta(days=days_ago)
    sums = dict.fromkeys(MEASURES, 1)
    key = {"kind": "llm", "provider": "openai", "model": "gpt-4o", "status": 200, "cached": False}
    UsageDay.objects.create(
        organization_id=organization_id, bucket=day, **key, **sums, duration_hist=b"", ttft_hist=b""
    )
    with connect() as writing:
        fold.make_month(writing, day.date())
    FacetDay.objects.create(
        organization_id=organization_id, dim="user", val="u", state=0, day=day.date(),
        **dict.fromkeys(FACET_MEASURES, 1),
    )  # fmt: skip


@pytest.mark.parametrize("counts", [None, 90])
def test_ground_that_goes_takes_nothing_from_the_counts(db, counts):
    policy(ACME, requests=30, counts=counts)
    for organization_id in (ACME, GLOBEX):
        for age in (1, 50, 89, 100):
            row(organization_id, age, end_user_id="u")
            counted(organization_id, age)
    removed = run(db)
    assert LLMRequest.objects.filter(organization_id=ACME).count() == 1
    left_of = {GLOBEX: 4, ACME: 3 if counts else 4}
    for organization_id, days in left_of.items():
        for table in (UsageDay, FacetDay):
            kept = table.objects.filter(organization_id=organization_id)
            assert (kept.count(), sum(one.requests for one in kept)) == (days, days), table
    assert sum(part.rows for part in removed if part.what == "counts") == (2 if counts else 0)


def test_counts_end_with_the_rows_where_a_policy_says_earlier():
    assert Policy(None, 30, 10).cutoff("counts", NOW) == Policy(None, 30, 30).cutoff("counts", NOW)
    assert Policy(None, None, 10).cutoff("counts", NOW) is None
    assert Policy(None, 30, None).cutoff("bodies", NOW) == Policy(None, 30, None).cutoff("requests", NOW)


def test_whoever_counts_hears_before_the_ground_goes(db):
    policy(ACME, body=5, requests=30)
    policy(GLOBEX, requests=300)
    row(ACME, 100), row(GLOBEX, 100)
    told = []

    def announce(organization_id: int, moment: datetime) -> None:
        told.append((organization_id, moment, len(left(db))))

    list(retention.apply(db, NOW, announce=announce))
    assert told == [(ACME, datetime(2026, 10, 21, tzinfo=UTC), 2)]


def test_slices_take_every_row_and_no_more(db, monkeypatch):
    monkeypatch.setattr(retention, "SLICE", 3)
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    policy(ACME, requests=30)
    SessionPin.objects.create(organization_id=ACME, session_id="keep")
    kept = [row(ACME, 31, session_id="keep").id for _ in range(4)] + [row(GLOBEX, 31).id]
    at = NOW - timedelta(days=31)
    for _ in range(10):  # all at one moment
        make_request(ACME, at)
    for n in range(10):
        make_request(ACME, at + timedelta(seconds=n))
    assert sum(part.rows for part in run(db)) == 20
    assert left(db) == set(kept)


def test_a_plan_says_what_the_night_then_removes(db):
    SessionPin.objects.create(organization_id=ACME, session_id="keep")
    for age in range(0, 80, 3):
        row(ACME, age, session_id="keep" if age % 2 else None)
        row(GLOBEX, age)
    mine = Policy(12, 40, None)
    planned = retention_storage.plan(retention_storage.storage(db, ACME), mine, NOW)
    policy(ACME, 12, 40)
    removed = run(db)
    for what in ("bodies", "requests"):
        assert planned[what].rows == sum(part.rows for part in removed if part.what == what) > 0
        assert planned[what].bytes > 0


def victim(db: Any, table: str, times: int) -> None:
    """From now on a DELETE there is a deadlock's victim `times` times, then no more."""
    db.execute(
        "CREATE SEQUENCE tries; CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; "
        f"RETURN NULL; END $$; CREATE TRIGGER give_up BEFORE DELETE ON {table} EXECUTE FUNCTION give_up()"
    )


@pytest.fixture
def tidied(db):
    yield
    db.execute("DROP FUNCTION IF EXISTS give_up CASCADE; DROP SEQUENCE IF EXISTS tries")


@pytest.mark.parametrize("what", ["bodies", "requests", "counts"])
def test_a_deadlocks_victim_asks_again(db, tidied, monkeypatch, what):
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    policy(ACME, requests=30, counts=60)
    row(ACME, 50), row(EVER, 50), a_session(ACME, 61, "old")
    [partition] = db.execute("SELECT tableoid::regclass::text FROM llm_request LIMIT 1").fetchone()
    tables = {"bodies": partition.replace("request_p", "request_body_p"), "requests": partition, "counts": "session"}
    victim(db, tables[what], retention.ATTEMPTS - 1)
    assert {(part.what, part.rows) for part in run(db)} == {("bodies", 1), ("requests", 1), ("counts", 1)}


def test_what_cannot_go_tonight_is_said_and_holds_up_nothing_else(db, tidied, cast, monkeypatch):
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    acme, umbrella = cast.acme.pk, cast.umbrella.pk
    policy(acme, requests=30), policy(umbrella, requests=30)
    for age in (50, 100):
        row(acme, age), row(umbrella, age), row(EVER, age)
    [partition] = db.execute("SELECT min(tableoid::regclass::text) FROM llm_request").fetchone()
    victim(db, partition, 2 * retention.ATTEMPTS)
    nights.apply(NOW)
    assert LLMRequest.objects.exclude(organization_id=EVER).count() == 2
    skipped = AuditEntry.objects.filter(action="retention skipped")
    assert {entry.organization_id for entry in skipped} == {acme, umbrella}
    assert {entry.detail["what"] for entry in skipped} == {"requests"}
    assert all("DeadlockDetected" in entry.detail["reason"] for entry in skipped)
    nights.apply(NOW)
    assert {one.organization_id for one in LLMRequest.objects.all()} == {EVER}


def test_who_comes_between_the_telling_and_the_lock_is_told_and_counted(db, monkeypatch):
    """A first row of another organisation comes into a week that is about to go."""
    policy(ACME, requests=30), policy(GLOBEX, requests=30)
    row(ACME, 50)
    told = []

    def announce(organization_id: int, moment: datetime) -> None:
        if not told:
            row(GLOBEX, 50)
        told.append((organization_id, moment))

    removed = list(retention.apply(db, NOW, announce=announce))
    requests = [part for part in removed if part.what == "requests"]
    assert {(part.organization_id, part.rows) for part in requests} == {(ACME, 1), (GLOBEX, 1)}
    assert [one for one, _ in told] == [ACME, GLOBEX]
    assert left(db) == set()


def test_a_run_killed_before_its_drop_leaves_it_to_the_next(db, monkeypatch):
    policy(ACME, requests=30)
    row(ACME, 50)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(retention, "_counts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run(db)
    assert {(part.what, part.rows, part.is_dropped) for part in run(db)} == {
        ("bodies", 1, True), ("requests", 1, True)
    }  # fmt: skip
    assert db.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'retired%'").fetchone() == (0,)


def test_only_one_night_runs_at_a_time(db):
    policy(ACME, requests=30)
    row(ACME, 100)
    with connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", (retention.RUN_LOCK,))
        assert run(db) == []
        other.execute("SELECT pg_advisory_unlock(%s)", (retention.RUN_LOCK,))
    assert len(run(db)) == 2


def test_a_reader_that_holds_the_table_delays_a_drop_but_not_the_removal(db, monkeypatch):
    monkeypatch.setattr(retention, "LOCK_TIMEOUT_MS", 20)
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    policy(ACME, requests=30)
    row(ACME, 100)
    with connect() as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM llm_request")
        bodies, requests = run(db)
    assert (bodies.is_dropped, requests.is_dropped, requests.rows, left(db)) == (True, False, 1, set())


def test_a_night_is_written_down(db, cast):
    policy(cast.acme.pk, body=5, requests=30)
    row(cast.acme.pk, 100), row(cast.acme.pk, 10), row(cast.umbrella.pk, 100)
    nights.apply(NOW)
    with connect() as looking:
        assert rebuild.ground_from(looking, cast.acme.pk) == datetime(2026, 10, 21, tzinfo=UTC)
        assert rebuild.ground_from(looking, cast.umbrella.pk) is None
    assert {(r.organization_id, r.what, r.removed) for r in RetentionRun.objects.all()} == {
        (cast.acme.pk, "bodies", 1), (cast.acme.pk, "requests", 1)
    }  # fmt: skip
    assert sum(r.removed for r in RetentionRun.objects.filter(what="bodies")) == 2
    [entry] = AuditEntry.objects.all()
    assert (entry.organization_id, entry.action, entry.user) == (cast.acme.pk, "retention applied", None)
    assert entry.detail == {"bodies": 2, "requests": 1}


def test_what_is_known_of_traces_and_of_requests_never_seen_goes_with_the_rows(db, cast):
    acme, umbrella = cast.acme.pk, cast.umbrella.pk
    policy(acme, requests=30)
    for organization_id in (acme, umbrella):
        for name, age in (("old", 50), ("young", 10)):
            at = NOW - timedelta(days=age)
            Trace.objects.create(organization_id=organization_id, trace_id=name, last_at=at)
            PendingAmendment.objects.create(organization_id=organization_id, request_id=uuid4(), at=at, facts={})
    make_request(acme, NOW - timedelta(days=20), trace_id="kept")
    Trace.objects.create(organization_id=acme, trace_id="kept", last_at=NOW - timedelta(days=50))
    nights.apply(NOW)
    assert set(Trace.objects.values_list("organization_id", "trace_id")) == {
        (acme, "young"), (acme, "kept"), (umbrella, "old"), (umbrella, "young"),
    }  # fmt: skip
    assert set(PendingAmendment.objects.values_list("organization_id", "at")) == {
        (acme, NOW - timedelta(days=10)), (umbrella, NOW - timedelta(days=10)),
    }  # fmt: skip


def test_the_line_writes_on_while_the_night_removes(db, tmp_path, monkeypatch):
    """Late rows of two organisations come into weeks that are being dropped; who keeps them finds them all."""
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    policy(ACME, requests=30)
    for age in range(31, 200, 2):
        row(ACME, age)
    ages = [age for age in range(0, 200, 4) for _ in range(4)]
    moments = [NOW - timedelta(days=age, seconds=n) for n, age in enumerate(ages)]
    late = [chat(n, organization_id=(ACME, EVER)[n % 2]) for n in range(len(moments))]
    late = [replace(one, requested_at=at) for one, at in zip(late, moments, strict=True)]
    writer, reader = Writer(tmp_path, max_bytes=2**40, min_free_bytes=0), Reader(tmp_path)
    line = Line(reader, connect=connect, load_prices=lambda _: PriceBook(()), settings=Settings(partition_days=7))

    def write(is_stopping: Callable[[], bool]) -> None:
        for one in late:
            if is_stopping():
                return
            writer.put(records.whole(one)).result(60)
            line.step()
        while line.step():
            pass

    with beside(write) as thread:
        while thread.is_alive():
            run(db)
            thread.join(0.05)
    assert reader.depth() == (0, 0, 0)
    assert sum(line.tally.drops.values()) == 0
    assert db.execute("SELECT count(*) FROM llm_request WHERE problems::text LIKE '%unstorable%'").fetchone() == (0,)
    run(db)
    line.close(), reader.close(), writer.close()
    cutoff = Policy(None, 30).cutoff("requests", NOW)
    expected = {one.id for one in late if one.organization_id == EVER or one.requested_at >= cutoff}
    assert left(db) == expected
