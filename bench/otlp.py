"""How fast exported spans become visible, and what each process spends on one.

    python -m bench.otlp [--spans 20000] [--batch 200] [--connections 4] [--peers FOLDER] [--external]

Starts the product with its embedded Postgres in a temporary folder (`--external`: on DATABASE_URL and REDIS_URL) and
posts exports of BATCH spans as OTLP protobuf over CONNECTIONS keep-alive connections, as fast as they are answered. A
span is 2.5 KB: four model calls under one agent, in the words of OpenTelemetry's GenAI conventions, all different. The
clock runs from the first byte sent until the last span is a row. CPU is what the kernel charged each process tree; the
load generator is a process of its own and counted apart. Linux only.

With `--peers`, the same bytes go to Arize Phoenix and MLflow, each on its own SQLite as its quickstart starts it;
FOLDER is a virtual environment to install them into (or in which they are).
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bench.ingest import running, text, tree_seconds

SPAN_BYTES, SPANS_OF_A_TRACE = 2500, 5
PEER_START_SECONDS, DRAIN_SECONDS = 180, 900


# --- what is sent -----------------------------------------------------------------------------------------------------


def say(owner: Any, **attributes: Any) -> None:
    """Attributes by name, `__` for dots."""
    for name, value in attributes.items():
        kind = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(owner.attributes.add(key=name.replace("__", ".")).value, kind, value)


def agent(span: Span, n: int) -> None:
    span.name, span.kind = "invoke_agent support", Span.SPAN_KIND_INTERNAL
    say(span, gen_ai__operation__name="invoke_agent", gen_ai__agent__name="support", user__id=f"user-{n % 50}",
        gen_ai__conversation__id=f"conversation-{n % 500}")  # fmt: skip


def call(span: Span, n: int) -> None:
    span.name, span.kind = "chat gpt-4o-mini", Span.SPAN_KIND_CLIENT
    say(span, gen_ai__operation__name="chat", gen_ai__provider__name="openai", gen_ai__request__model="gpt-4o-mini",
        gen_ai__response__model="gpt-4o-mini-2024-07-18", gen_ai__response__id=f"chatcmpl-{n}",
        gen_ai__usage__input_tokens=300 + n % 100, gen_ai__usage__output_tokens=150, gen_ai__request__max_tokens=500,
        server__address="api.openai.com", server__port=443, gen_ai__request__temperature=0.2)  # fmt: skip
    span.attributes.add(key="gen_ai.response.finish_reasons").value.array_value.values.add(string_value="stop")


def talk(span: Span, chance: random.Random) -> None:
    """Messages that fill the span up to its size."""
    room = SPAN_BYTES - span.ByteSize() - 250
    for name, role, share in (("input", "user", 0.6), ("output", "assistant", 0.4)):
        parts = [{"type": "text", "content": text(chance, int(room * share))}]
        say(span, **{f"gen_ai__{name}__messages": json.dumps([{"role": role, "parts": parts}])})


def export(chance: random.Random, first: int, count: int) -> bytes:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    say(resource_spans.resource, service__name="bench", telemetry__sdk__language="python",
        telemetry__sdk__name="opentelemetry")  # fmt: skip
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "opentelemetry.instrumentation.openai_v2"
    now = time.time_ns()
    for n in range(first, first + count):
        place = n % SPANS_OF_A_TRACE
        if place == 0 or n == first:
            trace, root = chance.randbytes(16), chance.randbytes(8)
        is_root = place == 0
        span = scope_spans.spans.add(
            trace_id=trace, span_id=root if is_root else chance.randbytes(8), parent_span_id=b"" if is_root else root,
            start_time_unix_nano=now + place * 1_000_000, end_time_unix_nano=now + 900_000_000,
        )  # fmt: skip
        (agent if is_root else call)(span, n)
        talk(span, chance)
    return bytes(request.SerializeToString())


# --- who sends it: a process of its own -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    port: int
    headers: Mapping[str, str]
    spans: int
    batch: int
    connections: int
    seed: int


@dataclass(frozen=True)
class Sent:
    first_at: float
    last_at: float
    bytes: int
    cpu_seconds: float


def send(load: Load, results: multiprocessing.Queue[Sent]) -> None:
    """Everything is made before the clock starts."""
    chance = random.Random(load.seed)
    bodies = [export(chance, first, load.batch) for first in range(0, load.spans, load.batch)]
    waiting, lock = iter(bodies), threading.Lock()
    cpu, first_at = time.process_time(), time.monotonic()

    def one_connection() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", load.port, timeout=DRAIN_SECONDS)
        while True:
            with lock:
                body = next(waiting, None)
            if body is None:
                return connection.close()
            while (status := _posted(connection, body, load.headers)) in (429, 503):
                time.sleep(0.2)
            if status != 200:
                raise SystemExit(f"an export was answered with {status}")

    threads = [threading.Thread(target=one_connection) for _ in range(load.connections)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    results.put(Sent(first_at, time.monotonic(), sum(map(len, bodies)), time.process_time() - cpu))


def _posted(connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]) -> int:
    connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf", **headers})
    answer = connection.getresponse()
    answer.read()
    return answer.status


# --- what is measured -------------------------------------------------------------------------------------------------


def flood(name: str, load: Load, *, count: Callable[[], int], cpu: Callable[[], Mapping[str, float]]) -> None:
    stood, before = count(), cpu()
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    process = context.Process(target=send, args=(load, results))
    process.start()
    sent: Sent = results.get()
    process.join()
    deadline = time.monotonic() + DRAIN_SECONDS
    while count() < stood + load.spans:
        if time.monotonic() > deadline:
            raise SystemExit(f"{name}: {stood + load.spans - count()} spans are not visible after {DRAIN_SECONDS} s")
        time.sleep(0.02)
    ended, after = time.monotonic(), cpu()
    print(f"\n{name}: {load.spans} spans of {sent.bytes // load.spans} bytes, {load.batch} an export")
    print(f"  until all are visible  {load.spans / (ended - sent.first_at):8.0f} spans/s")
    print(f"  answered               {load.spans / (sent.last_at - sent.first_at):8.0f} spans/s")
    for part in after:
        print(f"  CPU {part:<18} {(after[part] - before[part]) / load.spans * 1e6:8.0f} us a span")
    print(f"  CPU load generator     {sent.cpu_seconds / load.spans * 1e6:8.0f} us a span (not theirs)", flush=True)


def ours(given: argparse.Namespace) -> None:
    with running(is_external=given.external) as product:
        headers = {"authorization": f"Bearer {product.key}"}
        for turn, (spans, batch) in enumerate(((1000, 100), *((given.spans, batch) for batch in given.batch))):
            load = Load(product.port, headers, spans, batch, given.connections, turn)
            steps = product.steps()
            flood("ours" if turn else "(warming up)", load, count=product.count, cpu=product.cpu_seconds)
            time.sleep(1.5)  # until the line has told its account of the last batches
            for name, (spent, _) in product.steps().items():
                used = spent - steps.get(name, (0.0, 0))[0]
                print(f"  line, {name:<16} {used / spans * 1e6:8.0f} us a span, by its own clock")


# --- peers ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peer:
    name: str
    package: str
    command: tuple[str, ...]
    """`{port}` and `{folder}` are filled in."""
    database: str
    headers: Mapping[str, str]


PEERS = (
    Peer("Arize Phoenix", "arize-phoenix", ("phoenix", "serve"), "phoenix.db", {}),
    Peer("MLflow", "mlflow", ("mlflow", "server", "--port", "{port}", "--backend-store-uri",
         "sqlite:///{folder}/mlflow.db"), "mlflow.db", {"x-mlflow-experiment-id": "0"}),
)  # fmt: skip


def theirs(peer: Peer, given: argparse.Namespace) -> None:
    program = given.peers / "bin" / peer.command[0]
    if not program.exists():
        install(given.peers, peer.package)
    with tempfile.TemporaryDirectory(prefix="bench-peer-") as folder, started(peer, program, Path(folder)) as found:
        port, pid = found
        database = Path(folder) / peer.database
        for turn, (spans, batch) in enumerate(((200, 100), *((given.peer_spans, batch) for batch in given.batch))):
            load = Load(port, peer.headers, spans, batch, given.connections, turn)
            name = peer.name if turn else f"({peer.name}, warming up)"
            flood(name, load, count=lambda: spans_in(database), cpu=lambda: {"all": tree_seconds(pid)})


def install(environment: Path, package: str) -> None:
    if not (environment / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    subprocess.run([str(environment / "bin" / "python"), "-m", "pip", "install", "-q", package], check=True)


@contextmanager
def started(peer: Peer, program: Path, folder: Path) -> Iterator[tuple[int, int]]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    command = [str(program), *(part.format(port=port, folder=folder) for part in peer.command[1:])]
    told = {"PHOENIX_WORKING_DIR": str(folder), "PHOENIX_PORT": str(port), "PHOENIX_GRPC_PORT": str(port + 1)}
    with (folder / "log").open("wb") as output, subprocess.Popen(
        command, cwd=folder, env={**os.environ, **told}, stdout=output, stderr=output, start_new_session=True
    ) as process:  # fmt: skip
        try:
            _await_port(port, folder / "log")
            yield port, process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def _await_port(port: int, log: Path) -> None:
    deadline = time.monotonic() + PEER_START_SECONDS
    while time.monotonic() < deadline:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/")
                if connection.getresponse().status < 500:
                    return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"it did not start:\n{log.read_text()[-3000:]}")


def spans_in(database: Path) -> int:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        (found,) = connection.execute("SELECT count(*) FROM spans").fetchone()
    return int(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=20_000)
    parser.add_argument("--batch", type=int, nargs="*", default=[100, 500])
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--external", action="store_true", help="on DATABASE_URL and REDIS_URL")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="virtual environment of Phoenix and MLflow")
    parser.add_argument("--peer-spans", type=int, default=3000)
    given = parser.parse_args()
    ours(given)
    for peer in PEERS if given.peers else ():
        theirs(peer, given)


if __name__ == "__main__":
    main()
