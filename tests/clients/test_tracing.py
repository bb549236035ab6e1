"""Programs traced by real SDKs that call the model directly and report to us: their calls are in the list, once."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from tests.journeys import check

TEXT = "Where is order FW-20481? I would like a refund."
MODEL = "gpt-4o-mini"


class Tracer(NamedTuple):
    """A client's folder, and what one call of the model is within: how many more steps, of which none costs."""

    client: str
    steps: int
    calls: tuple[str, ...] = ("chat", "stream")
    provider: str = "OPENAI"


TRACERS = [
    Tracer("opentelemetry_openai", 1),
    Tracer("openinference", 0),
    Tracer("traceloop", 1),
    Tracer("langfuse", 1, provider="CUSTOM"),  # its spans name the model alone
    Tracer("pydantic_ai", 2, ("chat",)),
    Tracer("helicone_async", 0, ("chat",)),
    Tracer("node", 1, ("generated", "streamed")),
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


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_a_call_is_in_the_list_once_with_its_tokens_cost_and_owner(stack, client, tracer, journey, is_stream):
    if is_stream and len(tracer.calls) < 2:
        pytest.skip("calls no stream")
    answer = client(tracer.calls[is_stream], journey=journey, model=MODEL, text=TEXT)
    rows = stack.rows(journey, 1 + tracer.steps)
    [row] = counted(rows)
    assert row["provider"] == tracer.provider
    assert row["model"].startswith(MODEL)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (answer["input"], answer["output"])
    cost = check.price("openai", MODEL, input_tokens=answer["input"], output_tokens=answer["output"])
    assert row["cost"] == pytest.approx(float(cost), rel=1e-6)
    assert sum(other["cost"] or 0 for other in rows) == row["cost"]
    assert {other["request_user_id"] for other in rows} == {"ada@example.org"}
    assert {other["request_properties"]["Helicone-Session-Id"] for other in rows} == {f"session-{journey}"}


def test_what_was_asked_and_answered_is_kept(stack, client, tracer, journey):
    answer = client(tracer.calls[0], journey=journey, model=MODEL, text=TEXT)
    [row] = counted(stack.rows(journey, 1 + tracer.steps))
    whole = stack.whole(row["request_id"])
    assert TEXT in json.dumps(whole["request_body"])
    assert json.dumps(answer["text"])[1:-1] in json.dumps(whole["response_body"])


def test_a_stream_whose_tracer_tells_no_usage_has_unknown_cost(stack, start, journey):
    """helicone-async 1.1 leaves the usage of a stream out, though the provider sent it."""
    answer = start("helicone_async")("stream", journey=journey, model=MODEL, text=TEXT)
    row = stack.row(journey)
    assert (row["prompt_tokens"], row["completion_tokens"], row["cost"]) == (None, None, None)
    assert json.dumps(answer["text"])[1:-1] in json.dumps(stack.whole(row["request_id"])["response_body"])


@pytest.mark.parametrize(("name", "call", "steps"), [("pydantic_ai", "tool", 3), ("node", "with_tool", 2)])
def test_an_agents_tool_call_is_a_step_and_its_sum_is_not_counted_again(stack, start, journey, name, call, steps):
    answer = start(name)(call, journey=journey, model=MODEL, text=TEXT)
    rows = stack.rows(journey, steps + answer["calls"])
    calls = counted(rows)
    assert len(calls) == answer["calls"] == 2
    assert sum(row["prompt_tokens"] for row in calls) == answer["input"]
    assert sum(row["completion_tokens"] for row in calls) == answer["output"]
    assert any("left yesterday" in json.dumps(whole["response_body"]) for whole in wholes(stack, rows, but=calls))


def wholes(stack, rows, *, but):
    """With their bodies, all rows but some."""
    return [stack.whole(row["request_id"]) for row in rows if row not in but]
