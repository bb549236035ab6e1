"""A provider that hangs or talks nonsense: the client is told in its own shape, the row says so, edge goes on."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import signal

import orjson
import pytest

from llm.exchange import STATUS_TIMEOUT
from tests.faults.alone import accepting, call, connect, edge, free_port, kept
from tests.gateway_app.stage import AUTH, listening, read_request

pytestmark = pytest.mark.slow
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
GARBAGE = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 what is this\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "two lengths": OK + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "a length that is none": OK + b"Content-Length: many\r\n\r\nabc",
    "a head without end": OK + b"x-a: " + b"a" * 400_000,
    "nothing": b"",
}
"""Answers nothing of which may reach the client."""
CUT = {
    "shorter than told": OK + b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"half\":",
    "a chunk of no size": CHUNKED + b"6\r\ndata: \r\nzz\r\nwhat\r\n",
    "chunks that do not end": CHUNKED + b"6\r\ndata: \r\n",
}
"""Answers that begin well."""
ODD = {
    "HTML": (b"text/html", b"<html>Bad gateway</html>"),
    "gzip that is none": (b"application/json\r\nContent-Encoding: gzip", b"not zip"),
    "half a gzip": (b"application/json\r\nContent-Encoding: gzip", gzip.compress(b'{"a":1}' * 100)[:20]),
    "JSON that is none": (b"application/json", b'{"choices":[{"mess'),
}
"""Answers that are HTTP: type and bytes, with which a gateway has no business."""
FINE = b'{"fine":true}'


async def play(reader, writer):
    """Answers as the request's body names it."""
    while True:
        asked = orjson.loads((await read_request(reader)).body)["as"]
        wire = GARBAGE.get(asked, CUT.get(asked))
        if wire is not None:
            writer.write(wire)
            await writer.drain()
            return
        if asked == "silence":
            await reader.read()
            return
        if asked == "silence in the middle":
            writer.write(CHUNKED + b"9\r\ndata: 1\n\n\r\n")
            await reader.read()
            return
        kind, body = ODD.get(asked, (b"application/json", FINE))
        writer.write(OK + b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(body), body))


def asking(name: str) -> bytes:
    return orjson.dumps({"as": name})


def among(tmp_path, work, **more: str) -> None:
    async def run() -> None:
        port = free_port()
        async with listening(play) as upstream_port:
            with edge(tmp_path, port, upstream_port, {}, **more) as process:
                await accepting(port)
                await work(port)
                status, _, body = await call(port, asking("it should"))
                assert (status, body) == (200, FINE)
                process.terminate()
                assert await asyncio.to_thread(process.wait, 30) in (0, -signal.SIGTERM)

    asyncio.run(asyncio.wait_for(run(), 90))


def test_an_answer_that_is_no_http_is_a_502_that_says_so(tmp_path):
    shapes = {
        "openai": (AUTH, lambda told: told["error"]["code"]),
        "anthropic": ({**AUTH, "anthropic-version": "2023-06-01"}, lambda told: told["type"]),
    }

    async def work(port):
        for name in GARBAGE:
            for shape, (headers, read) in shapes.items():
                status, told, body = await call(port, asking(name), headers)
                assert status == 502, (name, shape, body)
                assert told["content-type"] == "application/json"
                expected = ("error",) if shape == "anthropic" else ("upstream_broken", "upstream_unreachable")
                assert read(orjson.loads(body)) in expected, (name, body)

    among(tmp_path, work)
    rows = kept(tmp_path, 2 * len(GARBAGE) + 1)
    assert sorted(exchange.status for exchange in rows) == [200] + [502] * 2 * len(GARBAGE)
    assert all(exchange.problems for exchange in rows if exchange.status == 502)


def test_an_answer_that_breaks_off_breaks_off_for_the_client_and_the_row_says_so(tmp_path):
    async def work(port):
        for name in CUT:
            reader, writer = await connect(port, asking(name))
            received = b""
            with contextlib.suppress(ConnectionError):
                received = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            assert received.startswith(b"HTTP/1.1 200"), name
            assert not received.endswith(b"0\r\n\r\n"), name

    among(tmp_path, work)
    rows = kept(tmp_path, len(CUT) + 1)
    assert [[problem.code for problem in exchange.problems] for exchange in rows] == [["upstream_broken"]] * 3 + [[]]
    assert rows[0].response.data == b'{"half":'


def test_bytes_that_mean_nothing_pass_as_they_are(tmp_path):
    async def work(port):
        for name, (_, body) in ODD.items():
            status, _, received = await call(port, asking(name))
            assert (status, received) == (200, body), name

    among(tmp_path, work)
    bodies = [exchange.response.data for exchange in kept(tmp_path, len(ODD) + 1)]
    assert bodies == [*(body for _, body in ODD.values()), FINE]


def test_a_provider_that_hangs_is_given_up_before_its_answer_and_in_the_middle_of_it(tmp_path):
    async def work(port):
        status, _, body = await call(port, asking("silence"))
        assert (status, orjson.loads(body)["error"]["code"]) == (504, "upstream_timeout")
        reader, writer = await connect(port, asking("silence in the middle"))
        received = b""
        with contextlib.suppress(ConnectionError):
            received = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        assert b"data: 1" in received
        assert not received.endswith(b"0\r\n\r\n")

    among(tmp_path, work, UPSTREAM_TIMEOUT_SECONDS="1")
    rows = kept(tmp_path, 3)
    assert [exchange.status for exchange in rows] == [STATUS_TIMEOUT, STATUS_TIMEOUT, 200]
    assert rows[1].response.data == b"data: 1\n\n"
