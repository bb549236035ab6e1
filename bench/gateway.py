"""What the gateway costs: CPU per request and added latency, beside nginx `proxy_pass` and a direct call.

    python -m bench.gateway [--seconds 4] [--rounds 3] [--connections 1 16 64] [--only json model sse paced]
                            [--policies limit hit]

Needs `wrk` and, for the comparison, `nginx`. The proxies run on core 0; the load, the upstream, Valkey on the others.
Logging is on: every exchange goes durably into a spool. Nothing leaves this machine.

    json    a 1.7 KB chat request, a 1.2 KB answer at once: the wait for the disk is all there is to see
    model   the same, answered after 100 ms, as a quick model might: what a caller has to wait for us
    sse     50 events written one by one without a pause, and one of token counts, which the client asks for
    unasked the same for a client who does not ask: where a budget counts the call, edge asks, and keeps them from it
    paced   50 events, one every 5 ms, as a model would send them

`edge` is without policies; `edge+limit` and so on ask for what POLICIES says. Beside its CPU stand the trips to Redis a
request made, counted by Redis: 0 without policies, at most 2 with. `edge+guarded` is what a target stands for: a limit,
a budget and a look-up that finds nothing may cost 120 µs more than none of them, in one trip. That is of a core with
work to do (json, sse): one that slept in between has cold caches, so `model` and `paced` show more for everything.

The ways are measured one after the other, and all of them again in each round: of CPU and trips the mean is shown, of
latencies the median. `from`, `to` are the least and the most that any round had more CPU than `edge` had in it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"
BUDGET_KEY = "sk-helicone-eeeeeee-fffffff-ggggggg-hhhhhhh"
"""Of another organization, which has a budget."""
EVENTS = 50
MESSAGES = [{"role": "system", "content": "s" * 800}, {"role": "user", "content": "u" * 780}]
REQUEST = {"model": "gpt-4o-mini", "messages": MESSAGES}
ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a" * 850}}],
    "usage": {"prompt_tokens": 400, "completion_tokens": 200, "total_tokens": 600},
}  # fmt: skip
EVENT = b"data: " + json.dumps(
    {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18",
     "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
).encode() + b"\n\n"  # fmt: skip
USAGE = b"data: " + json.dumps(
    {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18", "choices": [],
     "usage": ANSWER["usage"]}
).encode() + b"\n\n"  # fmt: skip
DONE = b"data: [DONE]\n\n"
LIMIT = {"helicone-ratelimit-policy": "1000000000;w=3600"}
LOOK_UP = {"helicone-cache-read": "true", "helicone-cache-seed": "what nobody saves"}
POLICIES: dict[str, dict[str, str]] = {
    "limit": LIMIT,
    "look-up": {**LIMIT, **LOOK_UP},
    "budget": {},
    "guarded": {**LIMIT, **LOOK_UP},
    "miss": {**LIMIT, "helicone-cache-enabled": "true", "helicone-cache-seed": "%n"},
    "hit": {**LIMIT, "helicone-cache-enabled": "true"},
}
"""Headers of each. `look-up` finds nothing and saves nothing; `miss` looks up, counts, saves: `%n` is another text in
every request."""
WITH_BUDGET = frozenset({"budget", "guarded"})
ORGANIZATIONS = {KEY: 1, BUDGET_KEY: 2}
BUDGET = {
    "id": 1, "edition": 1, "organization_id": ORGANIZATIONS[BUDGET_KEY], "name": "bench",
    "limit_nano_usd": 9_000_000 * 10**9, "span": "month", "hours": 0, "time_zone": "UTC", "warn_percents": [80, 100],
    "is_hard": True, "by": "organization", "property_name": "", "value": "",
}  # fmt: skip
PRICE = {
    "id": 1, "provider": "openai", "model_key": "gpt-4o-mini", "match": {"equals": "gpt-4o-mini"},
    "organization_id": None, "priority": 0, "source": "bench", "input_mtok": "0.15", "output_mtok": "0.6",
}  # fmt: skip
COST_NANO_USD = 180_000
"""Of ANSWER."""
SETTLED = "bench:settled"
"""Where in Redis stands how many scripts have settled budgets."""
PATHS = {kind: f"/v1/chat/completions?{kind}" for kind in ("json", "model", "sse", "unasked", "paced")}


# --- the upstream -----------------------------------------------------------------------------------------------------


class Upstream(asyncio.Protocol):
    """Knows three paths, and no more HTTP than it needs."""

    body = json.dumps(ANSWER).encode()
    json_answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    sse_head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk, usage, done = (b"%x\r\n%b\r\n" % (len(event), event) for event in (EVENT, USAGE, DONE))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.seen = transport, b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        head, end, body = self.seen.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if not end or len(body) < int(length[1] if length else 0):
            return
        self.seen = b""
        self.end = (self.usage if b"include_usage" in body else b"") + self.done + b"0\r\n\r\n"
        if b"?sse" in head or b"?unasked" in head:
            self.transport.write(self.sse_head)
            for _ in range(EVENTS):
                self.transport.write(self.chunk)
            self.transport.write(self.end)
        elif b"?paced" in head:
            self.transport.write(self.sse_head)
            self.step(EVENTS)
        elif b"?model" in head:
            asyncio.get_running_loop().call_later(0.1, self.answer)
        else:
            self.answer()

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.json_answer)

    def step(self, left: int) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(self.chunk if left else self.end)
        if left:
            asyncio.get_running_loop().call_later(0.005, self.step, left - 1)


def serve_upstream(port: int) -> None:
    import uvloop

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    uvloop.run(run())


# --- what is measured -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    requests: int
    errors: int
    p50_us: float
    p99_us: float
    cpu_us: float
    trips: float
    """To Redis, a request."""


@dataclass(frozen=True)
class Way:
    """One way to the upstream. `script` is what wrk sends."""

    port: int
    pids: list[int]
    script: Path
    redis: Path | None = None
    """Its Redis' socket."""


