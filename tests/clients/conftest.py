"""Collected only with `--clients=<the folder of their environments>`, as `./up test --clients` gives it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.process import Client
from tests.journeys.conftest import database, journey, provider, stack

__all__ = ["database", "journey", "provider", "stack"]


def pytest_ignore_collect(config):
    return True if config.getoption("clients") is None else None


@pytest.fixture(scope="session")
def start(stack, tmp_path_factory, request):
    """Starts a client by its folder's name."""
    homes = Path(request.config.getoption("clients")).absolute()
    started = []

    def start(name, **environment):
        log = tmp_path_factory.mktemp("client") / f"{name}.log"
        started.append(Client(command(homes / name), stack, log, **environment))
        return started[-1]

    yield start
    for client in started:
        client.stop()


def command(home):
    """How a client installed there is started. One of Node's stands beside its packages, where Node looks for them."""
    if home.name == "node" and shutil.which("npm") is None:
        pytest.skip("no npm on PATH")
    assert (home / "installed-lock").exists(), f"{home} has no client; ./up test --clients says why"
    if not (home / "node_modules").exists():
        return [str(home / "bin" / "python"), "-W", "ignore", "-m", f"tests.clients.{home.name}.calls"]
    shutil.copy(Path(__file__).parent / home.name / "calls.mjs", home)
    return ["node", str(home / "calls.mjs")]
