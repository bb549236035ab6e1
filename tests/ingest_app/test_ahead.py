"""Reading ahead of the line: each entry once and in order, however many threads and failures there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest_app import ahead, line, records
from ingest_app.ahead import Ahead
from ingest_app.spool import Kind, Reader, Record, Writer
from llm.exchange import Exchange, ParsedExchange
from tests.ingest_app.exchanges import chat


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    with closing(Writer(tmp_path, max_bytes=2**40, min_free_bytes=0)) as writer:
        yield writer


@pytest.fixture
def reader(tmp_path: Path, writer: Writer) -> Iterator[Reader]:
    with closing(Reader(tmp_path)) as reader:
        yield reader


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "BATCH", 10)
    monkeypatch.setattr(ahead, "MANY", 5)


def put(writer: Writer, *exchanges: Exchange) -> None:
    for future in [writer.put(records.whole(exchange)) for exchange in exchanges]:
        future.result(5)


def test_every_entry_comes_once_and_in_order(writer: Writer, reader: Reader) -> None:
    exchanges = [chat(n) for n in range(34)]
    put(writer, *exchanges)
    with closing(Ahead(reader)) as batches:
        taken = []
        while (batch := batches.take()).entries:
            assert [one.exchange.id for one in batch.parsed or ()] == [one.id for one in batch.work.exchanges]
            taken += [one.id for one in batch.work.exchanges]
            reader.remove(batch.entries)
    assert taken == [exchange.id for exchange in exchanges]


def test_what_was_taken_and_not_removed_comes_again(writer: Writer, reader: Reader) -> None:
    exchanges = [chat(n) for n in range(25)]
    put(writer, *exchanges)
    with closing(Ahead(reader)) as batches:
        first = batches.take()
        batches.begin_anew()
        again = batches.take()
        reader.remove(again.entries)
        behind = batches.take()
    assert first.entries == again.entries
    assert [one.id for one in behind.work.exchanges] == [one.id for one in exchanges[10:20]]


def test_few_entries_are_left_to_become_more(writer: Writer, reader: Reader) -> None:
    put(writer, *[chat(n) for n in range(12)])
    with closing(Ahead(reader)) as batches:
        reader.remove(batches.take().entries)
        put(writer, *[chat(n) for n in range(12, 15)])
        assert len(batches.take().entries) == 5


def test_what_cannot_be_read_is_told_apart(writer: Writer, reader: Reader) -> None:
    writer.put(Record(Kind.WHOLE, None, b"not json")).result(5)
    put(writer, chat(1))
    with closing(Ahead(reader)) as batches:
        batch = batches.take()
    assert [entry.facts for entry, _ in batch.unreadable] == [b"not json"]
    assert len(batch.said) == 1


def test_a_parser_that_trips_stops_nothing(writer: Writer, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def trips(work: line.Work) -> list[ParsedExchange]:
        raise ZeroDivisionError

    monkeypatch.setattr(line, "parsed", trips)
    put(writer, chat(1))
    with closing(Ahead(reader)) as batches:
        batch = batches.take()
    assert batch.parsed is None
    assert len(batch.said) == 1
