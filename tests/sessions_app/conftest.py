from __future__ import annotations

import pytest

from tests.requests_app.conftest import Company


@pytest.fixture
def acme(db) -> Company:
    return Company("acme")


@pytest.fixture
def globex(db) -> Company:
    return Company("globex")


@pytest.fixture
def looking(client, acme):
    """A browser of one of acme's viewers."""
    client.force_login(acme.viewer)
    return client
