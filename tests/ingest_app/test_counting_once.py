"""Of several records of one model call, exactly one counts."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from ingest_app.traces import UNIQUE_ID, Step, counts
from llm.exchange import MODEL_KINDS

REPLY = "chatcmpl-BNhr79TlegaJvfSOAOH2jsPEpRHMd"


def counted(*steps: Step) -> set[str]:
    return {span_id for span_id, counts_ in counts(steps).items() if counts_}


def test_of_nested_calls_the_innermost_counts():
    steps = [Step("a", None, "llm", told=5), Step("b", "a", "span"), Step("c", "b", "llm", told=5)]
    assert counted(*steps) == {"c"}
    assert counted(*steps, Step("d", "c", "llm", told=1)) == {"d"}


def test_an_outer_call_counts_where_nothing_inside_it_tells_its_usage():
    outer, inner = Step("a", None, "llm", told=5), Step("b", "a", "llm")
    assert counted(outer, inner) == {"a"}
    assert counted(outer, inner, Step("c", "b", "llm")) == {"a"}
    assert counted(outer, inner, Step("c", "b", "llm", told=2)) == {"c"}


def test_a_call_tried_again_counts_by_its_tries():
    outer, failed, good = Step("a", None, "llm", told=5), Step("b", "a", "llm"), Step("c", "a", "llm", told=5)
    assert counted(outer, failed, good) == {"b", "c"}


def test_of_nested_calls_that_tell_nothing_the_innermost_counts():
    assert counted(Step("a", None, "llm"), Step("b", "a", "llm")) == {"b"}


def test_calls_below_an_agent_or_a_tool_inside_a_call_are_calls_of_their_own():
    assert counted(Step("a", None, "llm", told=1), Step("t", "a", "tool"), Step("b", "t", "llm", told=1)) == {"a", "b"}


def test_of_siblings_that_name_one_reply_the_fullest_counts():
    one = Step("a", "r", "llm", response_id=REPLY, told=3)
    fuller = Step("b", "r", "llm", response_id=REPLY, told=9)
    assert counted(one, fuller) == counted(fuller, one) == {"b"}
    seen = Step("g", "gone", "llm", "gateway", REPLY)
    assert counted(one, seen, fuller) == {"g"}


def test_short_ids_of_replies_tell_two_spans_nothing():
    short = "chatcmpl-950"
    assert len(short) < UNIQUE_ID
    steps = [Step("a", "r", "llm", response_id=short, told=1), Step("b", "r", "llm", response_id=short, told=1)]
    assert counted(*steps) == {"a", "b"}
    assert counted(*steps, Step("g", "r", "llm", "gateway", short)) == {"g"}


def test_parents_in_a_circle_hide_no_call():
    assert counted(Step("a", "b", "llm", told=1), Step("b", "a", "llm", told=1)) == {"a", "b"}
    assert counted(Step("a", "a", "llm")) == {"a"}


STEPS = st.lists(
    st.builds(
        Step, st.sampled_from("abcdefgh"), st.sampled_from([None, *"abcdefghx"]),
        st.sampled_from(["llm", "llm", "embedding", "span", "agent", "tool"]), st.sampled_from(["otlp", "gateway"]),
        st.sampled_from([None, None, REPLY, "short"]), st.integers(0, 3),
    ),
    max_size=8, unique_by=lambda step: step.span_id,
)  # fmt: skip


@given(STEPS, st.randoms(use_true_random=False))
def test_the_order_of_steps_changes_nothing(steps: list[Step], shuffled: random.Random):
    other = list(steps)
    shuffled.shuffle(other)
    assert counts(steps) == counts(other)


@given(STEPS)
def test_where_there_is_a_call_some_call_counts(steps: list[Step]):
    calls = {step.span_id for step in steps if step.kind in MODEL_KINDS}
    assert counts(steps).keys() == calls
    assert bool(counted(*steps)) == bool(calls)


@given(STEPS)
def test_some_told_usage_counts_where_any_is_told(steps: list[Step]):
    told = {step.span_id for step in steps if step.kind in MODEL_KINDS and step.tells}
    assert bool(told & counted(*steps)) == bool(told)
