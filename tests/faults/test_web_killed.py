"""`web` may die: log calls do not notice, and pages are back without anybody's help."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.faults import whole
from tests.journeys.stack import until

pytestmark = pytest.mark.slow


def page(stack):
    """Status of the login page."""
    try:
        with urllib.request.urlopen(f"{stack.url}/login", timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_killed_web_loses_no_answered_log_call_and_comes_back(stack):
    with whole.load(stack) as load:
        pid = whole.pid_of(stack, "web")
        whole.kill(pid)
        assert page(stack) in {200, 502}
        load.await_more(100)
        whole.await_successor(stack, "web", pid)
        until(lambda: page(stack) == 200, what="the login page")
    assert load.refused == []
    whole.verify_all_there_once(stack, load)
