"""Whatever happens to `line` or to Postgres, what a log door answered with 200 is stored, once."""

from __future__ import annotations

import time

import pytest

from tests.faults import whole

pytestmark = pytest.mark.slow


def test_a_killed_line_loses_and_doubles_nothing(stack):
    with whole.load(stack) as load:
        for _ in range(3):
            pid = whole.pid_of(stack, "line")
            load.await_more(30)
            whole.kill(pid)
            load.await_more(30)
            whole.await_successor(stack, "line", pid)
    assert load.refused == []
    whole.verify_all_there_once(stack, load)


def test_while_postgres_is_away_log_doors_answer_and_nothing_is_lost(stack, server):
    with whole.load(stack) as load:
        for _ in range(2):
            server.stop()
            load.await_more(100)
            time.sleep(1)
            server.start()
            load.await_more(50)
    assert load.refused == []
    whole.verify_all_there_once(stack, load)


def test_a_line_killed_while_postgres_is_away_begins_where_it_was(stack, server):
    with whole.load(stack) as load:
        pid = whole.pid_of(stack, "line")
        server.stop()
        load.await_more(50)
        whole.kill(pid)
        load.await_more(50)
        server.start()
    assert load.refused == []
    whole.verify_all_there_once(stack, load)
