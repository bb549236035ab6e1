"""What the supervisor promises, on a small house of shell scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helicone_site import places
from tests.faults.processes import is_alive, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


class House:
    """One run of tests.faults.fake_house."""

    def __init__(self, folder: Path, stages: list[list[dict[str, Any]]], *, watchdog: bool = False) -> None:
        self.folder = folder
        plan = json.dumps({"stages": stages, "watchdog": watchdog})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.fake_house", str(folder), plan],
            cwd=places.BASE_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def await_ready(self) -> None:
        wait_until((self.folder / "ready").exists, "the house is ready")

    def pid(self, name: str) -> int:
        path = self.folder / f"{name}.pid"
        wait_until(lambda: path.exists() and path.read_text().endswith("\n"), f"{name} says its number")
        return int(path.read_text())

    def stop(self) -> tuple[int, str]:
        self.process.terminate()
        return self.end()

    def end(self) -> tuple[int, str]:
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def await_line(self, words: str) -> None:
        """Reads what the house says until a line holds these words."""
        assert self.process.stdout
        assert any(words in line for line in self.process.stdout), f"the house never said {words!r}"

    def order(self) -> list[str]:
        return (self.folder / "order").read_text().splitlines()


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Any]:
    houses: list[House] = []

    def start(*stages: list[dict[str, Any]], watchdog: bool = False) -> House:
        houses.append(House(tmp_path, list(stages), watchdog=watchdog))
        return houses[-1]

    yield start
    for house in houses:
        house.process.kill()
        house.process.communicate()


def named(*names: str, **facts: Any) -> list[dict[str, Any]]:
    return [{"name": name, **facts} for name in names]


@pytest.mark.parametrize("watchdog", [False, True], ids=["kernel", "watchdog"])
def test_a_supervisor_killed_with_9_leaves_no_orphan(build, watchdog):
    house = build(named("one", "two"), named("three", does="ignores"), watchdog=watchdog)
    house.await_ready()
    pids = [house.pid(name) for name in ("one", "two", "three")]
    assert all(is_alive(pid) for pid in pids)
    house.process.send_signal(signal.SIGKILL)
    for pid in pids:
        wait_until(lambda pid=pid: not is_alive(pid), f"{pid} is gone")


def test_with_the_watchdog_a_grandchild_goes_too(build):
    house = build(named("one", does="forks"), watchdog=True)
    house.await_ready()
    grandchild = house.pid("grandchild")
    house.process.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_alive(grandchild), "the grandchild is gone")


@pytest.mark.parametrize("watchdog", [False, True], ids=["kernel", "watchdog"])
@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_a_child_killed_with_9_is_started_again_and_the_others_stay(build, name, watchdog):
    house = build(named("one"), named("two", "three"), watchdog=watchdog)
    house.await_ready()
    before = {each: house.pid(each) for each in ("one", "two", "three")}
    os.kill(before[name], signal.SIGKILL)
    wait_until(lambda: house.pid(name) != before[name], f"{name} lives again")
    after = {each: house.pid(each) for each in before}
    assert {each for each in before if before[each] != after[each]} == {name}
    code, said = house.stop()
    assert code == 0
    assert f"{name} ended (SIGKILL)" in said


def test_what_a_dead_child_had_started_goes_before_it_starts_again(build):
    house = build(named("one", does="forks"))
    house.await_ready()
    first, grandchild = house.pid("one"), house.pid("grandchild")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not is_alive(grandchild), "the grandchild is gone")
    wait_until(lambda: house.pid("one") != first, "one lives again")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_asked_to_stop_all_end_in_reverse_order_and_it_exits_0(build, number):
    house = build(named("one"), named("two", "three"))
    house.await_ready()
    house.process.send_signal(number)
    code, _ = house.end()
    assert code == 0
    assert house.order()[-3:] == ["three", "two", "one"]


def test_a_stage_starts_when_the_one_before_is_ready(build):
    house = build(named("one"), named("once", does="ends", runs_once=True), named("two"))
    house.await_ready()
    assert house.order() == ["start one", "ran once", "start two"]


def test_who_may_end_is_not_started_again(build):
    house = build(named("one"), named("tale", does="ends", may_end=True))
    house.await_ready()
    wait_until(lambda: "ran tale" in house.order(), "the tale is told")
    _, said = house.stop()
    assert house.order().count("ran tale") == 1
    assert "tale ended" not in said


def test_who_does_not_stop_in_time_is_ended(build):
    house = build(named("one", does="ignores", grace=0.1))
    house.await_ready()
    pid = house.pid("one")
    code, said = house.stop()
    assert code == 0
    assert "one did not stop in time" in said
    assert not is_alive(pid)


def test_a_second_signal_ends_the_patience(build):
    house = build(named("one"), named("two", does="ignores", grace=1000))
    house.await_ready()
    house.process.terminate()
    house.await_line("stopping")
    house.process.terminate()
    code, _ = house.end()
    assert code == 0


def test_a_preparation_that_fails_stops_everything_and_says_where_to_look(build):
    house = build(named("one"), named("once", does="fails", runs_once=True), named("two"))
    code, said = house.end()
    assert code == 1
    assert "once     | the reason" in said
    assert said.splitlines()[-1] == "up       | once failed (exit 3); its last lines above say why."
    assert house.order() == ["start one", "one"]


def test_what_must_start_and_does_not_is_given_up(build):
    house = build(named("one", does="fails", must_start=3))
    code, said = house.end()
    assert code == 1
    assert said.count("the reason") == 3
    assert "one does not start (exit 3)" in said


def test_who_dies_again_and_again_waits_longer_each_time(build):
    house = build(named("one", does="fails", must_start=4))
    _, said = house.end()
    assert [f"starts again in {pause} s" in said for pause in (0.2, 0.4, 0.8)] == [True] * 3


def test_each_line_stands_behind_the_name_of_who_said_it(build):
    house = build(named("one", "two"))
    house.await_ready()
    _, said = house.stop()
    assert {"one      | I am one", "two      | I am two"} <= set(said.splitlines())
