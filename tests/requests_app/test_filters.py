"""One tree, however it was said; and SQL that means what the tree says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce

import pytest
from django.db import connection
from django.http import QueryDict
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from requests_app import filter_json, filter_text, filter_url, filters
from requests_app.filters import EVERYTHING, And, FilterError, Leaf, Or
from tests.requests_app import factories

START = datetime(2026, 11, 2, tzinfo=UTC)
NAMES = ("gpt-4o", "GPT-4", "a_b", "a%b", "", "\\", "claude", "é")
TEXTS = st.sampled_from(NAMES)
NUMBERS = st.sampled_from((0, 1, 200, 400, 429, 1500))

# --- trees ----------------------------------------------------------------------------------------------------


def pattern_values(operator: str) -> st.SearchStrategy[str]:
    return TEXTS.filter(lambda text: not text.endswith("\\")) if "like" in operator else TEXTS


def leaves_of(key: str, operators: tuple[str, ...], values, *, name: str = ""):
    def one(operator: str):
        allowed = pattern_values(operator) if values is TEXTS else values
        nullable = allowed | st.none() if operator in ("=", "!=") else allowed
        return nullable.map(lambda value: Leaf(key, operator, value, name))

    return st.sampled_from(operators).flatmap(one)


LEAVES = st.one_of(
    leaves_of("model", filters.WORDED, TEXTS),
    leaves_of("user", filters.WORDED, TEXTS),
    leaves_of("property", filters.WORDED, TEXTS, name="env"),
    leaves_of("status", filters.ORDERED, NUMBERS),
    leaves_of("cost", filters.ORDERED, st.sampled_from([Decimal("0"), Decimal("0.000001"), Decimal("1.5")])),
    leaves_of("score", filters.ORDERED, NUMBERS, name="tone"),
    leaves_of("problem", ("=", "!="), st.sampled_from(("fell_back", "fell", "redacted"))),
    leaves_of("property_key", ("=", "!="), st.sampled_from(("env", "plan"))),
    leaves_of("tool", ("=", "!="), st.sampled_from(("search", "read"))),
    leaves_of("uncached_input_tokens", filters.ORDERED, NUMBERS),
    leaves_of("at", filters.ORDERED, st.integers(0, 5).map(lambda hours: START + timedelta(hours=hours))),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, min_size=2, max_size=3).flatmap(
        lambda parts: st.sampled_from([filters.join("and", parts), filters.join("or", parts)])
    ),
    max_leaves=8,
)


def same(node):
    """A tree with neither order nor repetition, for comparing what two forms mean."""
    if isinstance(node, Leaf):
        return node
    return (type(node), frozenset(map(same, node.parts)))


@given(TREES)
def test_the_json_form_reads_back_as_the_same_tree(tree):
    assert same(filter_json.parse(filter_json.dump(tree))) == same(tree)


@given(st.lists(LEAVES, max_size=5))
def test_the_url_and_the_json_form_of_flat_conditions_are_one_tree(conditions):
    others = [one for one in conditions if one.operator != "="]
    equal: dict[tuple[str, str], list[Leaf]] = {}
    for one in conditions:
        if one.operator == "=":
            equal.setdefault((one.key, one.name), []).append(one)
    tree = filters.join("and", [*others, *(filters.join("or", group) for group in equal.values())])
    query = QueryDict(mutable=True)
    for key, text in filter_url.dump(tree):
        query.appendlist(key, text)
    read = filter_url.parse(query)
    assert same(read) == same(tree)
    assert same(filter_json.parse(filter_json.dump(read))) == same(tree)


# --- what SQL answers is what the tree says -------------------------------------------------------------------


def like(pattern: str, text: str, *, flags: int = 0) -> bool:
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    meant = [".*" if p == "%" else "." if p == "_" else re.escape(p[-1]) for p in parts]
    return re.fullmatch("".join(meant), text, flags | re.DOTALL) is not None


def holds_for_text(operator: str, value: str | None, text: str | None) -> bool:
    if value is None:
        return (text is None) == (operator == "=")
    known = text or ""
    return {
        "=": lambda: known == value,
        "!=": lambda: known != value,
        "~": lambda: value.lower() in known.lower(),
        "!~": lambda: value.lower() not in known.lower(),
        "like": lambda: like(value, known),
        "ilike": lambda: like(value, known, flags=re.IGNORECASE),
    }[operator]() is True


def holds_for_order(operator: str, value, known) -> object:
    if value is None:
        return (known is None) == (operator == "=")
    if known is None:
        return operator == "!="
    return {
        "=": known == value, "!=": known != value, ">": known > value, ">=": known >= value,
        "<": known < value, "<=": known <= value,
    }[operator]  # fmt: skip


def holds(node, row) -> bool:
    """The grammar's meaning, said a second time in Python."""
    if isinstance(node, And):
        return all(holds(part, row) for part in node.parts)
    if isinstance(node, Or):
        return any(holds(part, row) for part in node.parts)
    if node.key in ("model", "user", "property"):
        text = {"model": row.model, "user": row.end_user_id, "property": row.properties.get("env")}[node.key]
        return holds_for_text(node.operator, node.value, text)
    if node.key == "problem":
        codes = {text.partition(": ")[0] for text in row.problems}
        return bool((node.operator == "=") == (not codes if node.value is None else node.value in codes))
    if node.key in ("tool", "property_key"):
        names = set(row.tool_calls or () if node.key == "tool" else row.properties)
        return bool((node.operator == "=") == (not names if node.value is None else node.value in names))
    usd = None if row.cost_nano_usd is None else Decimal(row.cost_nano_usd) / 10**9
    uncached = None if row.input_tokens is None else row.input_tokens - (row.cache_read_tokens or 0)
    known = {
        "status": row.status, "cost": usd, "score": (row.scores or {}).get("tone"), "at": row.requested_at,
        "uncached_input_tokens": uncached,
    }[node.key]  # fmt: skip
    return bool(holds_for_order(node.operator, node.value, known))


