"""How fast posted logs become rows, how soon they are seen, and what each of the processes spends on one.

    python -m bench.ingest [--count 20000] [--connections 16] [--rate 100] [--seconds 15]

Starts the product with its embedded Postgres in a temporary folder, on a free port (`--external`: on DATABASE_URL and
REDIS_URL instead). Two runs, with bodies of 3.4 KB of request and 1.9 KB of reply, all different:

* flood: COUNT logs as fast as CONNECTIONS keep-alive connections carry them, until the last is a row;
* steady: RATE logs a second for SECONDS, each followed from its 200 to the moment a query finds its row.

CPU is what the kernel charged the process trees of edge, line and Postgres meanwhile; the load generator is a process
of its own and counted apart. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from helicone_site import places

ROOT = Path(__file__).resolve().parent.parent
REQUEST_BYTES, REPLY_BYTES = 3400, 1900
BODIES = 256
START_SECONDS, DRAIN_SECONDS = 180, 300
POLL_SECONDS = 0.01
TICKS = os.sysconf("SC_CLK_TCK")


# --- what is sent -----------------------------------------------------------------------------------------------------


def text(chance: random.Random, length: int) -> str:
    """Words, in the mix of lengths English has."""
    letters = "etaoinshrdlucmfwypvbgk"
    words = []
    size = 0
    while size < length:
        words.append("".join(chance.choices(letters, k=chance.choice((2, 3, 4, 4, 5, 6, 7, 9)))))
        size += len(words[-1]) + 1
    return " ".join(words)[:length]


def body(chance: random.Random, n: int) -> bytes:
    """A log whose request and reply have the sizes above; `@` marks where the time goes."""
    request: dict[str, Any] = {"model": "gpt-4o-mini", "temperature": 0.2, "messages": [
        {"role": "system", "content": "You answer questions about orders."},
        {"role": "user", "content": ""},
    ]}  # fmt: skip
    reply: dict[str, Any] = {
        "id": f"chatcmpl-{n}", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ""}}],
        "usage": {"prompt_tokens": 780, "completion_tokens": 390, "total_tokens": 1170},
    }  # fmt: skip
    request["messages"][1]["content"] = text(chance, REQUEST_BYTES - len(json.dumps(request)))
    reply["choices"][0]["message"]["content"] = text(chance, REPLY_BYTES - len(json.dumps(reply)))
    meta = {
        "Helicone-User-Id": f"user-{n % 50}", "Helicone-Session-Id": f"session-{n % 100}",
        "Helicone-Session-Path": "/a/b", "Helicone-Property-Env": "bench",
        "Helicone-Property-Plan": ("free", "pro")[n % 2],
    }  # fmt: skip
    second = {"seconds": "@@@@@@@@@@", "milliseconds": 120}
    return json.dumps({
        "providerRequest": {"url": "https://api.openai.com/v1/chat/completions", "json": request, "meta": meta},
        "providerResponse": {"json": reply, "status": 200, "headers": {}},
        "timing": {"startTime": second, "endTime": {**second, "milliseconds": 920}},
    }).encode()  # fmt: skip


def requests(key: str, port: int) -> list[tuple[bytes, ...]]:
    """Whole HTTP requests, cut where the time goes."""
    chance = random.Random(1)
    found = []
    for n in range(BODIES):
        data = body(chance, n)
        head = (
            f"POST /oai/v1/log HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        found.append(tuple((head.encode() + data).split(b"@@@@@@@@@@")))
    return found


# --- who sends it: a process of its own -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    port: int
    key: str
    count: int
    connections: int
    rate: float
    """Logs a second over all connections; 0: as fast as they go."""


@dataclass(frozen=True)
class Sent:
    """When each log was answered, by its id, on the machine's monotonic clock; and what sending took."""

    answered: dict[UUID, float]
    latencies: list[float]
    first_at: float
    last_at: float
    cpu_seconds: float


def send(load: Load, results: multiprocessing.Queue[Sent], ids: multiprocessing.Queue[tuple[UUID, float]]) -> None:
    results.put(asyncio.run(_send(load, ids)))


