"""Recorded traffic through the gateway: real sockets, an upstream that answers as it was recorded, a real spool."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from gateway_app.connection import Connection
from gateway_app.targets import Origin
from ingest_app import line, records
from ingest_app.ahead import BATCH
from ingest_app.line import Bench, Tally
from ingest_app.spool import Reader
from llm.exchange import Exchange, PricedExchange
from llm.pricing import PriceBook
from tests.gateway_app.stage import AUTH, Stage, chunk, read_request, staged
from tests.wire.exchanges import NOON, bytes_of, headers_of

WHICH = "x-recorded"
"""Header by which the upstream knows what to answer, and we which call a row is."""
AT_ONCE = 64
OF_THIS_HOP = frozenset({"host", "connection", "content-length", "accept-encoding", "transfer-encoding", "te"})
ALSO_OURS = "/v1/organization"
"""A path of OpenAI's that our own API has too, so that it takes the long way."""
PIECES = 7
"""A stream comes in so many, cut wherever that falls."""

Record = Mapping[str, Any]


def replayed(folder: Path, told: Sequence[Record], book: PriceBook) -> dict[str, PricedExchange]:
    """{record's id: what the line reads and prices of it}, once all have passed the gateway."""
    asyncio.run(asyncio.wait_for(_pass_all(folder, {record["id"]: record for record in told}), 300))
    return {row.exchange.request_headers[WHICH]: row for row in _priced(folder / "spool", book)}


async def _pass_all(folder: Path, told: Mapping[str, Record]) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked = await read_request(reader)
            for piece in _answer(told[asked.headers[WHICH]]):
                writer.write(piece)
                await writer.drain()

    async with staged(folder, play, silence_seconds=120, patience=120, provider_urls={}) as stage:
        connect = _whoever_is_called(stage)
        stage.gateway.pool._connect_any = connect  # type: ignore[method-assign, assignment]
        turns = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(_pass(stage, record, turns) for record in told.values()))


def _whoever_is_called(stage: Stage) -> Callable[[Origin], Coroutine[Any, Any, Connection]]:
    """The stage's upstream answers."""

    async def connect(origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(loop, origin.host)
        await loop.create_connection(lambda: connection, "127.0.0.1", stage.upstream_port)
        return connection

    return connect


async def _pass(stage: Stage, record: Record, turns: asyncio.Semaphore) -> None:
    asked, url = record["request"], urlsplit(record["request"]["url"])
    sent = {name: value for name, value in headers_of(asked).items() if name not in OF_THIS_HOP}
    headers = {**sent, **AUTH, WHICH: record["id"], "helicone-target-url": f"{url.scheme}://{url.netloc}"}
    path = ("/v1/gateway/custom" if url.path.startswith(ALSO_OURS) else "") + url.path + (url.query and f"?{url.query}")
    async with turns:
        status, _, body = await stage.ask(asked["method"], path, bytes_of(asked), headers=headers)
    expected = (record["response"]["status"], _on_the_wire(record["response"])[1])
    assert (status, body) == expected, (record["id"], path, status, body[:500])


def _on_the_wire(came: Record) -> tuple[str, bytes]:
    """(content encoding, body): a body recorded without the encoding it came in gets it back."""
    data = bytes_of(came)
    encoding = came.get("body_decoded_from") or headers_of(came).get("content-encoding", "")
    return (encoding, gzip.compress(data, 1, mtime=0)) if encoding == "gzip" else (encoding, data)


def _answer(record: Record) -> Iterable[bytes]:
    came = record["response"]
    encoding, data = _on_the_wire(came)
    headers = {name: value for name, value in headers_of(came).items() if name not in OF_THIS_HOP}
    if encoding:
        headers["content-encoding"] = encoding
    is_stream = record["response_stream"]
    headers |= {"transfer-encoding": "chunked"} if is_stream else {"content-length": str(len(data))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    yield f"HTTP/1.1 {came['status']} As then\r\n{lines}\r\n".encode()
    if not is_stream:
        yield data
        return
    size = len(data) // PIECES + 1
    yield from (chunk(data[start : start + size]) for start in range(0, len(data), size))
    yield chunk(b"")


def _priced(folder: Path, book: PriceBook) -> Iterable[PricedExchange]:
    """As the line does it, to where it would store; at a time of ours, so that prices do not change under the test."""
    bench = Bench(cast(Any, None), book, Tally())
    with closing(Reader(folder)) as reader:
        while entries := reader.take(limit=BATCH):
            read = [cast(Exchange, records.read(entry)) for entry in entries]
            work = line.Work([replace(each, requested_at=NOON) for each in read])
            yield from line.price_all(line.parsed(work), bench)
            reader.remove(entries)