ROWS = st.builds(
    lambda hours, env, scores, **values: factories.make_row(
        1, START + timedelta(hours=hours),
        properties={} if env is None else {"env": env}, scores=None if scores is None else {"tone": scores}, **values,
    ),
    hours=st.integers(0, 5),
    env=st.none() | TEXTS,
    scores=st.none() | NUMBERS,
    model=st.none() | TEXTS,
    end_user_id=st.none() | TEXTS,
    status=NUMBERS,
    cost_nano_usd=st.sampled_from([None, 0, 1000, 1_500_000_000]),
    input_tokens=st.none() | NUMBERS,
    cache_read_tokens=st.none() | st.sampled_from([0, 1]),
    tool_calls=st.sampled_from([(), ("search",), ("search", "read")]),
    problems=st.sampled_from([(), ("fell_back",), ("fell_back: to b: or c", "redacted"), ("redacted: email 2",)]),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, max_size=12), trees=st.lists(TREES, min_size=1, max_size=10))
@example(
    rows=[factories.make_row(1, START), factories.make_row(1, START, problems=("redacted",))],
    trees=[Leaf("problem", operator, value) for operator in ("=", "!=") for value in (None, "redacted")],
)
@example(
    rows=[factories.make_row(1, START), factories.make_row(1, START, tool_calls=("search", "read"))],
    trees=[Leaf("tool", operator, value) for operator in ("=", "!=") for value in (None, "read", "write")],
)
def test_sql_finds_the_rows_the_tree_is_true_for(db, rows, trees):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM llm_request")
        factories.insert(rows)
        for tree in trees:
            clause = filters.compile(tree)
            cursor.execute(f"SELECT id FROM llm_request r WHERE {clause.sql}", clause.values)
            assert {row[0] for row in cursor.fetchall()} == {row.id for row in rows if holds(tree, row)}, tree


@given(TREES, st.integers(0, 5).map(lambda hours: START + timedelta(hours=hours)))
def test_bounds_never_exclude_a_time_the_tree_is_true_for(tree, at):
    low, high = filters.bounds(tree)
    is_inside = (low is None or at >= low) and (high is None or at <= high)
    rows = [factories.make_row(1, at, model=model) for model in (None, "gpt-4o")]
    assert is_inside or not any(holds(tree, row) for row in rows)


# --- words of the forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "model=", "property.env="])
def test_an_empty_url_asks_for_everything(text):
    assert filter_url.parse(QueryDict(text)) == EVERYTHING


