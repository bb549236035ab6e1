"""lib/heartbeat: what processes say of themselves."""

from __future__ import annotations

import os
import subprocess
import time

from lib import heartbeat


def test_what_was_written_last_is_read_with_its_detail(tmp_path):
    heartbeat.write(tmp_path, "line", is_ready=False)
    heartbeat.write(tmp_path, "line", is_ready=True, detail={"ready": 3})
    beat = heartbeat.read(tmp_path)["line"]
    assert (beat.pid, beat.is_ready, beat.detail) == (os.getpid(), True, {"ready": 3})
    assert beat.is_well


def test_the_word_of_a_dead_process_counts_for_nothing(tmp_path):
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    heartbeat.write(tmp_path, "line", is_ready=True, pid=dead.pid)
    beat = heartbeat.read(tmp_path)["line"]
    assert beat.is_ready
    assert not beat.is_well


def test_who_has_been_silent_too_long_is_not_well(tmp_path, monkeypatch):
    heartbeat.write(tmp_path, "line", is_ready=True)
    later = time.time() + heartbeat.STALE_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert not heartbeat.read(tmp_path)["line"].is_well


def test_a_file_that_cannot_be_read_is_as_if_it_were_not_there(tmp_path):
    heartbeat.write(tmp_path, "line", is_ready=True)
    for number, text in enumerate(["", "{}", "[1]", '{"pid": "x", "at": 0, "is_ready": true, "detail": {}}']):
        (tmp_path / f"{number}.json").write_text(text)
    assert list(heartbeat.read(tmp_path)) == ["line"]


def test_a_folder_that_is_not_there_holds_no_beats(tmp_path):
    assert heartbeat.read(tmp_path / "nowhere") == {}
    heartbeat.clear(tmp_path / "nowhere")


def test_cleared_nobody_has_said_anything(tmp_path):
    heartbeat.write(tmp_path, "line", is_ready=True)
    heartbeat.clear(tmp_path)
    assert heartbeat.read(tmp_path) == {}
