"""The short text form of a filter says what the other forms say."""

from __future__ import annotations

import pytest
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from requests_app import filter_json, filter_text, filter_url, filters
from requests_app.filters import EVERYTHING, And, FilterError, Leaf, Or
from tests.factories import browser
from tests.requests_app.test_filters import LEAVES, TREES, leaves_of, same

ODD = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
ODD_LEAVES = st.one_of(
    leaves_of("model", filters.WORDED, ODD),
    leaves_of("cached", ("=", "!="), st.booleans()),
    ODD.map(lambda words: Leaf("q", "~", words)),
    st.tuples(ODD.filter(bool), ODD).map(lambda pair: filters.leaf("property", "=", pair[1], name=pair[0])),
    st.sampled_from(["*", "!*", ">5", "=x", "like:a", "OR", "AND", "-a", "a:b", '"', "(", "~", "like", ">"]).map(
        lambda text: Leaf("user", "=", text)
    ),
    st.sampled_from(["=5", "=", ":x", "*"]).flatmap(
        lambda text: st.sampled_from(filters.WORDED).map(lambda operator: Leaf("user", operator, text))
    ),
)


@given(TREES)
def test_the_text_reads_back_as_the_same_tree(tree):
    assert same(filter_text.parse(filter_text.dump(tree))) == same(tree)


@given(st.lists(ODD_LEAVES, min_size=1, max_size=4), st.sampled_from(["and", "or"]))
def test_whatever_a_value_or_a_name_holds_it_reads_back(parts, operator):
    tree = filters.join(operator, parts)
    assert same(filter_text.parse(filter_text.dump(tree))) == same(tree)


@given(st.lists(LEAVES, max_size=5))
def test_text_json_and_url_are_one_tree(conditions):
    tree = filter_url.parse(_query(filters.join("and", conditions)))
    text = filter_text.parse(filter_text.dump(tree))
    assert same(text) == same(tree)
    assert same(filter_json.parse(filter_json.dump(text))) == same(tree)
    assert same(filter_url.parse(_query(text))) == same(tree)


def _query(tree) -> QueryDict:
    query = QueryDict(mutable=True)
    for key, text in filter_url.dump(tree):
        query.appendlist(key, text)
    return query


@given(ODD)
def test_any_text_is_a_filter_or_a_clear_error(text):
    try:
        filter_text.parse(text)
    except FilterError as error:
        assert error.message.endswith("of the filter.)")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", EVERYTHING),
        ("model:gpt-4o", Leaf("model", "=", "gpt-4o")),
        ("status:>=400 status:<500", And((Leaf("status", ">=", 400), Leaf("status", "<", 500)))),
        ("property.env:prod", Leaf("property", "=", "prod", "env")),
        ('property."my team":"a b"', Leaf("property", "=", "a b", "my team")),
        ("-user:bob", Leaf("user", "!=", "bob")),
        ("-user:~bo", Leaf("user", "!~", "bo")),
        ("-user:*", Leaf("user", "=", None)),
        ("user:*", Leaf("user", "!=", None)),
        ('user:""', Leaf("user", "=", "")),
        ('user:"*"', Leaf("user", "=", "*")),
        ("model:like:gpt%", Leaf("model", "like", "gpt%")),
        ("refund order", Leaf("q", "~", "refund order")),
        ('cached:true "big words" user:a',
         And((Leaf("cached", "=", True), Leaf("q", "~", "big words"), Leaf("user", "=", "a")))),
        ("country:DE OR country:AT", Or((Leaf("country", "=", "DE"), Leaf("country", "=", "AT")))),
        ("user:a AND (country:DE OR country:AT)",
         And((Leaf("user", "=", "a"), Or((Leaf("country", "=", "DE"), Leaf("country", "=", "AT")))))),
        ("user:a user:b OR user:c",
         Or((And((Leaf("user", "=", "a"), Leaf("user", "=", "b"))), Leaf("user", "=", "c")))),
        ("(((model:a)))", Leaf("model", "=", "a")),
    ],
)  # fmt: skip
def test_what_people_type_is_understood(text, meant):
    assert filter_text.parse(text) == meant


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("moon:1", 1), ("model:a status:many", 9), ("(model:a", 1), ("model:a)", 8), ("model:", 1),
        ('user:"a', 6), ("a OR", 5), ("OR a", 1), ("-(model:a)", 1), ("-status:>400", 1), ("model.x:a", 1),
        ("property:a", 1), ("-word", 1),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_the_character(text, place):
    with pytest.raises(FilterError, match=f"At character {place} ") as caught:
        filter_text.parse(text)
    assert caught.value.path == f"filter:{place}"


def test_an_address_carries_what_is_nested_as_text():
    nested = Or((Leaf("user", "=", "a"), And((Leaf("status", ">=", 400), Leaf("model", "=", "m")))))
    tree = And((Leaf("country", "=", "DE"), nested))
    query = _query(tree)
    assert query.getlist("filter") == ["user:a OR (status:>=400 model:m)"]
    assert filter_url.parse(query) == tree


@given(TREES)
def test_every_alternative_survives_an_address(tree):
    nested = Or((tree, Leaf("model", "=", "x"), Leaf("user", "=", "y"))) if not isinstance(tree, Or) else tree
    query = QueryDict(mutable=True)
    query["filter"] = filter_text.dump(nested)
    assert same(filter_url.parse(QueryDict(query.urlencode()))) == same(nested)


@pytest.mark.django_db
def test_the_requests_page_takes_a_filter_as_text_and_lets_go_of_it(cast):
    page = browser(cast.alice).get("/requests", {"filter": "user:a OR status:>=400", "model": "m"})
    chips = page.context["chips"]
    assert [(chip.words, chip.value) for chip in chips] == [("model", "m"), ("filter", "user:a OR status:>=400")]
    assert chips[1].without.endswith("?model=m")
    wrong = browser(cast.alice).get("/requests", {"filter": "moon:1"})
    assert "There is no filter" in wrong.content.decode()


@given(TREES)
def test_any_tree_goes_through_an_address(tree):
    """What an address cannot say flatly is never said as something else: a deletion may hang on it."""
    assert same(filter_url.parse(_query(tree))) == same(filters.join("and", [tree]))


def test_two_values_that_must_both_hold_do_not_become_alternatives():
    tree = And((Leaf("model", "=", "a"), Leaf("model", "=", "b")))
    assert filter_url.parse(_query(tree)) == tree
    mixed = Or((Leaf("model", "=", "a"), Leaf("model", "!=", "b")))
    assert filter_url.parse(_query(mixed)) == mixed