def test_several_values_of_one_key_are_alternatives_and_bounds_hold_together():
    tree = filter_url.parse(QueryDict("model=a&model=b&status=>=400&status=<500"))
    either = Or((Leaf("model", "=", "a"), Leaf("model", "=", "b")))
    assert tree == And((either, Leaf("status", ">=", 400), Leaf("status", "<", 500)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle=gpt", "There is no filter 'modle'."),
        ("status=abc", "Status is compared with a number."),
        ("cost=>cheap", "an amount in USD"),
        ("status=~4", "cannot be asked with '~'"),
        ("property=x", "There is no filter 'property'."),
        ("at=>=yesterday", "ISO 8601"),
        ("status=1e999", "a number"),
        ("model=a%00b", "text"),
    ],
)
def test_what_cannot_be_asked_is_answered_by_a_sentence(text, message):
    with pytest.raises(FilterError, match=re.escape(message)):
        filter_url.parse(QueryDict(text))


def test_a_problem_is_asked_by_its_code_in_every_form():
    tree = Leaf("problem", "=", "fell_back")
    assert filter_text.parse("problem:fell_back") == tree
    assert filter_url.parse(QueryDict("problem=fell_back")) == tree
    assert filter_json.parse({"request_response_rmt": {"problem": {"equals": "fell_back"}}}) == tree
    assert filter_text.parse("-problem:fell_back") == Leaf("problem", "!=", "fell_back")


def test_helicones_own_example_is_understood():
    tree = filter_json.parse(
        {
            "left": {"request_response_rmt": {"request_created_at": {"gte": "2026-07-01T00:00:00.000Z"}}},
            "operator": "and",
            "right": {
                "left": {"request_response_rmt": {"properties": {"environment": {"equals": "prod"}}}},
                "operator": "or",
                "right": {"request_response_rmt": {"status": {"gte": "400"}}},
            },
        }
    )
    either = Or((Leaf("property", "=", "prod", "environment"), Leaf("status", ">=", 400)))
    assert tree == And((Leaf("at", ">=", datetime(2026, 7, 1, tzinfo=UTC)), either))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("all", EVERYTHING),
        ({}, EVERYTHING),
        ({"request_response_rmt": {"cached": {"equals": True}}}, Leaf("cached", "=", True)),
        (
            {"request_response_rmt": {"cache_reference_id": {"not-equals": filter_json.NO_CACHE_HIT}}},
            Leaf("cached", "=", True),
        ),
        ({"request_response_versioned": {"model": {"contains": "gpt"}}}, Leaf("model", "~", "gpt")),
        ({"request": {"created_at": {"lt": "2026-07-01 10:00:00"}}},
         Leaf("at", "<", datetime(2026, 7, 1, 10, tzinfo=UTC))),
        ({"response": {"status": {"equals": 200}}}, Leaf("status", "=", 200)),
        ({"properties": {"env": {"equals": "prod"}}}, Leaf("property", "=", "prod", "env")),
        ({"properties": {"Env": {"equals": "Prod"}}}, Leaf("property", "=", "Prod", "env")),
        ({"request_response_rmt": {"properties": {"Helicone-Session-Id": {"equals": "s"}}}}, Leaf("session", "=", "s")),
        ({"request_response_rmt": {"user_id": {"equals": "null"}}}, Leaf("user", "=", None)),
        ({"request_response_rmt": {"user_id": {"not-equals": "__empty__"}}}, Leaf("user", "!=", "")),
        ({"request_response_rmt": {"provider": {"equals": "OPENAI"}}}, Leaf("provider", "=", "openai")),
        ({"request_response_rmt": {"scores_column": {"equals": "{}"}}}, Leaf("has_scores", "=", False)),
        ({"feedback": {"rating": {"equals": True}}}, Leaf("score", "=", 1, "helicone-score-feedback")),
        ({"feedback": {"rating": {"equals": "1"}}}, Leaf("score", "=", 1, "helicone-score-feedback")),
        ({"feedback": {"rating": {"equals": "null"}}}, Leaf("score", "=", None, "helicone-score-feedback")),
        ({"request_response_rmt": {"property_key": {"equals": "Env"}}}, Leaf("property_key", "=", "env")),
        (
            {"request_response_rmt": {"status": {"gte": 400, "lt": 500}, "model": {"equals": "m"}}},
            And((Leaf("status", ">=", 400), Leaf("status", "<", 500), Leaf("model", "=", "m"))),
        ),
    ],
)  # fmt: skip
def test_what_helicones_clients_send_is_understood(said, meant):
    assert filter_json.parse(said) == meant


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"request_response_rmt": {"colour": {"equals": "x"}}}, "filter.request_response_rmt.colour.equals"),
        ({"request_response_rmt": {"status": {"is": 1}}}, "filter.request_response_rmt.status.is"),
        ({"request_response_rmt": {"status": {"gte": "many"}}}, "filter.request_response_rmt.status.gte"),
        ({"request_response_rmt": {"response_body": {"contains": "x"}}},
         "filter.request_response_rmt.response_body.contains"),
        ({"nowhere": {"x": {"equals": "y"}}}, "filter.nowhere"),
        ({"feedback": {"rating": {"equals": "x"}}}, "filter.feedback.helicone-score-feedback.equals"),
        ({"properties": {"a": {"like": "x\\"}}}, "filter.properties.a.like"),
        ({"left": {}, "operator": "xor", "right": {}}, "filter.operator"),
        ({"left": {}, "operator": "and"}, "filter.right"),
        ({"left": {}, "operator": "and", "right": {"request": 5}}, "filter.right.request"),
        (7, "filter"),
    ],
)  # fmt: skip
def test_what_helicones_json_cannot_ask_names_the_place(said, path):
    with pytest.raises(FilterError) as caught:
        filter_json.parse(said)
    assert caught.value.path == path


