from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_app import records
from ingest_app.spool import ROWS_AT_ONCE, Entry, Kind, Reader, Record, SpoolUnavailable, Writer
from lib.clock import from_microseconds
from llm.exchange import STATUS_INTERRUPTED, Attribution, Estimate, Problem, Reading, Usage
from tests.ingest_app.exchanges import chat, ending, opening

ROOMY = {"max_bytes": 2**40, "min_free_bytes": 0}


def open_writer(folder: Path, **limits: int) -> Writer:
    return Writer(folder, **{**ROOMY, **limits})


def test_what_was_put_comes_back_once_and_in_order(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    sent = [chat(n) for n in range(20)]
    for future in [writer.put(records.whole(exchange)) for exchange in sent]:
        future.result(5)
    reader = Reader(tmp_path)
    entries = reader.take(limit=100)
    assert [records.read(entry) for entry in entries] == sent
    reader.remove(entries)
    reader.remove(entries)
    assert reader.take(limit=100) == []
    writer.close()
    reader.close()


def test_bodies_are_what_begin_pieces_and_end_carry(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    exchange = chat(1)
    body = exchange.response.data
    writer.put(records.begin(opening(exchange)))
    writer.put(records.piece(exchange.id, response=body[:10]))
    writer.put(records.piece(exchange.id, response=body[10:20]))
    reader = Reader(tmp_path)
    assert reader.take(limit=10) == []
    end = replace(ending(exchange), response=replace(exchange.response, data=body[20:]))
    writer.put(records.end(end)).result(5)
    [entry] = reader.take(limit=10)
    assert records.read(entry) == exchange
    reader.remove([entry])
    assert reader.depth() == (0, 0, 0)
    writer.close()
    reader.close()


def test_a_living_writers_exchange_is_not_interrupted(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.put(records.begin(opening(chat()))).result(5)
    reader = Reader(tmp_path)
    assert reader.interrupted() == []
    writer.close()
    [entry] = reader.interrupted()
    said = records.read(entry)
    assert isinstance(said, type(chat()))
    assert said.status == STATUS_INTERRUPTED
    assert said.request == chat().request
    assert [problem.code for problem in said.problems] == ["interrupted"]
    reader.close()


KILLED = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, os.getcwd())
from ingest_app import records
from ingest_app.spool import Writer
from tests.ingest_app.exchanges import chat, opening
writer = Writer(Path(sys.argv[1]), max_bytes=2**40, min_free_bytes=0)
for n in range(50):
    writer.put(records.whole(chat(n))).result(5)
    print(n, flush=True)
writer.put(records.begin(opening(chat(99)))).result(5)
writer.put(records.piece(chat(99).id, response=b"half")).result(5)
print("begun", flush=True)
time.sleep(60)
"""


def test_a_killed_writer_loses_nothing_it_called_durable(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "begun":
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    reader = Reader(tmp_path)
    assert len(reader.take(limit=100)) == 50
    assert len(reader.interrupted()) == 1
    reader.close()


def test_a_full_spool_refuses_new_work_but_still_ends_what_began(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, max_bytes=200_000)
    exchange = chat(1)
    writer.put(records.begin(opening(exchange))).result(5)
    big = Record(Kind.WHOLE, None, b"{}", b"x" * 300_000)
    writer.put(big).result(5)
    time.sleep(1.1)
    with pytest.raises(SpoolUnavailable):
        writer.put(records.whole(chat(2))).result(5)
    writer.put(records.end(ending(exchange))).result(5)
    writer.close()


def laid(folder: Path, kept: list[Record], **limits: int) -> list[str]:
    """What is told of each record of one round."""

    async def work() -> list[str]:
        told: dict[int, str] = {}

        def hear(place: int, refusal: SpoolUnavailable | None) -> None:
            told[place] = str(refusal or "kept")

        writer = open_writer(folder, **limits)
        round_ = [(one, partial(hear, place)) for place, one in enumerate(kept)]
        writer.put_each(round_, asyncio.get_running_loop())
        while len(told) < len(kept):
            await asyncio.sleep(0.01)
        writer.close()
        return [told[place] for place in range(len(kept))]

    return asyncio.run(work())


@pytest.mark.parametrize("count", [1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 3 * ROWS_AT_ONCE])
def test_a_round_of_records_is_kept_in_its_order_and_each_is_told(tmp_path: Path, count: int) -> None:
    sent = [chat(n) for n in range(count)]
    assert laid(tmp_path, [records.whole(one) for one in sent]) == ["kept"] * count
    reader = Reader(tmp_path)
    assert [records.read(entry) for entry in reader.take(limit=1000)] == sent
    reader.close()


def test_of_a_round_a_full_spool_keeps_the_ends_alone(tmp_path: Path) -> None:
    records_ = [records.begin(opening(chat(1))), records.end(ending(chat(2))), records.whole(chat(3))]
    assert laid(tmp_path, records_, min_free_bytes=2**60) == ["the spool is full", "kept", "the spool is full"]


def test_a_disk_that_tells_nothing_refuses_a_put_and_stops_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer(_: object) -> None:
        raise OSError("stale handle")

    writer = open_writer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("ingest_app.spool.shutil.disk_usage", no_answer)
        with pytest.raises(SpoolUnavailable):
            writer.put(records.whole(chat(1))).result(5)
    time.sleep(1.1)
    writer.put(records.whole(chat(2))).result(5)
    writer.close()


def test_a_batch_ends_at_its_bytes_but_never_before_one_entry(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for _ in range(3):
        writer.put(Record(Kind.WHOLE, None, b"{}", b"x" * 1000)).result(5)
    reader = Reader(tmp_path)
    assert len(reader.take(limit=10, max_bytes=1)) == 1
    assert len(reader.take(limit=10, max_bytes=1500)) == 2
    writer.close()
    reader.close()


def test_what_is_buried_stands_apart_with_its_reason(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.put(Record(Kind.WHOLE, None, b"not json")).result(5)
    reader = Reader(tmp_path)
    [entry] = reader.take(limit=10)
    reader.bury(entry, "unreadable_record: nonsense")
    assert reader.depth() == (0, 0, 1)
    writer.close()
    reader.close()


texts = st.text(max_size=20)


@given(
    reading=st.builds(
        Reading,
        dialect=texts, request_model=st.none() | texts, request_preview=texts, is_stream=st.booleans(),
        tool_calls=st.lists(texts, max_size=3).map(tuple),
        usage=st.builds(Usage, input_tokens=st.none() | st.integers(0, 2**31), sent=st.none() | st.just({"a": 1})),
        estimate=st.none() | st.builds(Estimate, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9), texts),
        folded_response=st.none() | texts.map(str.encode),
        problems=st.lists(st.builds(Problem, texts, texts), max_size=2).map(tuple),
    ),
    said=st.builds(Attribution, end_user_id=st.none() | texts.filter(bool), properties=st.dictionaries(texts, texts)),
)
def test_a_record_read_back_is_the_exchange_it_was(reading: Reading, said: Attribution) -> None:
    exchange = replace(chat(), reading=reading, attribution=said)
    record = records.whole(exchange)
    entry = Entry(record.kind, (1,), record.facts, record.request or b"", record.response or b"")
    assert records.read(entry) == exchange


def test_half_a_character_does_not_stop_a_record() -> None:
    exchange = replace(chat(), reading=Reading(request_preview="a\ud800b"))
    record = records.whole(exchange)
    said = records.read(Entry(record.kind, (1,), record.facts, b"", b""))
    assert isinstance(said, type(exchange))
    assert said.reading is not None
    assert said.reading.request_preview == "a?b"


def test_late_facts_read_back_as_they_were() -> None:
    at = from_microseconds(1_763_000_000_123_456)
    for record, fact in (
        (records.amendment(a := records.Amendment(7, chat().id, at, {"env": "prod", "old": None}, {"s": 1.0})), a),
        (records.forget(f := records.Forget(7, (chat().id,), at)), f),
    ):
        assert records.read(Entry(record.kind, (1,), record.facts, b"", b"")) == fact
