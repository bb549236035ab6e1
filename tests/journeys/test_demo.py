"""`manage.py demo` fills a running product; told twice, it is told once."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.journeys.stack import ROOT, start, until

pytestmark = pytest.mark.slow


def demo(stack, *arguments: str) -> str:
    """What the command printed."""
    command = [sys.executable, str(ROOT / "manage.py"), "demo", "--url", stack.url, "--key", stack.key, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def count(stack, app: str) -> int:
    """How many requests of one of the demo's applications there are."""
    leaf = {"request_response_rmt": {"properties": {"app": {"equals": app}}}}
    status, answer = stack.post("/v1/request/count/query", {"filter": leaf})
    assert status == 200, answer
    return int(answer["data"])


def test_the_past_is_told_once_however_often_it_is_told(stack):
    assert "refused" in demo(stack, "--no-live", "--days", "2")
    first = until(lambda: _settled(stack), what="the demo's past")
    demo(stack, "--no-live", "--days", "2")
    assert until(lambda: _settled(stack), what="the demo's past") - first < first / 10
    assert all(count(stack, app) for app in ("support-bot", "code-agent", "rag-search", "ticket-classifier"))


def _settled(stack) -> int:
    """Requests of the demo once the spool is empty, else 0."""
    spool = stack.health().get("line", {}).get("spool", {})
    return count(stack, "support-bot") if spool.get("ready") == 0 else 0


def test_live_calls_pass_the_gateway_until_it_is_stopped(stack, tmp_path):
    before = len(stack.provider.seen())
    command = [sys.executable, str(ROOT / "manage.py"), "demo", "--only-live", "--pause", "0.05"]
    process = start([*command, "--url", stack.url, "--key", stack.key], stack.environment, tmp_path / "demo.log")
    try:
        until(lambda: len(stack.provider.seen()) > before + 3, what="live calls at the provider")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert "stopped after" in (tmp_path / "demo.log").read_text()