def load(way: Way, kind: str, *, connections: int, seconds: float) -> Measured:
    before, trips = cpu_seconds(way.pids), trips_made(way.redis)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(way.script),
               f"http://127.0.0.1:{way.port}{PATHS[kind]}"]  # fmt: skip
    said = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=lambda: pin(1)).stdout
    spent, tripped = cpu_seconds(way.pids) - before, trips_made(way.redis) - trips
    told = json.loads(said.strip().splitlines()[-1])
    count = max(1, told["requests"])
    return Measured(told["requests"], told["errors"], told["p50"], told["p99"], spent / count * 1e6, tripped / count)


def trips_made(redis: Path | None) -> int:
    """How many trips edge made to Redis so far: each is a script, and so is what settles budgets."""
    if redis is None:
        return 0
    asked = Redis(unix_socket_path=str(redis))
    told: Any = asked.info("commandstats")
    scripts = sum(told[name]["calls"] for name in ("cmdstat_eval", "cmdstat_evalsha") if name in told)
    return int(scripts - int(asked.get(SETTLED) or 0))  # type: ignore[arg-type]


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes and everybody they started."""
    ticks = 0
    for pid in {*pids, *(child for parent in pids for child in children(parent))}:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found += [child, *children(child)]
    return found


def pin(core: int) -> None:
    """To core 0, or to all the others."""
    cores = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {min(cores)} if core == 0 else (cores - {min(cores)} or cores))


WRK = """
wrk.method = "POST"
wrk.body = %s
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer sk-provider"
wrk.headers["helicone-auth"] = "Bearer %s"
wrk.headers["helicone-user-id"] = "user-1"
wrk.headers["helicone-session-id"] = "session-1"
wrk.headers["helicone-property-app"] = "bench"
if wrk.path:find("?sse", 1, true) or wrk.path:find("?paced", 1, true) then wrk.body = %s end
if wrk.path:find("?unasked", 1, true) then wrk.body = %s end
local n, run, policies = 0, os.time() .. "-", { %s }
for name, value in pairs(policies) do
  wrk.headers[name] = value
  if value:find("%%n", 1, true) then
    request = function() n = n + 1; wrk.headers[name] = value:gsub("%%%%n", run .. n); return wrk.format() end
  end
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%%d,"errors":%%d,"p50":%%d,"p99":%%d}\\n', summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


