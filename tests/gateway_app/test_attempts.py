"""Attempts on their way into the ground: in no count, no sum, no list, and gone with their request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from django.db import connection as django_connection
from django.http import QueryDict
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from gateway_app import attempts
from gateway_app.calling import Attempt
from gateway_app.candidates import Candidate, Prepared
from gateway_app.capture import Facts
from gateway_app.shaping import Asked
from gateway_app.targets import read_target
from ingest_app import line, records
from ingest_app.records import Forget, ForgetWhere
from ingest_app.spool import Entry
from lib.postgres import conninfo
from llm.exchange import ATTEMPT, ATTEMPTS_FAILED, Exchange, Problem
from llm.pricing import PriceBook
from metrics_app import queries_audit, rollup
from requests_app import asking, exports, queries, store
from requests_app.models import LLMRequest, LLMRequestBody
from requests_app.queries import Question
from requests_app.rows import Change
from sessions_app import rollup as sessions
from tests.factories import api_key, bearer, browser
from tests.ingest_app.exchanges import NOON, chat
from tests.requests_app.factories import make_row

pytestmark = pytest.mark.django_db(transaction=True)


def attempt_of(request: Exchange, *, after: float = 0.0, status: int = 503, **said: Any) -> Exchange:
    """The record of a call that failed before this request's answer, as the line reads it."""
    target = read_target("https://api.groq.com", is_guarded=False, keeps_path=True)
    candidate = Candidate("groq", "https://api.groq.com", label="b/groq", model="b")
    ready = Prepared(candidate, target, Asked("POST", "/v1/x", "", {}), None)
    facts = Facts(
        request.id, request.organization_id, request.api_key_id or 1, request.requested_at, request.provider, "POST",
        request.url, {}, None,
    )  # fmt: skip
    body = orjson.dumps({"error": {"message": "Overloaded", "type": "busy"}, "usage": {"total_tokens": 99}})
    tried = Attempt(
        ready, request.requested_at + timedelta(seconds=after), 120, status, status,
        {"content-type": "application/json"}, body, 40, "busy", "Overloaded", "again after 1.0 s",
    )  # fmt: skip
    record = attempts.record(tried, facts, is_withheld=said.get("is_withheld", False))
    read = records.read(Entry(record.kind, (1,), record.facts, record.request or b"", record.response or b""))
    assert isinstance(read, Exchange)
    return read


def tried(request: Exchange, times: int) -> Exchange:
    return replace(request, problems=(Problem(ATTEMPTS_FAILED, str(times)),))


def connect() -> store.Db:
    return psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True)


TABLES = "llm_request, llm_request_body, session, request_alias, pending_amendment, usage_delta, facet_delta"


@pytest.fixture
def bench(tmp_path: Path, transactional_db: None) -> Iterator[line.Bench]:
    with connect() as connection:
        store.prepare(connection)
        store.ensure_partitions(connection, {store.partition_start(NOON, 7)}, days=7)
        yield line.Bench(connection, PriceBook(()), line.Tally())
        connection.execute(f"TRUNCATE {TABLES}")


def put(bench: line.Bench, *exchanges: Exchange) -> None:
    line.run(line.Work(exchanges), bench)


def rows(**where: Any) -> list[LLMRequest]:
    return list(LLMRequest.objects.filter(**where).order_by("requested_at", "id"))


def counted(connection: store.Db) -> list[Any]:
    found = []
    for table in ("usage_delta", "facet_delta", "session"):
        names = [row[0] for row in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND column_name NOT IN ('id')",
            (table,),
        )]  # fmt: skip
        found += sorted(map(str, connection.execute(f"SELECT {', '.join(sorted(names))} FROM {table}").fetchall()))
    return found


def test_an_attempt_is_a_row_under_its_request_and_in_no_count(bench):
    request = tried(chat(session_id="s", end_user_id="ada", properties={"env": "prod"}), 2)
    put(bench, chat(5, session_id="s"), request)
    before = counted(bench.connection)
    put(bench, attempt_of(request), attempt_of(request, after=0.2, status=429))
    assert counted(bench.connection) == before
    first, second = rows(kind=ATTEMPT)
    assert (first.provider, first.status, first.error_message, first.finish_reason) == (
        "groq", 503, "Overloaded", "again after 1.0 s",
    )  # fmt: skip
    assert (first.input_tokens, first.cost_nano_usd, first.cost_reason) == (None, None, "not_a_model_call")
    assert (first.session_id, first.end_user_id, first.trace_id, first.properties) == (None, None, None, {})
    row = queries.one(1, str(request.id))
    assert [one.id for one in queries.attempts(row)] == [first.id, second.id]
    period = {"since": NOON - timedelta(days=1), "until": NOON + timedelta(days=1)}
    assert queries_audit.differences(bench.connection, 1, **period) == []