async def _send(load: Load, ids: multiprocessing.Queue[tuple[UUID, float]]) -> Sent:
    prepared = requests(load.key, load.port)
    turns = iter(range(load.count))
    answered: dict[UUID, float] = {}
    latencies: list[float] = []
    cpu, first_at = time.process_time(), time.monotonic()

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
        for n in turns:
            if load.rate:
                await asyncio.sleep(max(0.0, first_at + n / load.rate - time.monotonic()))
            begun = time.monotonic()
            writer.write((b"%d" % time.time()).join(prepared[n % BODIES]))
            identifier = await _answer(reader)
            answered[identifier] = at = time.monotonic()
            latencies.append(at - begun)
            if load.rate:
                ids.put((identifier, at))
        writer.close()

    await asyncio.gather(*(one_connection() for _ in range(load.connections)))
    return Sent(answered, latencies, first_at, time.monotonic(), time.process_time() - cpu)


async def _answer(reader: asyncio.StreamReader) -> UUID:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines[1:] if line)
    said = await reader.readexactly(int(headers[b"content-length"]))
    if b" 200 " not in lines[0] + b" ":
        raise SystemExit(f"refused: {head.decode()}{said.decode()}")
    return UUID(headers[b"helicone-id"].decode())


# --- what is measured -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Product:
    """A running product: where it listens, its key, its database, its process ids by name."""

    port: int
    key: str
    organization_id: int
    database: psycopg.Connection[Any]
    pids: dict[str, int]

    def cpu_seconds(self) -> dict[str, float]:
        return {name: tree_seconds(pid) for name, pid in self.pids.items()}

    def found(self, ids: list[UUID]) -> set[UUID]:
        """Those of the ids that are rows."""
        question = "SELECT id FROM llm_request WHERE organization_id = %s AND id = ANY(%s)"
        return {row[0] for row in self.database.execute(question, (self.organization_id, ids))}

    def count(self) -> int:
        (row,) = self.database.execute("SELECT count(*) FROM llm_request").fetchall()
        return int(row[0])

    def steps(self) -> dict[str, tuple[float, int]]:
        """The line's own account: seconds and items by step."""
        told = health(self.port).get("line", {})
        return {name: (spent, told["items"].get(name, 0)) for name, spent in told.get("seconds", {}).items()}


def tree_seconds(pid: int) -> float:
    """CPU of a process, its living children, and its reaped ones."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return 0.0
    return sum(int(ticks) for ticks in stat[11:15]) / TICKS + sum(tree_seconds(child) for child in children)


def flood(product: Product, *, count: int, connections: int) -> None:
    before, stood, steps_before = product.cpu_seconds(), product.count(), product.steps()
    sent = _sent(product, count=count, connections=connections, rate=0)
    last = sorted(sent.answered, key=lambda identifier: sent.answered[identifier])[-connections:]
    _await(lambda: len(product.found(last)) == len(last), what="the last logs to become rows")
    ended = time.monotonic()
    _await(lambda: product.count() == stood + count, what="every log to be a row")
    after = product.cpu_seconds()
    print(f"\nflood: {count} logs over {connections} connections")
    print(f"  from HTTP to table     {count / (ended - sent.first_at):8.0f} exchanges/s")
    print(f"  answered               {count / (sent.last_at - sent.first_at):8.0f} exchanges/s")
    print(f"  until 200              {quantiles(sent.latencies)}")
    for name in product.pids:
        print(f"  CPU {name:<18} {(after[name] - before[name]) / count * 1e6:8.0f} us an exchange")
    print(f"  CPU load generator     {sent.cpu_seconds / count * 1e6:8.0f} us an exchange (not ours)")
    time.sleep(1.5)  # until the line has told its account of the last batches
    for name, (spent, _) in product.steps().items():
        used = spent - steps_before.get(name, (0.0, 0))[0]
        print(f"  line, {name:<16} {used / count * 1e6:8.0f} us an exchange, by its own clock")


def steady(product: Product, *, rate: float, seconds: float) -> None:
    seen = _followed(product, count=int(rate * seconds), connections=8, rate=rate)
    print(f"\nsteady: {rate:.0f} logs a second for {seconds:.0f} s")
    print(f"  from 200 to visible    {quantiles(seen)}  (looked for every {POLL_SECONDS * 1000:.0f} ms)")


def _sent(product: Product, *, count: int, connections: int, rate: float) -> Sent:
    process, results, _ = _sender(Load(product.port, product.key, count, connections, rate))
    sent = results.get()
    process.join()
    return sent


def _sender(load: Load) -> tuple[Any, Any, Any]:
    context = multiprocessing.get_context("spawn")
    results, ids = context.Queue(), context.Queue()
    process = context.Process(target=send, args=(load, results, ids))
    process.start()
    return process, results, ids


def _followed(product: Product, *, count: int, connections: int, rate: float) -> list[float]:
    """Seconds from each log's answer to the first query that found its row."""
    process, results, ids = _sender(Load(product.port, product.key, count, connections, rate))
    waiting: dict[UUID, float] = {}
    seen: list[float] = []
    deadline = time.monotonic() + count / rate + DRAIN_SECONDS
    while len(seen) < count and time.monotonic() < deadline:
        while not ids.empty():
            identifier, at = ids.get()
            waiting[identifier] = at
        found = product.found(list(waiting)) if waiting else set()
        now = time.monotonic()
        seen += [max(0.0, now - waiting.pop(identifier)) for identifier in found]
        time.sleep(POLL_SECONDS)
    results.get()
    process.join()
    if len(seen) < count:
        raise SystemExit(f"{count - len(seen)} logs answered with 200 never became rows")
    return seen


