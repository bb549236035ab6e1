"""Laws of the session tree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessions_app.tree import (
    NOT_HERE,
    NOTHING,
    Step,
    Sums,
    Tree,
    children_of,
    from_paths,
    from_spans,
    has_spans,
    measure,
    place_label,
    shares,
    split_path,
)

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def step(number: int, path: str | None = None, *, at: int = 0, ms: int | None = 10, **facts: object) -> Step:
    moment = START + timedelta(milliseconds=at)
    return Step(id=UUID(int=number), started_at=moment, path=path, duration_ms=ms, **facts)  # type: ignore[arg-type]


counts = st.none() | st.integers(0, 10**6)
odd_paths = (
    st.none() | st.text(alphabet="/ab 字\u202e.\0", max_size=12) | st.sampled_from(["/a/b", "/a", "//a/", "a/b/"])
)
span_ids = st.none() | st.sampled_from("pqrstuv")
doors = st.sampled_from(["otlp", "gateway"])


@st.composite
def many_steps(draw) -> list[Step]:
    rows = draw(
        st.lists(
            st.tuples(
                odd_paths,
                st.integers(0, 5000),
                counts,
                counts,
                counts,
                st.booleans(),
                st.booleans(),
                span_ids,
                span_ids,
                doors,
            ),
            min_size=1,
            max_size=40,
        )
    )
    return [
        step(number, path, at=at, ms=tokens, cost_nano_usd=cost, input_tokens=tokens, output_tokens=ms,
             is_error=failed, calls_model=model, span_id=span, parent_span_id=parent, door=door)
        for number, (path, at, tokens, cost, ms, failed, model, span, parent, door) in enumerate(rows)
    ]  # fmt: skip


def holds_together(tree: Tree, steps: list[Step]) -> None:
    assert sum((node.own for node in tree.nodes), NOTHING) == tree.root.total
    assert sum((measure(each) for each in steps), NOTHING) == tree.root.total
    shown = [node.step.id for node in tree.nodes if node.step]
    assert sorted(shown) == sorted(each.id for each in steps)
    for index, node in enumerate(tree.nodes):
        assert node.index == index
        below = list(children_of(tree.nodes, node))
        assert all(child.parent == index and child.depth == node.depth + 1 for child in below)
        assert sum((child.total for child in below), node.own) == node.total
        assert node.size == 1 + sum(child.size for child in below)
        assert all(node.started_at <= child.started_at and child.ended_at <= node.ended_at for child in below)
        assert [child.started_at for child in below] == sorted(child.started_at for child in below)
    for way in (tree.slowest, tree.costliest):
        assert 0 in way
        assert all(tree.nodes[index].parent in way for index in way - {0})


@given(many_steps())
def test_in_any_tree_of_paths_selves_add_up_and_every_step_stands_once(steps):
    holds_together(from_paths(steps), steps)


@given(many_steps())
def test_in_any_tree_of_spans_with_cycles_and_lost_parents_selves_add_up_and_every_step_stands_once(steps):
    holds_together(from_spans(steps), steps)


@given(many_steps(), st.randoms())
@settings(max_examples=50)
def test_the_order_steps_arrive_in_changes_nothing(steps, random):
    shuffled = steps.copy()
    random.shuffle(shuffled)
    assert from_paths(shuffled) == from_paths(steps)


@pytest.mark.parametrize(("path", "segments"), [
    (None, ()), ("", ()), ("/", ()), ("a", ("a",)), ("//a/ b /", ("a", "b")), ("/日本/b", ("日本", "b")),
])  # fmt: skip
def test_a_path_is_its_segments_that_are_not_empty(path, segments):
    assert split_path(path) == segments


def outline(tree: Tree) -> list[str]:
    return ["  " * (node.depth - 1) + node.label for node in tree.nodes[1:]]


def test_a_path_names_a_node_with_or_without_a_request_of_its_own():
    tree = from_paths([step(1, "/agent"), step(2, "/agent/search/fetch", at=20)])
    assert outline(tree) == ["agent", "  search", "    fetch"]
    assert [node.step is None for node in tree.nodes] == [True, False, True, False]


def test_several_requests_at_one_path_stand_under_it_beside_its_children_in_time_order():
    tree = from_paths([
        step(1, "/a", model="first"), step(2, "/a/b", at=5), step(3, "/a", at=9, model="last"),
    ])  # fmt: skip
    assert outline(tree) == ["a", "  first", "  b", "  last"]
    assert tree.nodes[1].total.steps == 3
    assert tree.nodes[1].own == NOTHING


def test_requests_without_a_path_stand_at_the_top():
    tree = from_paths([step(1, None, name="lone"), step(2, "/", at=1, model="gpt-4o")])
    assert outline(tree) == ["lone", "gpt-4o"]


def test_a_path_five_hundred_deep_is_kept_whole():
    tree = from_paths([step(1, "/" + "/".join(map(str, range(500))))])
    assert tree.nodes[-1].depth == 500
    assert tree.nodes[-1].step is not None


def test_many_monstrous_paths_stay_within_the_budget():
    steps = [step(n, "/" + "/".join(f"{n}.{k}" for k in range(300))) for n in range(2_000)]
    tree = from_paths(steps)
    assert len(tree.nodes) <= 200_001
    assert tree.root.total.steps == 2_000


def test_ten_thousand_nested_nodes_are_one_pass():
    steps = [step(n, f"/run/round-{n % 100}/step-{n}", at=n, cost_nano_usd=n) for n in range(10_000)]
    tree = from_paths(steps)
    assert len(tree.nodes) == 10_000 + 100 + 2
    assert tree.root.total.cost_nano_usd == sum(range(10_000))


def test_an_unknown_cost_is_counted_and_not_taken_for_nothing():
    tree = from_paths([step(1, "/a", cost_nano_usd=5), step(2, "/b", cost_nano_usd=None)])
    assert (tree.root.total.cost_nano_usd, tree.root.total.unpriced) == (5, 1)


def test_a_failed_call_that_used_nothing_is_not_called_unpriced():
    assert measure(step(1, is_error=True)).unpriced == 0
    assert measure(step(1, is_error=True, input_tokens=10)).unpriced == 1


def test_a_cost_is_known_where_a_call_has_one_be_it_nothing_and_nowhere_else():
    failed, free = step(1, is_error=True, cost_nano_usd=None), step(2, cost_nano_usd=0)
    tool = step(3, calls_model=False, is_error=True)
    assert measure(failed).known_cost is None
    assert (measure(failed) + measure(free)).known_cost == 0
    assert measure(tool).known_cost == 0


def test_a_tool_counts_as_step_and_error_and_never_as_tokens_or_money():
    sums = measure(step(1, calls_model=False, is_error=True, cost_nano_usd=7, input_tokens=7))
    assert sums == Sums(steps=1, errors=1)


def test_the_costliest_way_leads_to_where_the_money_went():
    tree = from_paths([
        step(1, "/plan", cost_nano_usd=3), step(2, "/job", cost_nano_usd=1, at=1),
        step(3, "/job/cheap", cost_nano_usd=2, at=2), step(4, "/job/dear", cost_nano_usd=9, at=3),
    ])  # fmt: skip
    assert [tree.nodes[index].label for index in sorted(tree.costliest)] == ["", "job", "dear"]


def test_the_costliest_way_stops_at_a_node_dearer_than_all_below_it():
    tree = from_paths([step(1, "/a", cost_nano_usd=9), step(2, "/a/b", cost_nano_usd=1, at=1)])
    assert [tree.nodes[index].label for index in sorted(tree.costliest)] == ["", "a"]


def test_the_slowest_way_follows_the_longest_span():
    tree = from_paths([step(1, "/quick", ms=5), step(2, "/slow/a", ms=10), step(3, "/slow/b", at=500, ms=90)])
    assert [tree.nodes[index].label for index in sorted(tree.slowest)] == ["", "slow", "b"]


def test_a_span_hangs_under_its_parent_even_when_the_parent_came_later():
    tree = from_spans([
        step(1, span_id="child", parent_span_id="top", name="child", at=5),
        step(2, span_id="top", name="top", at=9),
        step(3, span_id="lost", parent_span_id="never came", name="lost", at=1),
    ])  # fmt: skip
    assert outline(tree) == ["lost", "top", "  child"]


def test_several_steps_of_one_parent_that_is_not_here_stand_under_a_node_in_its_place():
    facts = {"parent_span_id": "away", "trace_id": "t", "door": "otlp"}
    tree = from_spans([
        step(1, span_id="a", name="a", **facts), step(2, span_id="b", name="b", at=1, **facts),
        step(3, span_id="c", name="c", at=2, **(facts | {"trace_id": "another"})),
    ])  # fmt: skip
    assert outline(tree) == [NOT_HERE, "  a", "  b", "c"]
    assert [node.is_lost for node in tree.nodes[1:]] == [True, False, False, True]


def test_one_span_id_in_two_traces_is_two_steps():
    tree = from_spans([
        step(1, span_id="x", trace_id="one", name="one"),
        step(2, span_id="x", trace_id="two", name="two", at=1),
        step(3, span_id="y", parent_span_id="x", trace_id="one", name="below", at=2),
    ])  # fmt: skip
    assert outline(tree) == ["one", "  below", "two"]


def test_a_call_of_no_span_hangs_at_its_path_beside_the_spans_and_one_whose_parent_is_here_under_it():
    tree = from_spans([
        step(1, span_id="agent", name="agent", door="otlp"),
        step(2, "/run/ask", at=1, span_id="g1", parent_span_id="agent", name="proxied"),
        step(3, "/run/ask", at=2, name="alone"),
        step(4, "/run/other", at=3, span_id="g2", parent_span_id="not exported", name="its caller tells nobody"),
    ])  # fmt: skip
    assert outline(tree) == ["agent", "  proxied", "run", "  ask", "  other"]
    assert not any(node.is_lost for node in tree.nodes)


def test_parents_make_a_tree_where_one_is_here_or_spans_were_sent():
    lone = step(1, "/a", span_id="g", parent_span_id="elsewhere")
    assert not has_spans([lone, step(2, "/b")])
    assert has_spans([lone, step(2, span_id="elsewhere")])
    assert has_spans([step(1, door="otlp", span_id="a")])


def test_a_span_without_an_end_is_open_and_an_event_or_an_unmeasured_call_is_not():
    assert step(1, ms=None, door="otlp").is_open
    assert not step(1, ms=None, door="otlp", kind="event").is_open
    assert not step(1, ms=None, door="log").is_open


def test_the_same_action_in_every_round_is_one_share():
    steps = [step(n, f"/round-{n}/summarise", cost_nano_usd=10) for n in range(4)]
    steps.append(step(9, "/plan", cost_nano_usd=1))
    found = shares(from_paths(steps).nodes, place_label)
    assert [(share.label, share.sums.cost_nano_usd, share.sums.requests) for share in found] == [
        ("summarise", 40, 4), ("plan", 1, 1),
    ]  # fmt: skip


def test_a_tree_of_nothing_is_refused():
    for build in (from_paths, from_spans):
        with pytest.raises(ValueError, match="at least one step"):
            build([])