# --- who is measured --------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, core: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, preexec_fn=lambda: pin(core))
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def nginx_configuration(folder: Path, port: int, upstream_port: int) -> Path:
    file = folder / "nginx.conf"
    file.write_text(f"""
        daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
            fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
            upstream model {{ server 127.0.0.1:{upstream_port}; keepalive 128; keepalive_requests 1000000; }}
            server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://model; proxy_http_version 1.1;
                proxy_set_header Connection ""; proxy_buffering off; }} }}
        }}""")
    return file


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[Path]:
    """A Valkey of our own, on a socket."""
    sys.path.insert(0, str(ROOT))
    from helicone_site import embedded

    server = embedded.valkey(folder / "v" / "valkey.sock")
    server.prepare()
    with subprocess.Popen(server.program().argv, preexec_fn=lambda: pin(1)) as process:
        try:
            while not server.is_ready(process.pid):
                time.sleep(0.02)
            yield server.path
        finally:
            process.terminate()


def load_script(folder: Path, name: str, policies: dict[str, str]) -> Path:
    """What wrk sends, with the headers of a policy."""
    file = folder / f"load-{name}.lua"
    told = ", ".join(f"[{json.dumps(header)}] = {json.dumps(value)}" for header, value in policies.items())
    key = BUDGET_KEY if name in WITH_BUDGET else KEY
    streamed = {**REQUEST, "stream": True}
    asking = {**streamed, "stream_options": {"include_usage": True}}
    bodies = [json.dumps(json.dumps(body)) for body in (REQUEST, asking, streamed)]
    file.write_text(WRK % (bodies[0], key, *bodies[1:], told))
    return file


def snapshot() -> dict[str, Any]:
    """What edge knows: two organizations, one of them with a budget."""
    from accounts_app.keys import hash_key

    keys = [
        {"id": of, "organization_id": of, "name": "bench", "key_hash": hash_key(key), "permissions": "rw"}
        for key, of in ORGANIZATIONS.items()
    ]
    return {"version": 1, "at": time.time(), "parts": {"keys": keys, "budgets": [BUDGET], "token_prices": [PRICE]}}


def make_budget_known(redis: Path) -> None:
    """As the ledger does once it has asked Postgres what is spent (alerts_app/ledger.py)."""
    from alerts_app.budgets import KNOWN
    from alerts_app.snapshot import budget_of

    Redis(unix_socket_path=str(redis)).sadd(budget_of(BUDGET).values_key, KNOWN)


@contextlib.contextmanager
def everybody(folder: Path, policies: list[str]) -> Iterator[dict[str, Way]]:
    """The ways: to the upstream itself, by nginx, by edge without policies and with each of those named."""
    sys.path.insert(0, str(ROOT))
    upstream_port, nginx_port, edge_port = free_port(), free_port(), free_port()
    (folder / "snapshot.json").write_text(json.dumps(snapshot()))
    edge = {"DATA_DIR": str(folder), "PORT": str(edge_port), "DATABASE_URL": "postgresql:///none?host=/nonexistent",
            "PROVIDER_URL_OPENAI": f"http://127.0.0.1:{upstream_port}"}  # fmt: skip
    with contextlib.ExitStack() as stack:
        upstream = [sys.executable, __file__, "--upstream", str(upstream_port)]
        stack.enter_context(running(upstream, upstream_port, 1))
        plain = load_script(folder, "plain", {})
        found = {"direct": Way(upstream_port, [], plain)}
        redis = stack.enter_context(valkey(folder))
        make_budget_known(redis)
        if nginx := shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin"):
            command = [nginx, "-p", str(folder), "-c", str(nginx_configuration(folder, nginx_port, upstream_port))]
            found["nginx"] = Way(nginx_port, [stack.enter_context(running(command, nginx_port, 0)).pid], plain)
        command = [sys.executable, "-m", "helicone_site.asgi"]
        pid = stack.enter_context(running(command, edge_port, 0, **edge, REDIS_URL=f"unix://{redis}")).pid
        found["edge"] = Way(edge_port, [pid], plain, redis)
        for name in policies:
            found[f"edge+{name}"] = Way(edge_port, [pid], load_script(folder, name, POLICIES[name]), redis)
        command = [sys.executable, __file__, "--drain", str(folder / "spool"), "--redis", str(redis)]
        stack.enter_context(running(command, edge_port, 1))
        yield found


