"""The real house under its supervisor: killed, stopped, started twice. Slow: it starts Postgres and all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from helicone_site import places
from tests.faults.processes import descendants, is_alive, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc"),
]
PROCESSES = {"postgres", "valkey", "worker", "line", "web", "edge"}


class House:
    """One `manage.py up` on embedded services, in a folder and on a port of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        left_out = {"DATABASE_URL", "REDIS_URL", "SPOOL_DIR"}
        self.environment = {name: value for name, value in os.environ.items() if name not in left_out} | {
            "DATA_DIR": str(folder),
            "PORT": str(port),
        }
        self.log = folder.with_name(f"{folder.name}.log")
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(self.command(), env=self.environment, stdout=output, stderr=output)

    def command(self) -> list[str]:
        return [sys.executable, str(places.BASE_DIR / "manage.py"), "up"]

    def health(self) -> tuple[int, dict[str, int]]:
        """Status of /healthz, and the number of each process that says it is ready."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read().decode()
        except OSError:
            return 0, {}
        beats = [json.loads(line) for line in text.splitlines()]
        return status, {beat["process"]: beat["pid"] for beat in beats if beat["is_ready"]}

    def await_ready(self) -> dict[str, int]:
        wait_until(lambda: self.health()[0] == 200 or self.process.poll() is not None, "the house is ready", 120)
        status, pids = self.health()
        assert status == 200, self.log.read_text()
        return pids

    def said(self) -> str:
        return self.log.read_text()


@pytest.fixture
def house(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    house = House(tmp_path / "d", port)
    yield house
    family = descendants(house.process.pid)
    house.process.terminate()
    try:
        house.process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        house.process.kill()
    assert not [pid for pid in family if is_alive(pid)]


def test_killed_with_9_it_leaves_nobody_and_starts_again_on_what_it_had(house):
    house.await_ready()
    login = (house.folder / "first-login.json").read_text()
    family = descendants(house.process.pid)
    assert len(family) >= len(PROCESSES)
    house.process.kill()
    house.process.wait()
    wait_until(lambda: not [pid for pid in family if is_alive(pid)], "everybody is gone")
    house.process = house.start()
    house.await_ready()
    assert (house.folder / "first-login.json").read_text() == login


def test_any_process_killed_with_9_is_back_and_stopping_ends_all_in_order(house):
    before = house.await_ready()
    assert set(before) == PROCESSES
    for name, pid in before.items():
        os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda name=name, pid=pid: house.health()[0] == 200 and house.health()[1].get(name, pid) != pid,
            f"{name} is back",
            120,
        )
    family = descendants(house.process.pid)
    house.process.terminate()
    assert house.process.wait(timeout=120) == 0, house.said()
    assert not [pid for pid in family if is_alive(pid)]
    assert "did not stop in time" not in house.said()


def test_a_second_one_on_the_same_data_is_refused_and_so_is_one_on_the_same_port(house, tmp_path):
    house.await_ready()
    second = subprocess.run(house.command(), env=house.environment, capture_output=True, text=True)
    assert second.returncode == 2
    assert f"process {house.process.pid}) already runs on {house.folder}" in second.stderr
    elsewhere = house.environment | {"DATA_DIR": str(tmp_path / "e")}
    third = subprocess.run(house.command(), env=elsewhere, capture_output=True, text=True)
    assert third.returncode == 2
    assert third.stderr.startswith(f"Port {house.port} on 127.0.0.1 cannot be had")
    assert len(third.stderr.splitlines()) == 1
    assert house.health()[0] == 200
