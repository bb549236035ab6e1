"""The stack the journeys walk through, started once."""

from __future__ import annotations

from uuid import uuid4

import anthropic
import openai
import pytest

pytest.register_assert_rewrite("tests.journeys.check", "tests.journeys.stack")

from tests.journeys.stack import Database, Provider, Stack  # noqa: E402


@pytest.fixture(scope="session")
def provider(tmp_path_factory):
    running = Provider(tmp_path_factory.mktemp("provider"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def database():
    made = Database()
    yield made
    made.drop()


@pytest.fixture(scope="session")
def stack(tmp_path_factory, provider, database):
    running = Stack(tmp_path_factory.mktemp("stack"), provider, database_url=database.url,
                    GATEWAY_PRIVATE_TARGETS="127.0.0.1/32")
    yield running
    running.stop()


@pytest.fixture
def journey():
    """A name no other test has; it is what this test's requests are found by."""
    return uuid4().hex


@pytest.fixture
def chat(stack):
    with openai.OpenAI(
        base_url=f"{stack.url}/v1", api_key="sk-of-the-provider", max_retries=0,
        default_headers={"Helicone-Auth": f"Bearer {stack.key}"},
    ) as made:  # fmt: skip
        yield made


@pytest.fixture
def claude(stack):
    with anthropic.Anthropic(
        base_url=f"{stack.url}/v1/gateway/anthropic", api_key="sk-ant-of-the-provider", max_retries=0,
        default_headers={"Helicone-Auth": f"Bearer {stack.key}"},
    ) as made:  # fmt: skip
        yield made
