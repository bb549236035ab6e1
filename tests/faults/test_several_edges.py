"""Three `edge` processes on one Redis: equal questions at once cause one call, a limit is exact to the request."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid

import pytest

from helicone_site import settings
from tests.faults.alone import accepting, call, edge, free_port
from tests.gateway_app.stage import AUTH, json_answer, listening, read_request

pytestmark = pytest.mark.slow
EDGES = 3
CACHED = {**AUTH, "helicone-cache-enabled": "true"}


def among(tmp_path, play, work) -> None:
    """Runs `work(ports)`."""
    ports = [free_port() for _ in range(EDGES)]
    folders = [tmp_path / str(port) for port in ports]

    async def run() -> None:
        async with listening(play) as upstream_port:
            with contextlib.ExitStack() as stack:
                started = []
                for folder, port in zip(folders, ports, strict=True):
                    folder.mkdir()
                    running = edge(folder, port, upstream_port, REDIS_URL=settings.REDIS_URL, REDIS_PATIENCE_MS="20000")
                    started.append(stack.enter_context(running))
                for port in ports:
                    await accepting(port)
                    await knowing_redis(port)
                await work(ports)
                for process in started:
                    process.terminate()
                for process in started:
                    assert await asyncio.to_thread(process.wait, 30) in (0, -signal.SIGTERM)

    asyncio.run(asyncio.wait_for(run(), 120))


async def knowing_redis(port: int) -> None:
    """Until it has a connection: a limit it can look at."""
    limited = {**AUTH, "helicone-ratelimit-policy": "1000000;w=60"}
    for _ in range(1000):
        _, headers, _ = await call(port, b'{"warm":1}', limited)
        if "helicone-ratelimit-error" not in headers:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("edge does not find Redis")


def test_fifty_equal_questions_at_three_edges_cause_one_call(tmp_path):
    question = b'{"model":"m","id":"%b"}' % uuid.uuid4().hex.encode()
    asked, found = [], []
    everybody = asyncio.Event()

    async def play(reader, writer):
        while True:
            request = await read_request(reader)
            if request.body == question:
                asked.append(request)
                await everybody.wait()
            writer.write(json_answer(b'{"n":%d}' % len(asked)))

    async def work(ports):
        calls = [asyncio.create_task(call(ports[n % EDGES], question, CACHED)) for n in range(50)]
        while not asked:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)  # time for the others to come too; with less of it there is only less to see
        everybody.set()
        found.extend(await asyncio.gather(*calls))
        again = await asyncio.gather(*(call(port, question, CACHED) for port in ports))
        assert {headers["helicone-cache"] for _, headers, _ in again} == {"HIT"}

    among(tmp_path, play, work)
    assert len(asked) == 1
    assert {(status, body) for status, _, body in found} == {(200, b'{"n":1}')}
    assert sorted(headers["helicone-cache"] for _, headers, _ in found) == ["HIT"] * 49 + ["MISS"]


def test_two_hundred_callers_at_three_edges_never_exceed_a_limit_by_one(tmp_path):
    segment = uuid.uuid4().hex
    limited = {**AUTH, "helicone-ratelimit-policy": "37;w=31536000;s=batch", "helicone-property-batch": segment}
    passed, found = [], []

    async def play(reader, writer):
        while True:
            request = await read_request(reader)
            if request.body == b"{}":
                passed.append(request)
            writer.write(json_answer())

    async def work(ports):
        found.extend(await asyncio.gather(*(call(ports[n % EDGES], b"{}", limited) for n in range(200))))

    among(tmp_path, play, work)
    statuses = [status for status, _, _ in found]
    assert (statuses.count(200), statuses.count(429), len(passed)) == (37, 163, 37)
    assert min(int(headers["helicone-ratelimit-remaining"]) for _, headers, _ in found) == 0