def _await(is_so: Any, *, what: str) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {DRAIN_SECONDS} s for {what}")
        time.sleep(0.02)


def quantiles(seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {cuts[49] * 1000:7.1f} ms   p95 {cuts[94] * 1000:7.1f} ms   max {max(seconds) * 1000:7.1f} ms"


# --- what is measured on ----------------------------------------------------------------------------------------------


@contextmanager
def running(*, is_external: bool) -> Iterator[Product]:
    """`manage.py up` in a folder of its own, stopped and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-ingest-"))
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    environment = {**os.environ, "DATA_DIR": str(folder), "HOST": "127.0.0.1", "PORT": str(port)}
    if not is_external:
        environment = {**environment, "DATABASE_URL": "", "REDIS_URL": ""}
    with (folder / "up.log").open("wb") as output:
        up = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up"], cwd=ROOT, env=environment, stdout=output, stderr=output
        )
    try:
        beats = _up(up, port, folder)
        login = json.loads((folder / "first-login.json").read_text())
        with psycopg.connect(_conninfo(folder, is_external), autocommit=True) as database:
            pids = {name: beats[name]["pid"] for name in ("edge", "line", "web", "worker") if name in beats}
            pids["postgres"] = _postmaster(database)
            yield Product(port, login["api_key"], int(login["organization_id"]), database, pids)
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _up(up: subprocess.Popen[bytes], port: int, folder: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_SECONDS
    while not (beats := health(port)):
        if up.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the product did not start:\n{(folder / 'up.log').read_text()[-3000:]}")
        time.sleep(0.2)
    return beats


def health(port: int) -> dict[str, Any]:
    """Each process's line of /healthz; empty until all are well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            lines = [json.loads(line) for line in answer.read().splitlines()]
    except OSError:
        return {}
    return {line["process"]: line for line in lines}


def _conninfo(folder: Path, is_external: bool) -> str:
    if is_external:
        return os.environ["DATABASE_URL"]
    return f"host={places.run_folder(folder) / 'postgres'} user=helicone dbname=helicone"


def _postmaster(database: psycopg.Connection[Any]) -> int:
    """The server's own process: the parent of the one that serves us."""
    status = Path(f"/proc/{database.info.backend_pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--external", action="store_true", help="on DATABASE_URL and REDIS_URL")
    given = parser.parse_args()
    with running(is_external=given.external) as product:
        flood(product, count=min(500, given.count), connections=given.connections)
        print("\n(that was to warm up)")
        flood(product, count=given.count, connections=given.connections)
        steady(product, rate=given.rate, seconds=given.seconds)


if __name__ == "__main__":
    main()
