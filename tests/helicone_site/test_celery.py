"""helicone_site/celery and clock: the broker's address, and when tasks ran last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import redis
from celery import Celery
from kombu import Connection

from helicone_site import celery, clock, embedded
from requests_app import retention
from tests.faults.processes import running


@pytest.mark.parametrize("number", [0, 3])
def test_the_broker_lies_where_the_unix_socket_says(tmp_path, number):
    server = embedded.valkey(tmp_path / "ü b" / "v.sock")
    server.prepare()
    with running(server, tmp_path / "log"):
        with Connection(celery.broker_url(f"unix://{server.path}?db={number}")) as broker:
            broker.SimpleQueue("tasks").put("word")
        with redis.Redis.from_url(f"unix://{server.path}?db={number}") as client:
            assert client.llen("tasks") == 1


@pytest.mark.parametrize("url", ["redis://:secret@host:6379/2", "rediss://host/0"])
def test_other_addresses_are_the_broker_s_words_already(url):
    assert celery.broker_url(url) == url


def schedule(path):
    app = Celery("test", set_as_current=False)
    app.conf.beat_schedule = {"daily": {"task": "t", "schedule": timedelta(days=1)}}
    app.conf.beat_schedule_filename = str(path)
    return clock.KeptSchedule(app)


def test_when_a_task_ran_last_is_known_after_a_restart(tmp_path):
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first = schedule(tmp_path / "kept.json")
    first.schedule["daily"].last_run_at = moment
    first.close()
    assert schedule(tmp_path / "kept.json").schedule["daily"].last_run_at == moment


GONE = '{"gone": "2026-01-02T03:04:05+00:00"}'


@pytest.mark.parametrize("text", ["", "{", "[]", '{"daily": 3}', '{"daily": "then"}', GONE])
def test_a_memory_that_cannot_be_used_lets_tasks_wait_for_their_turn(tmp_path, text):
    (tmp_path / "kept.json").write_text(text)
    entry = schedule(tmp_path / "kept.json").schedule["daily"]
    assert not entry.is_due().is_due


def test_retention_runs_when_its_page_says() -> None:
    schedule = celery.app.conf.beat_schedule["apply retention"]["schedule"]
    assert (schedule.hour, schedule.minute) == ({retention.RUNS_AT.hour}, {retention.RUNS_AT.minute})


def test_every_task_of_the_schedule_is_there() -> None:
    celery.app.loader.import_default_modules()
    assert {entry["task"] for entry in celery.app.conf.beat_schedule.values()} <= set(celery.app.tasks)
