"""Spans in the line: in whatever order they come, once or twice, a trace is the same and each call counts once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from hypothesis import given
from hypothesis import strategies as st

from ingest_app import merging, otlp, records, spans, store_traces
from ingest_app.posting import Posting
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader, Writer
from lib.postgres import conninfo
from llm.exchange import Exchange
from llm.pricing import PriceBook, PriceRow
from requests_app import store

pytestmark = pytest.mark.django_db(transaction=True)
START = 1_795_225_832_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
PRICES = PriceBook((
    PriceRow(1, "openai", "gpt-4o", {"starts_with": "gpt-4o"}, {"input_mtok": "2.5", "output_mtok": "10"}),
))
POSTING = Posting("/v1/traces", {}, b"", 1, 7, datetime(2026, 11, 21, tzinfo=UTC))


def connect() -> store.Db:
    return psycopg.connect(conninfo(django_connection.settings_dict, application="test"), autocommit=True)


@pytest.fixture
def db(transactional_db: None) -> Iterator[Any]:
    with connect() as opened:
        yield opened
        empty(opened)


def empty(db: Any) -> None:
    db.execute(
        "TRUNCATE llm_request, llm_request_body, session, request_alias, pending_amendment, usage_delta, facet_delta, "
        "trace, span_watch"
    )


def span(number: int, parent: int | None = None, *, seconds: int | None = None, **said: Any) -> dict[str, Any]:
    """A span's document; it starts `number` seconds in."""
    start = START + number * 10**9
    return {
        "v": 1, "trace_id": TRACE, "span_id": f"{number:016x}", "name": said.pop("name", f"step {number}"),
        **({} if parent is None else {"parent_span_id": f"{parent:016x}"}),
        "start_ns": start, **({} if seconds == 0 else {"end_ns": start + (seconds or 1) * 10**9}),
        "attributes": {key.replace("__", "."): value for key, value in said.items()},
    }  # fmt: skip


def call(number: int, parent: int | None = None, **said: Any) -> dict[str, Any]:
    usage = {"gen_ai.usage.input_tokens": 100 * number, "gen_ai.usage.output_tokens": number}
    model = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
    found = span(number, parent, **said)
    return {**found, "attributes": {**found["attributes"], **usage, **model}}


def exchange(document: dict[str, Any]) -> Exchange:
    return otlp.exchange(dict(document), POSTING)


def run(db: Any, folder: Path, batches: list[list[dict[str, Any]]]) -> None:
    folder.mkdir(exist_ok=True)
    writer, reader = Writer(folder, max_bytes=2**40, min_free_bytes=0), Reader(folder)
    line = Line(reader, connect=connect, load_prices=lambda _: PRICES, settings=Settings(partition_days=7))
    for batch in batches:
        for future in [writer.put(records.whole(exchange(document))) for document in batch]:
            future.result(5)
        while line.step():
            pass
    assert reader.depth() == (0, 0, 0)
    assert sum(line.tally.drops.values()) == 0
    line.close()
    reader.close()
    writer.close()


def rows(db: Any) -> Any:
    return db.execute(
        "SELECT span_id, kind, session_id, session_name, end_user_id, input_tokens, output_tokens, cost_nano_usd, "
        "properties::text, coalesce(problems, '{}'), duration_ms, name, request_bytes, usage "
        "FROM llm_request ORDER BY span_id"
    ).fetchall()


def totals(db: Any) -> list[tuple[Any, ...]]:
    [(cost, tokens, requests)] = db.execute(
        "SELECT sum(cost_nano_usd), sum(input_tokens), sum(requests) FROM usage_delta WHERE kind = 'llm'"
    ).fetchall()
    return [(cost, tokens, requests)]


AGENT_RUN = [
    span(1, None, gen_ai__operation__name="invoke_agent", gen_ai__conversation__id="run-9", user__id="ada",
         metadata='{"tier": "gold"}', gen_ai__usage__input_tokens=999),
    call(2, 1),
    span(3, 1, gen_ai__operation__name="execute_tool", gen_ai__tool__name="search"),
    call(4, 3, gen_ai__conversation__id="its own", user__id="bot"),
    call(5, 1, name="wrapper"),
    span(6, 5, name="HTTP POST"),
    call(7, 6, name="the SDK's own"),
]  # fmt: skip


