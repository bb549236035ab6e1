"""The whole product on a Postgres of its own that can be taken away, and clients that count what was promised them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from helicone_site import embedded
from helicone_site.demo.door import Door
from lib.processes import spawn
from tests.journeys.stack import Stack, until

STOP_SECONDS = 60.0


class Server:
    """A throw-away Postgres, started and stopped at will."""

    def __init__(self, folder: Path) -> None:
        self._postgres = embedded.postgres(folder / "postgres", folder / "s", is_throw_away=True)
        self._log = os.open(folder / "postgres.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.url = f"postgresql:///{embedded.NAME}?host={folder / 's'}&user={embedded.NAME}"
        self._pid = 0
        self.start()

    def start(self) -> None:
        self._postgres.prepare()
        self._pid = spawn(self._postgres.program(), output=self._log)
        until(lambda: self._postgres.is_ready(self._pid), what="Postgres to take connections")

    def stop(self) -> None:
        """Ends every connection and the server."""
        if self._pid:
            os.kill(self._pid, signal.SIGINT)
            os.waitpid(self._pid, 0)
            self._pid = 0


class Load:
    """Clients that post calls to a log door without a pause and remember which were answered with 200."""

    def __init__(self, stack: Stack, *, clients: int = 4) -> None:
        self.journey = uuid4().hex
        self.answered: list[str] = []
        """Request ids, as answered."""
        self.refused: list[int] = []
        self._stack = stack
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post, args=(n,)) for n in range(clients)]

    def _post(self, client: int) -> None:
        headers = {
            "Authorization": f"Bearer {self._stack.key}",
            "Helicone-Property-Journey": self.journey,
            "Helicone-Session-Id": self.journey,
        }
        with Door(self._stack.url, self._stop) as door:
            number = 0
            while not self._stop.is_set():
                number += 1
                answer = door.try_post("/oai/v1/log", posting(f"{client}/{number}"), headers)
                if answer is None or answer.status != 200:
                    self.refused.append(answer.status if answer else 0)
                else:
                    self.answered.append(answer.headers["helicone-id"])
                time.sleep(0.005)

    def await_more(self, count: int) -> None:
        """Returns when `count` more calls have been answered."""
        goal = len(self.answered) + count
        until(lambda: len(self.answered) >= goal, what=f"{count} more answered log calls")

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def posting(text: str) -> bytes:
    reply = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
    }
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
    return orjson.dumps({
        "providerRequest": {"url": "https://api.openai.com/v1/chat/completions", "json": asked, "meta": {}},
        "providerResponse": {"status": 200, "headers": {}, "json": reply},
    })  # fmt: skip


@contextmanager
def load(stack: Stack) -> Iterator[Load]:
    """A load under way; ended with the block."""
    made = Load(stack)
    made.start()
    try:
        made.await_more(50)
        yield made
    finally:
        made.end()


def verify_all_there_once(stack: Stack, made: Load) -> None:
    """Every answered call is in the list, none twice, and their session counts as many."""
    assert len(set(made.answered)) == len(made.answered)
    # What the line says of its spool may be a second old, so the calls themselves are waited for first.
    until(lambda: set(made.answered) <= set(_stored_ids(stack, made.journey)), what="every answered call to be stored")
    until(lambda: _is_drained(stack), what="the spool to be empty")
    stored = _stored_ids(stack, made.journey)
    assert sorted(stored) == sorted(set(stored)), "stored twice"
    assert _session_requests(stack, made.journey) == len(stored)


def _is_drained(stack: Stack) -> bool:
    spool = stack.health().get("line", {}).get("spool")
    return spool is not None and spool["ready"] == spool["under_way"] == 0


def _stored_ids(stack: Stack, journey: str) -> list[str]:
    found: list[str] = []
    while True:
        status, answer = stack.post("/v1/request/query-clickhouse", {
            "filter": {"request_response_rmt": {"properties": {"journey": {"equals": journey}}}},
            "limit": 1000, "offset": len(found), "sort": {"created_at": "asc"},
        })  # fmt: skip
        assert status in {200, 201}, answer
        found += [row["request_id"] for row in answer["data"]]
        if len(answer["data"]) < 1000:
            return found


def _session_requests(stack: Stack, session_id: str) -> Any:
    """How many requests the session's own sums have."""
    status, answer = stack.post("/v1/session/query", {
        "search": session_id, "timeFilter": {"startTimeUnixMs": 0, "endTimeUnixMs": 2**45},
        "timezoneDifference": 0, "filter": "all",
    })  # fmt: skip
    assert status in {200, 201}, answer
    [session] = answer["data"]
    return session["total_requests"]


def pid_of(stack: Stack, process: str) -> Any:
    return until(lambda: stack.health().get(process, {}).get("pid"), what=f"{process} to be well")


def kill(pid: int) -> None:
    """As the kernel's out-of-memory killer would: the process and all it has started."""
    os.killpg(os.getpgid(pid), signal.SIGKILL)


def await_successor(stack: Stack, process: str, pid: int) -> None:
    """Returns when another process of that name is well, and all others are."""
    until(lambda: stack.health().get(process, {}).get("pid", pid) != pid, what=f"a new {process}")


def embeddable() -> None:
    """Skips where no Postgres can be embedded."""
    try:
        embedded.find_postgres()
    except embedded.CannotEmbed as error:
        pytest.skip(str(error))