def test_lists_exports_and_the_api_leave_attempts_out_unless_asked_for(bench, cast):
    organization_id = cast.acme.pk
    request = tried(chat(organization_id=organization_id), 1)
    attempt = attempt_of(request)
    put(bench, request, attempt)

    def listed(text: str) -> list[Any]:
        asked = asking.read(organization_id, QueryDict(f"range=all&{text}"))
        return [row.id for row in queries.page(asked.question, size=10).rows]

    assert listed("") == [request.id]
    assert str(attempt.id) not in map(str, listed("q=o"))
    assert listed("provider=groq") == []
    assert listed(f"kind={ATTEMPT}") == [attempt.id]
    assert listed(f"id={attempt.id}") == [attempt.id]
    everything = Question(organization_id)
    assert [row.id for row in queries.page(everything, size=10).rows] == [request.id]
    assert queries.page(everything, size=10).rows == next(queries.batches(everything))
    assert str(attempt.id) not in "".join(map(str, exports.as_jsonl(everything, has_bodies=True)))
    answer = browser().post(
        "/v1/request/query-clickhouse", {"filter": "all", "limit": 50, "offset": 0}, content_type="application/json",
        headers=bearer(api_key(cast.acme)),
    )  # fmt: skip
    assert [one["request_id"] for one in answer.json()["data"]] == [str(request.id)]


def test_a_request_that_is_erased_takes_its_attempts_with_it(bench):
    one, other = tried(chat(0), 1), tried(chat(60), 1)
    put(bench, one, other, attempt_of(one), attempt_of(one, after=0.3), attempt_of(other))
    with bench.connection.transaction():
        line.run(line.Work(forgets=(Forget(1, (one.id,), NOON),)), bench)
    assert [row.requested_at for row in rows(kind=ATTEMPT)] == [other.requested_at]
    assert {row.id for row in LLMRequestBody.objects.all()} == {row.id for row in rows()}
    order = ForgetWhere(1, "", NOON - timedelta(hours=1), NOON + timedelta(hours=1), NOON)
    line.carry_out(order, bench, after=(NOON - timedelta(hours=2), one.id))
    assert rows() == []
    assert not LLMRequestBody.objects.exists()


def test_the_drawer_shows_what_was_tried_and_the_way_back(bench, cast):
    request = tried(chat(organization_id=cast.acme.pk), 1)
    attempt = attempt_of(request)
    put(bench, request, attempt)
    page = browser(cast.bob).get(reverse("request", args=[request.id])).content.decode()
    assert "Attempts <small" in page
    assert "Overloaded" in page
    assert "again after 1.0 s" in page
    assert str(attempt.id) in page
    assert "Calls failed before the answer that was passed on" in page
    shown = browser(cast.bob).get(reverse("request", args=[attempt.id])).content.decode()
    assert "attempt of <a" in shown
    assert str(request.id) in shown
    assert browser(cast.charlie).get(reverse("request", args=[attempt.id])).status_code == 404
    plain = chat(90, organization_id=cast.acme.pk)
    put(bench, plain)
    assert "Attempts <small" not in browser(cast.bob).get(reverse("request", args=[plain.id])).content.decode()


KINDS = st.sampled_from(["llm", "embedding", "tool", ATTEMPT])
ROWS = st.builds(
    make_row, st.integers(1, 2), st.just(NOON), kind=KINDS, session_id=st.sampled_from([None, "a", "b"]),
    status=st.sampled_from([200, 429, 500]), input_tokens=st.one_of(st.none(), st.integers(0, 9)),
    cost_nano_usd=st.one_of(st.none(), st.integers(0, 9)), end_user_id=st.sampled_from([None, "u"]),
)  # fmt: skip


@given(st.lists(ROWS, max_size=20))
def test_counts_are_the_same_with_attempts_and_without(made):
    without = [row for row in made if row.kind != ATTEMPT]
    assert rollup.aggregate((+1, row) for row in made) == rollup.aggregate((+1, row) for row in without)
    as_stored = [replace(row, session_id=None) if row.kind == ATTEMPT else row for row in made]
    changes, fewer = ([Change(None, row) for row in some] for some in (as_stored, without))
    assert sessions.aggregate(changes) == sessions.aggregate(fewer)
