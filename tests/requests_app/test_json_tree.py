"""JSON of strangers as a tree: bounded however deep it is, and of whatever it is made."""

from __future__ import annotations

import pytest

from requests_app.templatetags.json_tree import DEEPEST, json_tree


@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("depth", [3, DEEPEST, DEEPEST + 1, 5000])
def test_a_tree_ends_however_deep_its_json_is(kind, depth):
    value: object = "the innermost"
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    drawn = json_tree(value)
    assert ("the innermost" in drawn) is (depth <= DEEPEST)
    assert ("download it to see all" in drawn) is (depth > DEEPEST)


def test_a_number_larger_than_a_database_counts_is_shown():
    assert "100000000000000000000000000000000" in json_tree({"n": 10**32})
