"""A call an SDK traces by OTLP and that passes the gateway, or is logged, is one call in one trace."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from ingest_app import records, traceparent
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader, Writer
from lib.clock import from_microseconds, uuid7
from llm.exchange import Body, Exchange
from tests.ingest_app.test_spans import PRICES, START, TRACE, call, connect, db, exchange, span, totals

__all__ = ["db"]
pytestmark = pytest.mark.django_db(transaction=True)

REPLY = (
    b'{"id":"chatcmpl-7","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,'
    b'"finish_reason":"stop","message":{"role":"assistant","content":"Noon."}}],'
    b'"usage":{"prompt_tokens":200,"completion_tokens":2,"total_tokens":202}}'
)
REQUEST = b'{"model":"gpt-4o","messages":[{"role":"user","content":"What is the time?"}]}'


def passed(parent: int, *, door: str = "gateway") -> Exchange:
    """The call as a door of ours saw it, in the step `parent`."""
    at = from_microseconds(START // 1000) + timedelta(seconds=2.5)
    own = uuid7(at)
    return Exchange(
        own, 1, at, door, "openai", 200, url="https://api.openai.com/v1/chat/completions", duration_ms=400,  # type: ignore[arg-type]
        request=Body(REQUEST, "application/json", "", len(REQUEST)),
        response=Body(REPLY, "application/json", "", len(REPLY)),
        trace_id=TRACE, span_id=traceparent.span_id(own), parent_span_id=f"{parent:016x}",
    )  # fmt: skip


def through(folder: Any, exchanges: list[Exchange]) -> None:
    """Each in a batch of its own."""
    folder.mkdir()
    writer, reader = Writer(folder, max_bytes=2**40, min_free_bytes=0), Reader(folder)
    line = Line(reader, connect=connect, load_prices=lambda _: PRICES, settings=Settings(partition_days=7))
    for one in exchanges:
        writer.put(records.whole(one)).result(5)
        while line.step():
            pass
    assert sum(line.tally.drops.values()) == 0
    for part in (line, reader, writer):
        part.close()


def told(db: Any) -> Any:
    return db.execute(
        "SELECT door, kind, session_id, input_tokens, coalesce(problems, '{}'), trace_id FROM llm_request "
        "ORDER BY requested_at"
    ).fetchall()


SDK = [span(1, None, gen_ai__operation__name="invoke_agent", gen_ai__conversation__id="run-9"), call(2, 1)]


@pytest.mark.parametrize("door", ["gateway", "log"])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_span_is_a_step_around_the_call_and_tokens_count_once(db, tmp_path, door, order):
    seen = [*map(exchange, SDK), passed(2, door=door)]
    through(tmp_path / "spool", [seen[number] for number in order])
    assert told(db) == [
        ("otlp", "agent", "run-9", None, [], TRACE),
        ("otlp", "chain", "run-9", None, ["counted_in_child: llm"], TRACE),
        (door, "llm", "run-9", 200, [], TRACE),
    ]
    assert totals(db) == [(200 * 2_500 + 2 * 10_000, 200, 1)]


def test_nor_twice_where_the_http_step_between_is_never_told(db, tmp_path):
    sdk = call(2, 1, gen_ai__response__id="chatcmpl-7")
    through(tmp_path / "spool", [exchange(sdk), replace(passed(99))])
    assert totals(db) == [(200 * 2_500 + 2 * 10_000, 200, 1)]
