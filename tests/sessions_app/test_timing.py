"""Laws of self time and of the critical path."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from sessions_app.timing import busy, critical_path, self_us
from sessions_app.tree import Tree, from_paths, from_spans
from tests.sessions_app.test_tree import many_steps, step

MS = timedelta(milliseconds=1)


@st.composite
def nested(draw) -> Tree:
    """A root span and steps that begin and end within their parents."""
    steps = [step(0, ms=draw(st.integers(1, 5000)), span_id="0", door="otlp")]
    for number in range(1, draw(st.integers(1, 25))):
        parent = steps[draw(st.integers(0, number - 1))]
        lowest, highest = (int((at - steps[0].started_at) / MS) for at in (parent.started_at, parent.ended_at))
        since = draw(st.integers(lowest, highest))
        until = draw(st.integers(since, highest))
        steps.append(step(
            number, at=since, ms=until - since, span_id=str(number), parent_span_id=parent.span_id, door="otlp"
        ))  # fmt: skip
    return from_spans(steps)


def length(path) -> int:
    return sum(stretch.until - stretch.since for stretch in path)


@given(nested())
def test_where_children_nest_the_critical_path_is_as_long_as_the_root_and_all_of_it_is_work(tree):
    root = tree.nodes[1].step
    path = critical_path(tree.nodes)
    assert length(path) == root.duration_ms * 1000
    assert sum(until - since for parts in busy(path, tree.nodes).values() for since, until in parts) == length(path)


@given(many_steps())
def test_the_critical_path_of_any_tree_lies_end_to_end_from_its_start_to_its_end(steps):
    for tree in (from_paths(steps), from_spans(steps)):
        path = critical_path(tree.nodes)
        assert length(path) == (tree.root.ended_at - tree.root.started_at) / MS * 1000
        assert all(later.since == earlier.until for later, earlier in pairwise(path))
        for stretch in path:
            node = tree.nodes[stretch.node]
            start, end = ((at - tree.root.started_at) / MS * 1000 for at in (node.started_at, node.ended_at))
            assert start <= stretch.since < stretch.until <= end


@given(nested())
def test_self_time_is_what_a_step_took_less_what_ran_below_it(tree):
    for node in tree.nodes[1:]:
        covered = set()
        for below in tree.nodes[node.index + 1 : node.index + node.size]:
            covered |= set(range(int(below.started_at.timestamp() * 1000), int(below.ended_at.timestamp() * 1000)))
        assert self_us(tree.nodes, node) == (node.step.duration_ms - len(covered)) * 1000


@given(many_steps())
def test_self_time_is_never_less_than_nothing_nor_more_than_the_step(steps):
    for tree in (from_paths(steps), from_spans(steps)):
        for node in tree.nodes:
            own = self_us(tree.nodes, node)
            assert (own is None) == (node.step is None or node.step.duration_ms is None)
            assert own is None or 0 <= own <= node.step.duration_ms * 1000


def on_path(tree: Tree) -> list[str]:
    return [tree.nodes[stretch.node].label for stretch in reversed(critical_path(tree.nodes))]


def test_of_two_steps_side_by_side_the_one_that_ended_last_was_waited_for():
    tree = from_spans([
        step(1, ms=100, span_id="a", name="agent", door="otlp"),
        step(2, ms=40, at=10, span_id="b", parent_span_id="a", name="quick", door="otlp"),
        step(3, ms=80, at=10, span_id="c", parent_span_id="a", name="slow", door="otlp"),
    ])  # fmt: skip
    assert on_path(tree) == ["agent", "slow", "agent"]


def test_an_end_rounded_past_the_next_start_still_leads_on():
    tree = from_spans([
        step(1, ms=100, span_id="a", name="agent", door="otlp"),
        step(2, ms=50, span_id="b", parent_span_id="a", name="first", door="otlp"),
        step(3, ms=50, at=49.6, span_id="c", parent_span_id="a", name="second", door="otlp"),
    ])  # fmt: skip
    assert on_path(tree) == ["first", "second", "agent"]


def test_ten_thousand_steps_one_below_the_other_are_one_pass():
    steps = [
        step(n, at=n, ms=20_000 - 2 * n, span_id=str(n), parent_span_id=str(n - 1), door="otlp") for n in range(10_000)
    ]
    tree = from_spans(steps)
    assert length(critical_path(tree.nodes)) == 20_000_000


@given(many_steps())
def test_a_step_that_took_no_time_is_on_no_path(steps):
    tree = from_spans(steps)
    assume(any(node.step and not node.wall_ms for node in tree.nodes))
    assert all(tree.nodes[stretch.node].wall_ms for stretch in critical_path(tree.nodes))
