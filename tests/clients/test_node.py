"""From Node's real `openai` through the gateway, and by its `@helicone/helpers` past it."""

from __future__ import annotations

import json

import pytest

from tests.journeys import check
from tests.journeys.test_openai_client import attributed, said

MODEL = "gpt-4o-mini"
TEXT = "Where is order FW-20481? I would like a refund."


@pytest.fixture(scope="module")
def node(start):
    return start("node")


@pytest.mark.parametrize(
    ("call", "known_as"),
    [("chat", "OPENAI"), ("stream", "OPENAI"), ("logged", "CUSTOM"), ("logged_stream", "CUSTOM")],
)
def test_a_call_is_visible_with_its_tokens_cost_and_owner(stack, node, journey, call, known_as):
    answer = node(call, model=MODEL, text=TEXT, headers=said(journey))
    row = stack.row(journey)
    assert row["provider"] == known_as
    assert (row["prompt_tokens"], row["completion_tokens"]) == (answer["input"], answer["output"])
    cost = check.price("openai", MODEL, input_tokens=answer["input"], output_tokens=answer["output"])
    assert row["cost"] == pytest.approx(float(cost), rel=1e-6)
    attributed(row, journey)
    assert (row["time_to_first_token"] is not None) == call.endswith("stream")
    assert json.dumps(answer["text"])[1:-1] in json.dumps(stack.whole(row["request_id"])["response_body"])
