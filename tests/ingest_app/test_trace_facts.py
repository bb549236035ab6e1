"""What a trace's steps say of it: each fact by the word that counts most, whoever is heard first."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_app import otlp, spans
from ingest_app.traces import MOST_NAMES, MOST_PROPERTIES, Facts, Told, filled, together, told_by
from llm.exchange import Attribution, Exchange
from llm.parse import parse
from tests.ingest_app.test_spans import POSTING, db, span
from tests.ingest_app.test_traced_calls import passed, through

__all__ = ["db"]

WORDS = st.sampled_from([None, "a", "b", "c"])
SAID: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict, session_id=WORDS, session_name=WORDS, end_user_id=WORDS,
    properties=st.dictionaries(st.sampled_from("klm"), st.sampled_from("xyz"), max_size=3),
)  # fmt: skip
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 3), SAID), min_size=1, max_size=8)


def said(is_root: bool, second: int, words: dict[str, Any]) -> Exchange:
    read = otlp.exchange(span(1 + second, None if is_root else 99), POSTING)
    return replace(read, attribution=Attribution(**words))


@given(STEPS, st.randoms(use_true_random=False))
def test_the_order_and_the_batches_in_which_steps_are_heard_change_nothing(steps, chance: random.Random):
    told = [told_by(said(*step)) for step in steps]
    expected = together(told)
    shuffled = chance.sample(told, len(told)) + chance.sample(told, chance.randint(0, len(told)))
    known = Told()
    while shuffled:
        size = chance.randint(1, len(shuffled))
        known, shuffled = together((known, together(shuffled[:size]))), shuffled[size:]
    assert known == expected
    assert known.facts() == expected.facts()


@given(STEPS)
def test_each_fact_is_the_roots_where_it_tells_it_and_else_the_earliest(steps):
    found = together([told_by(said(*step)) for step in steps]).facts()
    for name in ("session_id", "end_user_id"):
        words = [(not is_root, second, words[name]) for is_root, second, words in steps if words[name]]
        assert getattr(found, name) == (min(words)[2] if words else None)
    for key in "klm":
        words = [(second, words["properties"][key]) for is_root, second, words in steps
                 if is_root and key in words["properties"]]  # fmt: skip
        assert found.properties.get(key) == (min(words)[1] if words else None)


def test_a_root_that_names_the_user_alone_leaves_the_session_to_who_names_it():
    steps = [said(False, 2, {"session_id": "s", "end_user_id": "bot"}), said(True, 1, {"end_user_id": "ada"})]
    assert together([told_by(one) for one in steps]).facts() == Facts("s", None, "ada")


def test_a_sessions_name_is_that_of_the_session_that_counts():
    steps = [said(False, 0, {"session_id": "its own", "session_name": "Sub"}), said(True, 1, {"session_id": "s"}),
             said(False, 3, {"session_name": "Main"})]  # fmt: skip
    assert together([told_by(one) for one in steps]).facts() == Facts("s", "Main", None)


@pytest.mark.parametrize("roots", [2, 50])
def test_a_trace_of_many_roots_shares_a_bounded_number_of_properties_the_same_in_any_order(roots):
    told = [told_by(said(True, root, {"session_id": f"s{root}", "session_name": "n", "properties": {
        f"{root}-{n}": "x" for n in range(150)}})) for root in range(roots)]  # fmt: skip
    found = together(told)
    assert len(found.properties) == MOST_PROPERTIES
    assert len(found.names) <= MOST_NAMES
    one_by_one = Told()
    for one in random.Random(3).sample(told, len(told)):
        one_by_one = together((one_by_one, one))
    assert one_by_one == found


def test_what_postgres_cannot_hold_is_told_without_it():
    assert told_by(said(True, 0, {"session_id": "a\x00b", "properties": {"k\x00": "\ud83d"}})).facts() == Facts(
        "ab", None, None, {"k": "?"}
    )
    assert filled(Attribution(session_id="a\x00b"), Facts("ab"), is_span=True).session_id == "ab"


# --- on rows ----------------------------------------------------------------------------------------------------------

TWO_ROOTS = [
    span(1, None, metadata='{"tier": "gold", "own": "1"}', user__id="ada"),
    span(2, None, metadata='{"tier": "tin", "plan": "pro"}', session__id="s", name="another root"),
    span(3, 1, session__id="its own", metadata='{"tier": "tin"}'),
    span(4, 2),
]  # fmt: skip


def whose(db: Any) -> Any:
    return db.execute(
        "SELECT door, span_id, session_id, session_name, end_user_id, properties::text FROM llm_request ORDER BY id"
    ).fetchall()


def own_facts(exchange: Exchange) -> Exchange:
    return spans.placed(exchange, parse(exchange)).exchange


@pytest.mark.django_db(transaction=True)
def test_steps_and_calls_are_whose_their_trace_is_in_whatever_order_they_come(db, tmp_path):
    read = [otlp.exchange(dict(document), POSTING) for document in TWO_ROOTS]
    bare = passed(4)
    named = replace(passed(3, door="log"), attribution=Attribution(session_id="mine", properties={"tier": "mine"}))
    steps = [*read, bare, named]
    expected = None
    chance = random.Random(5)
    for attempt in range(12):
        db.execute("TRUNCATE llm_request, llm_request_body, request_alias, session, trace, usage_delta, facet_delta")
        through(tmp_path / str(attempt), chance.sample(steps, len(steps)))
        found = whose(db)
        expected = expected or found
        assert found == expected, attempt
    assert expected is not None
    by_span = {row[1]: row[2:] for row in expected}
    assert by_span["0000000000000003"] == (
        "s", None, "ada", '{"own": "1", "plan": "pro", "tier": "tin"}',
    )  # fmt: skip
    assert by_span["0000000000000004"] == ("s", None, "ada", '{"own": "1", "plan": "pro", "tier": "gold"}')
    calls = {row[0]: row[2:] for row in expected if row[0] != "otlp"}
    assert calls["gateway"] == ("s", None, "ada", '{"own": "1", "plan": "pro", "tier": "gold"}')
    assert calls["log"] == ("mine", None, "ada", '{"own": "1", "plan": "pro", "tier": "mine"}')
