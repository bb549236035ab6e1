"""Programs traced by real SDKs that call the model directly and report to us: their calls are in the list, once."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from tests.journeys import check
from tests.journeys.stack import until

TEXT = "Where is order FW-20481? I would like a refund."
MODEL = "gpt-4o-mini"


class Tracer(NamedTuple):
    """A client's folder, and what one call of the model is within: how many more steps, of which none costs."""

    client: str
    steps: int
    calls: tuple[str, ...] = ("chat", "stream")


TRACERS = [
    Tracer("opentelemetry_openai", 1),
    Tracer("openinference", 0),
    Tracer("traceloop", 1),
    Tracer("langfuse", 1),
    Tracer("pydantic_ai", 2, ("chat",)),
    Tracer("helicone_async", 0),
]


@pytest.fixture(scope="module", params=TRACERS, ids=[tracer.client for tracer in TRACERS])
def tracer(request):
    return request.param


@pytest.fixture(scope="module")
def client(start, tracer):
    return start(tracer.client)


def counted(rows):
    """Those that say what was used: a call of the model each."""
    return [row for row in rows if row["prompt_tokens"]]


@pytest.mark.parametrize("call", ["chat", "stream"])
def test_a_call_is_in_the_list_once_with_its_tokens_cost_and_owner(stack, client, tracer, journey, call):
    if call not in tracer.calls:
        pytest.skip("calls no stream")
    answer = client(call, journey=journey, model=MODEL, text=TEXT)
    rows = stack.rows(journey, 1 + tracer.steps)
    [row] = counted(rows)
    assert row["provider"] == "OPENAI"
    assert row["model"].startswith(MODEL)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (answer["input"], answer["output"])
    cost = check.price("openai", MODEL, input_tokens=answer["input"], output_tokens=answer["output"])
    assert row["cost"] == pytest.approx(float(cost), rel=1e-6)
    assert sum(other["cost"] or 0 for other in rows) == row["cost"]
    assert {other["request_user_id"] for other in rows} == {"ada@example.org"}
    assert {other["request_properties"]["Helicone-Session-Id"] for other in rows} == {f"session-{journey}"}


def test_what_was_asked_and_answered_is_kept(stack, client, tracer, journey):
    answer = client("chat", journey=journey, model=MODEL, text=TEXT)
    [row] = counted(stack.rows(journey, 1 + tracer.steps))
    whole = stack.whole(row["request_id"])
    assert TEXT in json.dumps(whole["request_body"])
    assert json.dumps(answer["text"])[1:-1] in json.dumps(whole["response_body"])


def test_an_agents_tool_call_is_a_tree_counted_once(stack, start, journey):
    """Agent and tool are steps; the agent tells its calls' sum, which is not counted again."""
    answer = start("pydantic_ai")("tool", journey=journey, model=MODEL, text=TEXT)
    rows = until(
        lambda: rows if len(counted(rows := stack.rows(journey, 1 + 1 + answer["calls"] + 1))) == 2 else None,
        what="both calls of the model",
    )
    calls = counted(rows)
    assert sum(row["prompt_tokens"] for row in calls) == answer["input"]
    assert sum(row["completion_tokens"] for row in calls) == answer["output"]
    assert any("find_order" in json.dumps(stack.whole(row["request_id"])) for row in rows if row not in calls)
