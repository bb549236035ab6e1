"""kill -9 of `edge` in the middle of streams: what had begun durably, or had reached a client, is in the spool."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import orjson
import pytest

from accounts_app.keys import hash_key
from ingest_app import records
from ingest_app.spool import Reader
from llm.exchange import STATUS_INTERRUPTED, Exchange
from tests.gateway_app.stage import KEY, listening, read_request

ROOT = Path(__file__).resolve().parents[2]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b"data: %d\n\n"
KEYS = {"id": 1, "organization_id": 7, "name": "k", "key_hash": hash_key(KEY), "permissions": "rw"}

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def edge(
    folder: Path, port: int, upstream_port: int, parts: Mapping[str, Any] = MappingProxyType({"keys": [KEYS]}),
    **environment: str,
) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """A real `edge` that knows its keys and the rest of its snapshot from the copy on disk; there is no Postgres."""
    snapshot = {"version": 1, "at": time.time(), "parts": dict(parts)}
    (folder / "snapshot.json").write_bytes(orjson.dumps(snapshot))
    given = {
        "DATA_DIR": str(folder), "PORT": str(port), "DATABASE_URL": "postgresql:///none?host=/nonexistent",
        "PROVIDER_URL_OPENAI": f"http://127.0.0.1:{upstream_port}", **environment,
    }  # fmt: skip
    command = [sys.executable, "-m", "helicone_site.asgi"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **given}, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def ask(port: int, number: int, received: dict[int, bytes]) -> None:
    """One streamed call; what reaches the client is put down under its number until the connection dies."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"stream":true,"n":%d}' % number
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nhelicone-auth: Bearer {KEY}\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(65536):
            received[number] = received.get(number, b"") + chunk
    writer.close()


async def accepting(port: int) -> None:
    for _ in range(1000):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    raise AssertionError("edge did not start")


def interrupted(folder: Path) -> dict[bytes, Exchange]:
    """What the line would find, by request body."""
    with contextlib.closing(Reader(folder / "spool")) as reader:
        found = [cast(Exchange, records.read(entry)) for entry in reader.interrupted()]
    return {exchange.request.data: exchange for exchange in found}


def test_a_killed_edge_loses_no_exchange_a_client_has_seen_a_byte_of(tmp_path):
    received: dict[int, bytes] = {}
    asked: set[bytes] = set()

    async def play(reader, writer):
        """Streams an event every 50 ms, for ever; every tenth call is never answered at all."""
        asked.add((await read_request(reader)).body)
        if len(asked) % 10 == 0:
            await reader.read()
        writer.write(STREAM_HEAD)
        for number in range(10_000):
            event = EVENT % number
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.sleep(0.05)

    async def work():
        port = free_port()
        async with listening(play) as upstream_port:
            with edge(tmp_path, port, upstream_port) as process:
                await accepting(port)
                clients = [asyncio.create_task(ask(port, number, received)) for number in range(40)]
                await asyncio.sleep(2.5)
                late = [asyncio.create_task(ask(port, number, received)) for number in range(40, 80)]
                while not any(number >= 40 for number in received):
                    await asyncio.sleep(0.001)
                process.send_signal(signal.SIGKILL)
                await asyncio.gather(*clients, *late, return_exceptions=True)

    asyncio.run(asyncio.wait_for(work(), 60))
    kept = interrupted(tmp_path)
    seen = {b'{"stream":true,"n":%d}' % number for number in received}
    assert len(seen) > 36
    assert seen <= set(kept)
    early = [kept[b'{"stream":true,"n":%d}' % number] for number in received if number < 40]
    assert all(exchange.status == STATUS_INTERRUPTED for exchange in kept.values())
    assert all(exchange.response.data.startswith(EVENT % 0 + EVENT % 1) for exchange in early)
    assert all(exchange.response.data.count(b"data:") >= 10 for exchange in early)


def test_an_edge_told_to_stop_lets_calls_end_and_leaves_nothing_open(tmp_path):
    received: dict[int, bytes] = {}

    async def play(reader, writer):
        await read_request(reader)
        writer.write(STREAM_HEAD + b"9\r\ndata: 1\n\n\r\n")
        await asyncio.sleep(0.5)
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async def work():
        port = free_port()
        async with listening(play) as upstream_port:
            with edge(tmp_path, port, upstream_port) as process:
                await accepting(port)
                client = asyncio.create_task(ask(port, 1, received))
                while 1 not in received:
                    await asyncio.sleep(0.001)
                process.terminate()
                await client
                assert await asyncio.to_thread(process.wait, 20) in (0, -signal.SIGTERM)

    asyncio.run(asyncio.wait_for(work(), 60))
    assert received[1].endswith(b"0\r\n\r\n")
    assert interrupted(tmp_path) == {}
    with contextlib.closing(Reader(tmp_path / "spool")) as reader:
        (entry,) = reader.take(limit=10)
    assert cast(Exchange, records.read(entry)).status == 200
