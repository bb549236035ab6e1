"""`edge` as a process of its own, without Postgres, between a raw upstream and raw clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import orjson
from django.conf import settings

from accounts_app.keys import hash_key
from accounts_app.secrets import Keyring
from helicone_site import asgi
from ingest_app import records
from ingest_app.spool import Reader
from llm.exchange import Exchange
from tests.faults.processes import wait_until
from tests.gateway_app.stage import AUTH, KEY, parse_answer

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"id": 1, "organization_id": 7, "name": "k", "key_hash": hash_key(KEY), "permissions": "rw"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def edge(
    folder: Path, port: int, upstream_port: int, parts: Mapping[str, Any] = MappingProxyType({}), **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A real `edge` that knows its keys and the rest of its snapshot from the copy on disk; there is no Postgres."""
    known = {part.name: [] for part in asgi.parts(Keyring(settings.SECRETS_KEYS))} | {"keys": [KEYS]} | dict(parts)
    snapshot = {"version": 1, "at": time.time(), "parts": known}
    (folder / "snapshot.json").write_bytes(orjson.dumps(snapshot))
    given = {
        "DATA_DIR": str(folder), "PORT": str(port), "DATABASE_URL": "postgresql:///none?host=/nonexistent",
        "PROVIDER_URL_OPENAI": f"http://127.0.0.1:{upstream_port}", **more,
    }  # fmt: skip
    command = [sys.executable, "-m", "helicone_site.asgi"]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **given}, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def accepting(port: int) -> None:
    for _ in range(1000):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    raise AssertionError("edge did not start")


async def connect(
    port: int, body: bytes = b"{}", headers: Mapping[str, str] = AUTH
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A call on its way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    given = {"host": "gateway.test", "connection": "close", "content-length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    writer.write(f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + body)
    return reader, writer


async def call(
    port: int, body: bytes = b"{}", headers: Mapping[str, str] = AUTH
) -> tuple[int, dict[str, str], bytes]:
    """One call, whole."""
    reader, writer = await connect(port, body, headers)
    try:
        return parse_answer(await asyncio.wait_for(reader.read(), 45))
    finally:
        writer.close()


def kept(folder: Path, count: int) -> list[Exchange]:
    """The finished exchanges in the spool, once there are as many."""
    found: list[Exchange] = []

    def are_there() -> bool:
        with contextlib.closing(Reader(folder / "spool")) as reader:
            found[:] = [
                cast(Exchange, records.read(entry)) for entry in reader.take(limit=100_000, max_bytes=2**40)
            ]
        return len(found) >= count

    wait_until(are_there, f"{count} exchanges in the spool")
    return found


def resident_kb(process: subprocess.Popen[bytes]) -> int:
    """Memory it holds now."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
