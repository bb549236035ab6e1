"""The stack the faults happen to, started once."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.faults.whole", "tests.journeys.stack")

from tests.faults import whole  # noqa: E402
from tests.journeys.stack import Provider, Stack  # noqa: E402


@pytest.fixture(scope="session")
def server():
    whole.embeddable()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        made = whole.Server(Path(folder))
        yield made
        made.stop()


@pytest.fixture(scope="session")
def stack(tmp_path_factory, server):
    folder = tmp_path_factory.mktemp("stack")
    provider = Provider(folder)
    running = Stack(folder, provider, database_url=server.url)
    yield running
    running.stop()
    provider.stop()