def drain(folder: Path, redis: Path) -> None:
    """Empties the spool as the line does, and settles budgets, without what else the line does: bench.ingest measures
    that."""
    sys.path.insert(0, str(ROOT))
    from ingest_app.settling import Settler
    from ingest_app.spool import Reader

    reader, settler, counted = Reader(folder), Settler(f"unix://{redis}"), Redis(unix_socket_path=str(redis))
    tidied = 0.0
    while True:
        entries = reader.take(limit=500)
        reader.remove(entries)
        counted.incrby(SETTLED, settle(settler, entries))
        if time.monotonic() - tidied > 0.5:
            reader.tidy()
            tidied = time.monotonic()
        time.sleep(0 if entries else 0.05)


def settle(settler: Any, entries: Sequence[Any]) -> int:
    """Every call that held money has cost what ANSWER costs. Answers the trips to Redis this took."""
    from ingest_app import records
    from ingest_app.settling import AT_ONCE
    from llm.exchange import Charge, PricedExchange, Reading

    held = [records.read(entry) for entry in entries if b'"holds"' in entry.facts]
    settler.settle([PricedExchange(one, Reading(), Charge(COST_NANO_USD, "price")) for one in held])
    return -(-sum(len(one.holds) for one in held) // AT_ONCE)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=4)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    arguments.add_argument("--only", nargs="+", choices=list(PATHS), default=list(PATHS))
    arguments.add_argument("--policies", nargs="*", choices=list(POLICIES), default=list(POLICIES))
    arguments.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--drain", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--redis", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.drain:
        drain(given.drain, given.redis)
        return
    if given.upstream:
        serve_upstream(given.upstream)
        return
    if not shutil.which("wrk"):
        sys.exit("bench.gateway needs wrk (Debian: apt-get install wrk).")
    with tempfile.TemporaryDirectory() as name, everybody(Path(name), given.policies) as everyone:
        print("       conn       through    req/s  CPU µs   more  from    to  Redis   p50 ms   p99 ms"
              "    +p50    +p99  errors")  # fmt: skip
        for kind in given.only:
            for connections in given.connections:
                table(kind, connections, everyone, seconds=given.seconds, rounds=given.rounds)


def table(kind: str, connections: int, everyone: dict[str, Way], *, seconds: int, rounds: int) -> None:
    """`more`: CPU beyond that of edge without policies."""
    seen: dict[str, list[Measured]] = {through: [] for through in everyone}
    for _ in range(rounds):
        for through, way in everyone.items():
            seen[through].append(load(way, kind, connections=connections, seconds=seconds))
    direct, plain = together(seen["direct"]), seen.get("edge")
    for through, way in everyone.items():
        got = together(seen[through])
        added = (got.p50_us - direct.p50_us) / 1000, (got.p99_us - direct.p99_us) / 1000
        cpu = f"{got.cpu_us:7.0f}" if way.pids else "      –"
        more = beyond(seen[through], plain) if plain and through.startswith("edge+") else " " * 18
        trips = f"{got.trips:6.2f}" if way.redis else "      "
        print(f"{kind:6} {connections:4} {through:>13} {got.requests / seconds / rounds:8.0f} {cpu} {more} {trips} "
              f"{got.p50_us / 1000:8.2f} {got.p99_us / 1000:8.2f} {added[0]:7.2f} {added[1]:7.2f}  {got.errors or ''}",
              flush=True)  # fmt: skip


def together(rounds: Sequence[Measured]) -> Measured:
    requests = max(1, sum(one.requests for one in rounds))
    return Measured(
        requests, sum(one.errors for one in rounds), statistics.median(one.p50_us for one in rounds),
        statistics.median(one.p99_us for one in rounds), sum(one.cpu_us * one.requests for one in rounds) / requests,
        sum(one.trips * one.requests for one in rounds) / requests,
    )  # fmt: skip


def beyond(rounds: Sequence[Measured], plain: Sequence[Measured]) -> str:
    each = [one.cpu_us - other.cpu_us for one, other in zip(rounds, plain, strict=True)]
    return f"{together(rounds).cpu_us - together(plain).cpu_us:6.0f} {min(each):5.0f} {max(each):5.0f}"


if __name__ == "__main__":
    main()
