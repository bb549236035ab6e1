"""The whole product as its own processes, on a port, a database and a folder of its own, beside the fake provider."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import psycopg
from django.conf import settings
from psycopg.conninfo import make_conninfo

from lib.processes import die_with_parent

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_SECONDS = 60.0
"""Generous: what is waited for comes in well under two, but machines differ and time is not what is tested here."""
START_SECONDS = 180.0
STOP_SECONDS = 60.0


PROVIDERS = ("OPENAI", "ANTHROPIC", "GOOGLE", "COHERE", "GROQ", "BEDROCK", "OLLAMA")
"""Those whose place the fake provider takes."""


def until(found, *, what: str, seconds: float = PATIENCE_SECONDS):
    """What `found()` gives as soon as it gives something. Fails, naming it, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.05)
    return value


def free_port() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


def start(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """A process that goes when we go; what it prints is kept in `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=functools.partial(die_with_parent, signal.SIGTERM, parent=os.getpid()),
        )


class Provider:
    """The fake provider as a process."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rpartition(":")[2]
        command = [sys.executable, "-m", "helicone_site.demo.provider", "--port", port]
        self.process = start(command, dict(os.environ), folder / "provider.log")
        until(self.seen_or_none, what="the fake provider")

    def seen_or_none(self):
        try:
            return [{}, *self.seen()]
        except OSError:
            return None

    def seen(self) -> Any:
        """The last requests it got, newest last."""
        with urllib.request.urlopen(f"{self.url}/_fake/seen") as answer:
            return json.load(answer)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(STOP_SECONDS)


def _server() -> dict[str, str]:
    """How the tests' own server is reached."""
    given = settings.DATABASES["default"]
    told = {name: given.get(name.upper()) for name in ("host", "port", "user", "password")}
    return {**given.get("OPTIONS", {}), **{name: value for name, value in told.items() if value}}


class Database:
    """A database of our own on the server of the tests."""

    def __init__(self) -> None:
        self.name = f"journeys_{uuid4().hex[:12]}"
        self._server = _server()
        self._command(f"CREATE DATABASE {self.name}")

    @property
    def url(self) -> str:
        return f"postgresql:///{self.name}?{urlencode(self._server)}"

    def connect(self, name: str | None = None) -> psycopg.Connection:
        return psycopg.connect(make_conninfo("", **self._server, dbname=name or self.name), autocommit=True)

    def drop(self) -> None:
        self._command(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def _command(self, text: str) -> None:
        with self.connect("postgres") as connection:
            connection.execute(text)


def _redis_url() -> str:
    """Another database on the tests' own Redis: ids of budgets and organizations are those of another Postgres."""
    url: str = settings.REDIS_URL
    return f"{url}?db=1" if url.startswith("unix:") else urlsplit(url)._replace(path="/1").geturl()


class Stack:
    """`manage.py up` on the given servers, and questions to it as any client would ask them."""

    def __init__(self, folder: Path, provider: Provider, *, database_url: str, **environment: str) -> None:
        self.folder = folder
        self.provider = provider
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")},
            "DATABASE_URL": database_url,
            "REDIS_URL": _redis_url(),
            "REDIS_PATIENCE_MS": "20000",  # a busy machine may take longer than a gateway should wait
            "DATA_DIR": str(folder / "data"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            **{f"PROVIDER_URL_{slug}": provider.url for slug in PROVIDERS},
            "PROVIDER_URL_MISTRAL": f"{provider.url}/mistral",
            **environment,
        }
        command = [sys.executable, str(ROOT / "manage.py"), "up"]
        self.process = start(command, self.environment, folder / "up.log")
        self._await_start()
        self.login = json.loads((folder / "data" / "first-login.json").read_text())

    @property
    def key(self) -> Any:
        return self.login["api_key"]

    def _await_start(self) -> None:
        try:
            until(self._is_up_or_dead, what="the product to start", seconds=START_SECONDS)
            assert self.process.poll() is None, "the product ended at once"
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{(self.folder / 'up.log').read_text()[-4000:]}") from None

    def _is_up_or_dead(self) -> bool:
        return self.process.poll() is not None or bool(self.health())

    def health(self) -> dict[str, Any]:
        """Each process's line of /healthz by its name, once all are well; empty before."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                lines = [json.loads(line) for line in answer.read().splitlines()]
        except OSError:
            return {}
        return {line["process"]: line for line in lines}

    def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        """Status and body of a POST with our key; JSON read."""
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}", **headers}
        request = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), sent)
        return self._answer(request)

    def get(self, path: str) -> tuple[int, Any]:
        return self.get_as(self.key, path)

    def get_as(self, key: str, path: str) -> tuple[int, Any]:
        return self._answer(urllib.request.Request(f"{self.url}{path}", headers={"Authorization": f"Bearer {key}"}))

    def _answer(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, data = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, data = error.code, error.read()
        try:
            return status, json.loads(data)
        except ValueError:
            return status, data.decode(errors="replace")

    def rows(self, journey: str, count: int = 1) -> Any:
        """The requests with that `journey` property, oldest first, once there are `count` of them."""
        body = {
            "filter": {"request_response_rmt": {"properties": {"journey": {"equals": journey}}}},
            "limit": 1000,
            "sort": {"created_at": "asc"},
        }

        def found():
            status, answer = self.post("/v1/request/query-clickhouse", body)
            assert status in {200, 201}, answer
            return answer["data"] if len(answer["data"]) >= count else None

        rows = until(found, what=f"{count} requests of journey {journey}")
        assert len(rows) == count
        return rows

    def row(self, journey: str) -> Any:
        [row] = self.rows(journey)
        return row

    def whole(self, request_id: str) -> Any:
        """One request with its bodies."""
        status, answer = self.get(f"/v1/request/{request_id}?includeBody=true")
        assert status == 200, answer
        return answer["data"]

    def stop(self) -> int:
        """Asks it to end and gives its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
