"""Redis killed, and Redis that hangs, under load: a miss and an open limit, never an error; every call is kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from helicone_site import embedded
from lib.processes import spawn
from tests.faults.alone import accepting, call, edge, free_port, kept
from tests.faults.processes import wait_until
from tests.gateway_app.stage import AUTH, json_answer, listening, read_request

pytestmark = pytest.mark.slow
CACHED = {**AUTH, "helicone-cache-enabled": "true"}
LIMITED = {**AUTH, "helicone-ratelimit-policy": "1000000;w=3600"}


class Redis:
    """A Valkey of our own, on a socket."""

    def __init__(self, folder: Path) -> None:
        self._server = embedded.valkey(folder / "r" / "valkey.sock")
        self._log = os.open(folder / "valkey.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.url = f"unix://{folder}/r/valkey.sock"
        self.pid = 0
        self.start()

    def start(self) -> None:
        self._server.prepare()
        self.pid = spawn(self._server.program(), output=self._log)
        wait_until(lambda: self._server.is_ready(self.pid), "Valkey answers")

    def kill(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


@pytest.fixture
def redis(tmp_path_factory) -> Iterator[Redis]:
    try:
        embedded.find_valkey()
    except embedded.CannotEmbed as error:
        pytest.skip(str(error))
    made = Redis(tmp_path_factory.mktemp("r"))
    yield made
    with contextlib.suppress(ProcessLookupError):
        made.kill()


class Load:
    """Callers without a pause, cached and limited by turns; every answer is put down."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_over = False
        self.found: list[tuple[int, dict[str, str]]] = []
        self._tasks = [asyncio.create_task(self._run(number)) for number in range(8)]

    async def _run(self, caller: int) -> None:
        number = 0
        while not self._is_over:
            number += 1
            body = b'{"caller":%d,"n":%d}' % (caller, number // 4)  # each question four times
            status, headers, _ = await call(self._port, body, CACHED if number % 2 else LIMITED)
            self.found.append((status, headers))

    async def more(self, count: int) -> list[tuple[int, dict[str, str]]]:
        """Answers that came from now on, once there are so many."""
        begun = len(self.found)
        while len(self.found) < begun + count:
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.02)
        return self.found[begun:]

    async def end(self) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)


async def answering(reader, writer):
    while True:
        await read_request(reader)
        writer.write(json_answer(b'{"usage":{"prompt_tokens":1}}'))


async def until_hit(port: int) -> None:
    """Until the same question is answered from the cache again: edge has found Redis."""
    for number in range(3000):
        body = b'{"again":%d}' % (number // 2)
        _, headers, _ = await call(port, body, CACHED)
        if headers["helicone-cache"] == "HIT":
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the cache did not come back")


def under_load(folder: Path, url: str, work) -> list[tuple[int, dict[str, str]]]:
    """Runs `work(load, port)` while calls go on, and verifies that every one was answered and kept."""

    async def run() -> list[tuple[int, dict[str, str]]]:
        port = free_port()
        async with listening(answering) as upstream_port:
            with edge(folder, port, upstream_port, REDIS_URL=url) as process:
                await accepting(port)
                load = Load(port)
                await work(load, port)
                await load.end()
                process.terminate()
                assert await asyncio.to_thread(process.wait, 30) in (0, -signal.SIGTERM)
        return load.found

    found = asyncio.run(asyncio.wait_for(run(), 120))
    assert {status for status, _ in found} == {200}
    ids = {headers["helicone-id"] for _, headers in found}
    assert ids <= {str(exchange.id) for exchange in kept(folder, len(ids))}
    return found


def test_redis_killed_under_load_and_back_again_costs_no_call(tmp_path, redis):
    async def work(load, port):
        await load.more(60)
        redis.kill()
        without = await load.more(60)
        assert any("helicone-ratelimit-error" in headers for _, headers in without)
        redis.start()
        await until_hit(port)
        await load.more(20)

    found = under_load(tmp_path, redis.url, work)
    assert {headers.get("helicone-cache") for _, headers in found} >= {"HIT", "MISS"}


def test_redis_that_hangs_under_load_holds_nobody_up_for_good(tmp_path, redis):
    async def work(load, port):
        await load.more(40)
        os.kill(redis.pid, signal.SIGSTOP)
        without = await load.more(80)
        assert {headers.get("helicone-cache") for _, headers in without[-30:]} <= {"MISS", None}
        os.kill(redis.pid, signal.SIGCONT)
        await until_hit(port)

    under_load(tmp_path, redis.url, work)
