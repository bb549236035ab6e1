"""From the real litellm package, by its Helicone callback, into the requests list."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.journeys import check
from tests.journeys.stack import ROOT
from tests.journeys.test_openai_client import ASKED, said

MODELS = ("gpt-4o-mini", "openai/o4-mini", "anthropic/claude-haiku-4-5")


class Called(NamedTuple):
    """A call litellm made: what it answered with, and the row it became."""

    reply: dict[str, object]
    row: dict[str, object]

    @property
    def usage(self):
        return self.reply["usage"]


@pytest.fixture(scope="module")
def called(stack):
    """One call to each of MODELS, by model."""
    urls = {model: stack.provider.url if "claude" in model else f"{stack.provider.url}/v1" for model in MODELS}
    calls = [
        {"model": model, "messages": ASKED, "api_base": urls[model], "api_key": "sk-x", "metadata": said(model)}
        for model in MODELS
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.journeys.litellm_calls"],
        input=json.dumps(calls),
        cwd=ROOT,
        env={**stack.environment, "HELICONE_API_KEY": stack.key, "HELICONE_API_BASE": stack.url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    replies = json.loads(done.stdout.splitlines()[-1])
    return {model: Called(reply, stack.row(model)) for model, reply in zip(MODELS, replies, strict=True)}


def test_an_openai_call_is_visible_with_its_tokens_cost_and_owner(called):
    call = called["gpt-4o-mini"]
    assert call.row["provider"] == "OPENAI"
    assert call.row["prompt_tokens"] == call.usage["prompt_tokens"]
    assert call.row["completion_tokens"] == call.usage["completion_tokens"]
    assert call.row["request_user_id"] == "ada@example.org"
    assert call.row["request_properties"]["Helicone-Session-Id"] == "session-gpt-4o-mini"
    cost = check.price(
        "openai",
        "gpt-4o-mini",
        input_tokens=call.usage["prompt_tokens"],
        output_tokens=call.usage["completion_tokens"],
    )
    assert call.row["cost"] == pytest.approx(float(cost), rel=1e-6)


def test_the_true_model_is_shown_where_the_callback_names_another(called):
    """litellm logs models it does not know as gpt-3.5-turbo; the reply has the true one."""
    row = called["openai/o4-mini"].row
    assert row["model"].startswith("o4-mini")
    assert row["cost"] > 0


def test_a_claude_call_is_visible(called):
    call = called["anthropic/claude-haiku-4-5"]
    assert call.row["provider"] == "ANTHROPIC"
    assert call.row["prompt_tokens"] == call.usage["prompt_tokens"]
    assert call.row["cost"] > 0