def condition(column, operator, value, **field):
    return {"type": "condition", "field": {"table": "request_response_rmt", "column": column, **field},
            "operator": operator, "value": value}  # fmt: skip


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"type": "all"}, EVERYTHING),
        ({"type": "and", "expressions": []}, EVERYTHING),
        ({"type": "or", "expressions": []}, EVERYTHING),
        (condition("status", "gte", 400), Leaf("status", ">=", 400)),
        (condition("model", "neq", "m"), Leaf("model", "!=", "m")),
        (condition("Env", "is", "Prod", subtype="property"), Leaf("property", "=", "Prod", "env")),
        (condition("my-key", "contains", "x"), Leaf("property", "~", "x", "my-key")),
        (condition("properties", "eq", "Env", subtype="property", valueMode="key"), Leaf("property_key", "=", "env")),
        (condition("tone", "gt", 3, subtype="score"), Leaf("score", ">", 3, "tone")),
        (condition("helicone-score-feedback", "eq", True), Leaf("score", "=", 1, "helicone-score-feedback")),
        (
            {"type": "or", "expressions": [
                condition("status", "lt", 0),
                {"type": "and", "expressions": [condition("model", "eq", "m"), condition("user_id", "eq", "u")]},
            ]},
            Or((Leaf("status", "<", 0), And((Leaf("model", "=", "m"), Leaf("user", "=", "u"))))),
        ),
    ],
)  # fmt: skip
def test_what_helicones_pages_save_is_understood(said, meant):
    assert filter_json.parse(said) == meant


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"type": "xor"}, "filter.type"),
        ({"type": "and"}, "filter.expressions"),
        ({"type": "or", "expressions": [7]}, "filter.expressions.0"),
        ({"type": "condition"}, "filter.field"),
        ({"type": "condition", "field": {"column": "model"}}, "filter"),
        (condition("model", "in", "a"), "filter.request_response_rmt.model.in"),
        (condition("colour", "eq", "a"), "filter.request_response_rmt.colour.equals"),
    ],
)  # fmt: skip
def test_what_helicones_pages_cannot_have_saved_names_the_place(said, path):
    with pytest.raises(FilterError) as caught:
        filter_json.parse(said)
    assert caught.value.path == path


def test_a_filter_without_end_is_refused():
    deep = reduce(lambda inner, _: {"left": inner, "operator": "and", "right": {}}, range(250), {})
    with pytest.raises(FilterError, match="nests"):
        filter_json.parse(deep)
    with pytest.raises(FilterError, match="at most"):
        filters.compile(filters.join("or", [Leaf("model", "=", str(i)) for i in range(1001)]))
