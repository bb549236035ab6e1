"""From the real litellm package, by its Helicone callback, into the requests list."""

from __future__ import annotations

import warnings

import anthropic
import pytest

from tests.journeys import check
from tests.journeys.test_openai_client import ASKED, said


@pytest.fixture(scope="module")
def litellm_module():
    """litellm without a network: its price map is the one it ships."""
    patch = pytest.MonkeyPatch()
    patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    patch.setenv("LITELLM_TELEMETRY", "False")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        litellm = pytest.importorskip("litellm")
    yield litellm
    patch.undo()


@pytest.fixture
def litellm(stack, litellm_module, monkeypatch):
    monkeypatch.setenv("HELICONE_API_KEY", stack.key)
    monkeypatch.setenv("HELICONE_API_BASE", stack.url)
    monkeypatch.setattr(litellm_module, "success_callback", ["helicone"])
    yield litellm_module


pytestmark = pytest.mark.filterwarnings("ignore")  # litellm's own, and pydantic's about it


def test_an_openai_call_is_visible(stack, litellm, journey):
    reply = litellm.completion(
        model="gpt-4o-mini", messages=ASKED, api_base=f"{stack.provider.url}/v1", api_key="sk-of-the-provider",
        metadata=said(journey),
    )  # fmt: skip
    row = stack.row(journey)
    assert row["provider"] == "OPENAI"
    assert row["prompt_tokens"] == reply.usage.prompt_tokens
    assert row["completion_tokens"] == reply.usage.completion_tokens
    assert row["request_user_id"] == "ada@example.org"
    assert row["request_properties"]["Helicone-Session-Id"] == f"session-{journey}"
    cost = check.price(
        "openai", "gpt-4o-mini", input_tokens=reply.usage.prompt_tokens, output_tokens=reply.usage.completion_tokens
    )
    assert row["cost"] == pytest.approx(float(cost), rel=1e-6)


def test_the_true_model_is_shown_where_the_callback_names_another(stack, litellm, journey):
    """litellm logs models it does not know as gpt-3.5-turbo; the reply has the true one."""
    litellm.completion(
        model="openai/o4-mini", messages=ASKED, api_base=f"{stack.provider.url}/v1", api_key="sk-of-the-provider",
        metadata=said(journey),
    )  # fmt: skip
    row = stack.row(journey)
    assert row["model"].startswith("o4-mini")
    assert row["cost"] > 0


def test_a_claude_call_is_visible(stack, litellm, journey, monkeypatch):
    """The callback needs two constants anthropic 2 no longer has; with those of version 1 it logs."""
    monkeypatch.setattr(anthropic, "HUMAN_PROMPT", "\n\nHuman:", raising=False)
    monkeypatch.setattr(anthropic, "AI_PROMPT", "\n\nAssistant:", raising=False)
    reply = litellm.completion(
        model="anthropic/claude-haiku-4-5", messages=ASKED, api_base=stack.provider.url, api_key="sk-ant-x",
        metadata=said(journey),
    )  # fmt: skip
    row = stack.row(journey)
    assert row["provider"] == "ANTHROPIC"
    assert row["prompt_tokens"] == reply.usage.prompt_tokens
    assert row["cost"] > 0
