"""A stage for the gateway: edge on a real socket, a real spool, and an upstream that does what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import uvicorn

from accounts_app.keys import Speaker
from accounts_app.snapshot import Keeper, Snapshot
from gateway_app import upstream
from gateway_app.gateway import Gateway
from gateway_app.guard import Guard as PolicyGuard
from gateway_app.house import Policy
from gateway_app.targets import Guard, Origin
from helicone_site.asgi import Edge, serve
from helicone_site.front import Bounded
from ingest_app import records
from ingest_app.doors import Doorway
from ingest_app.spool import Reader, Writer
from llm.exchange import Exchange

KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
READ_ONLY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-rrrrrrr"
AUTH = {"helicone-auth": f"Bearer {KEY}"}

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Keys:
    """Stands for the snapshot: two keys, or none read yet."""

    def __init__(self) -> None:
        self.current: Snapshot | None = Snapshot(1, 0.0, {})
        self.known = {KEY: Speaker(7, 11, "test", "rw"), READ_ONLY: Speaker(7, 12, "reader", "r")}

    async def speaker(self, key: str) -> Speaker | None:
        return self.known.get(key)


@dataclass
class Asked:
    """A request as an upstream received it."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Stage:
    port: int
    upstream_port: int
    folder: Path
    spool: Writer
    keys: Keys
    gateway: Gateway
    asked: list[Asked] = field(default_factory=list)

    async def ask(
        self,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        body: bytes = b"{}",
        headers: Mapping[str, str] = AUTH,
    ) -> tuple[int, dict[str, str], bytes]:
        reader, writer = await self.connect(method, path, body, headers=headers)
        raw = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return parse_answer(raw)

    async def connect(
        self,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        body: bytes | None = b"{}",
        *,
        headers: Mapping[str, str] = AUTH,
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**24)
        given = {"host": "gateway.test", "connection": "close", **headers}
        if body is not None:
            given["content-length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b""))
        await writer.drain()
        return reader, writer

    async def exchanges(self, count: int = 1, *, but: str = "-") -> list[Exchange]:
        """What the spool holds, but of URLs that end so, once it holds `count` such finished exchanges."""
        for _ in range(400):
            found = [one for one in await asyncio.to_thread(self._spooled) if not one.url.endswith(but)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"{count} exchanges expected in the spool, found {found}")

    def _spooled(self) -> list[Exchange]:
        with contextlib.closing(Reader(self.folder)) as reader:
            entries = reader.take(limit=1000, max_bytes=2**40)
        return [cast(Exchange, records.read(entry)) for entry in entries]

    def underway(self) -> list[tuple[bytes, bytes]]:
        """Bodies of the records of exchanges begun and pieced so far, in order: (request, response)."""
        with contextlib.closing(Reader(self.folder)) as reader:
            rows = reader._connection.execute("SELECT request, response FROM record WHERE kind < 3 ORDER BY seq")
            return [(row[0] or b"", row[1] or b"") for row in rows]


def parse_answer(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = dechunked(body)
    return int(first.split()[1]), headers, body


def dechunked(body: bytes) -> bytes:
    data = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        data, body = data + rest[:length], rest[length + 2 :]
        if length == 0:
            break
    return data


async def read_request(reader: asyncio.StreamReader) -> Asked:
    """One request, whole. Raises IncompleteReadError when the client has gone."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while length := int(await reader.readline(), 16):
            body += await reader.readexactly(length)
            await reader.readexactly(2)
        await reader.readexactly(2)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(line, headers, body)


def answering(*parts: bytes, pause: float = 0.0, closes: bool = False) -> Play:
    """Reads a request, writes the parts one by one; then the next request, or the end."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)
            if closes:
                return

    return play


def json_answer(body: bytes = b'{"ok":true}', status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@contextlib.asynccontextmanager
async def listening(play: Play, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A raw server on a free port; each connection is one `play`, closed at its end."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await play(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0, limit=2**24, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@contextlib.asynccontextmanager
async def staged(
    folder: Path,
    play: Play,
    *,
    guard: str = "deny",
    silence_seconds: float = 10.0,
    patience: float = 10.0,
    guard_of: PolicyGuard | None = None,
    **policy: Any,
) -> AsyncIterator[Stage]:
    async with listening(play) as upstream_port:
        spool = Writer(folder / "spool", max_bytes=2**33, min_free_bytes=0)
        keys = Keys()
        async with upstream.running(Guard.read(guard), silence_seconds=silence_seconds) as pool:
            url = f"http://127.0.0.1:{upstream_port}"
            given = {"provider_urls": {"openai": url, "anthropic": url}, "silence_seconds": patience, **policy}
            gateway = Gateway(keeper=cast(Keeper, keys), spool=spool, pool=pool, policy=Policy(**given), guard=guard_of)
            doorway = Doorway(keys, spool, 2**20, timedelta(days=400))
            edge = Edge(gateway, doorway, pool, Origin("unix", str(folder / "web.sock"), 0))
            flushing = asyncio.gather(gateway.run(), gateway.guard.run())
            async with served(edge) as port:
                yield Stage(port, upstream_port, folder / "spool", spool, keys, gateway)
            flushing.cancel()
            await asyncio.gather(flushing, return_exceptions=True)
            await gateway.settled()
        await asyncio.to_thread(spool.close)


@contextlib.asynccontextmanager
async def served(edge: Edge) -> AsyncIterator[int]:
    """uvicorn as `edge` runs it, in this loop."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await serve(edge, scope, receive, send)

    config = uvicorn.Config(
        app, port=0, http=Bounded, ws="none", lifespan="off", log_config=None, log_level="critical",
        server_header=False, date_header=False, proxy_headers=False, timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment]
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def recording(seen: list[Asked], answer: bytes):
    async def play(reader, writer):
        while True:
            seen.append(await read_request(reader))
            writer.write(answer)

    return play