def test_a_trace_is_the_same_in_whatever_order_and_however_often_its_spans_come(db, tmp_path):
    run(db, tmp_path / "0", [AGENT_RUN])
    expected, sums = rows(db), totals(db)
    assert sums == [(1_300 * 2_500 + 13 * 10_000, 1_300, 3)]
    by_id = {row[0][-1]: row for row in expected}
    assert {row[2:5] for row in expected} == {("run-9", None, "ada")}
    assert {key: row[1] for key, row in by_id.items()} == {
        "1": "agent", "2": "llm", "3": "tool", "4": "llm", "5": "chain", "6": "span", "7": "llm",
    }  # fmt: skip
    assert (by_id["5"][5], by_id["5"][7], by_id["5"][9]) == (None, None, ["counted_in_child: llm"])
    assert '"tier": "gold"' in by_id["7"][8]
    chance = random.Random(7)
    for attempt in range(1, 9):
        empty(db)
        pieces = [AGENT_RUN[i] for i in chance.sample(range(7), 7)] + chance.sample(AGENT_RUN, 2)
        cuts = sorted(chance.sample(range(len(pieces) + 1), 3))
        run(db, tmp_path / str(attempt), [pieces[a:b] for a, b in zip([0, *cuts], [*cuts, 9], strict=True)])
        assert rows(db) == expected, attempt
        assert totals(db) == sums, attempt


def test_a_span_sent_open_and_then_ended_is_one_row_with_its_end(db, tmp_path):
    opened = span(1, None, seconds=0, langfuse__observation__type="generation")
    ended = span(1, None, seconds=3, langfuse__observation__model__name="gpt-4o",
                 langfuse__observation__usage_details='{"input": 10, "output": 2}')  # fmt: skip
    for attempt, order in enumerate(([opened, ended], [ended, opened])):
        empty(db)
        run(db, tmp_path / str(attempt), [[one] for one in order])
        [row] = rows(db)
        assert (row[1], row[5], row[10]) == ("llm", 10, 3000)
        assert totals(db)[0][1] == 10


def test_rebuilt_counts_of_spans_are_the_counts_there_were(db, tmp_path):
    run(db, tmp_path, [[one] for one in reversed(AGENT_RUN)])
    before = totals(db)
    ground = db.execute(
        "SELECT sum(cost_nano_usd), sum(input_tokens), count(*) FROM llm_request WHERE kind = 'llm'"
    ).fetchall()
    assert before == ground


def test_an_agent_that_reports_usage_and_calls_no_model_is_counted_after_ten_minutes(db, tmp_path, monkeypatch):
    agent = span(1, None, gen_ai__operation__name="invoke_agent", gen_ai__usage__input_tokens=70,
                 gen_ai__request__model="gpt-4o", gen_ai__provider__name="openai")  # fmt: skip
    run(db, tmp_path, [[agent]])
    assert totals(db) == [(None, None, None)]
    monkeypatch.setattr(spans, "PROMOTE_AFTER", spans.PROMOTE_AFTER * 0)
    db.execute("UPDATE span_watch SET due_at = now() - interval '1 minute'")
    run(db, tmp_path, [[]])
    [row] = rows(db)
    assert (row[1], row[5], row[9]) == ("llm", 70, ["promoted_agent: agent"])
    run(db, tmp_path, [[call(2, 1)]])
    assert [(row[1], row[5]) for row in rows(db)] == [("agent", None), ("llm", 200)]
    assert totals(db)[0][1] == 200


def reporting(number: int, parent: int | None = None) -> dict[str, Any]:
    """An agent with a usage of its own, or of those below it."""
    return span(number, parent, gen_ai__operation__name="invoke_agent", gen_ai__usage__input_tokens=70,
                gen_ai__request__model="gpt-4o", gen_ai__provider__name="openai")  # fmt: skip


@pytest.mark.parametrize("batches", [
    [[reporting(1), reporting(2, 1), reporting(3, 2)]], [[reporting(1)], [], [reporting(2, 1)], [reporting(3, 2)]],
])  # fmt: skip
def test_of_agents_inside_each_other_that_report_usage_the_innermost_is_counted(db, tmp_path, batches):
    for place, batch in enumerate(batches):
        run(db, tmp_path / str(place), [batch])
        db.execute("UPDATE span_watch SET due_at = now() - interval '1 minute'")
    run(db, tmp_path / "last", [[]])
    assert [row[1] for row in rows(db)] == ["agent", "agent", "llm"]
    assert totals(db)[0][1] == 70


def test_a_step_an_application_logged_under_a_spans_ids_stays_what_it_is(db, tmp_path):
    run(db, tmp_path / "0", [[call(1)]])
    db.execute("UPDATE llm_request SET door = 'log'")
    before = rows(db)
    run(db, tmp_path / "1", [[span(1, None, name="another")]])
    assert rows(db) == before


def test_traces_of_two_organisations_do_not_know_each_other(db, tmp_path):
    run(db, tmp_path, [AGENT_RUN])
    assert list(store_traces.steps(db, [(2, TRACE)])) == []


documents = st.builds(
    lambda number, seconds, said: span(number, seconds=seconds, **said),
    st.just(1), st.integers(0, 2),
    st.dictionaries(st.sampled_from("abc"), st.one_of(st.text(max_size=4), st.integers(0, 9))),
)  # fmt: skip


@given(documents, documents)
def test_merging_knows_no_order_and_a_document_merged_with_itself_is_itself(one, other):
    assert merging.merge(one, other) == merging.merge(other, one)
    assert merging.merge(one, one) == one
    both = merging.merge(one, other)
    assert merging.merge(both, one) == both
