"""Collected only with `--clients=<the folder of their environments>`, as `./up test --clients` gives it."""

from __future__ import annotations

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
        python = homes / name / "bin" / "python"
        assert python.exists(), f"{name} is not installed in {homes}; ./up test --clients says why"
        log = tmp_path_factory.mktemp("client") / f"{name}.log"
        command = [str(python), "-W", "ignore", "-m", f"tests.clients.{name}.calls"]
        started.append(Client(command, stack, log, **environment))
        return started[-1]

    yield start
    for client in started:
        client.stop()
