"""JSON of strangers as a tree: bounded however deep it is, and of whatever it is made."""

from __future__ import annotations

import json

import pytest

from requests_app import bodies, exports
from requests_app.bodies import Bodies
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


@pytest.mark.parametrize("depth", [10, 300, 900, 5000])
def test_a_deep_body_ends_no_export_and_is_shown_as_it_came(depth):
    raw = b"[" * depth + b"]" * depth
    value: object = []
    for _ in range(depth - 1):
        value = [value]
    line = exports._line({"id": "1", "request": value, "response": None}, Bodies(request=raw))
    assert line.count(b"[") == depth
    assert line.endswith(b"\n")
    if depth < 900:
        assert json.loads(line)["id"] == "1"
    assert bodies.pretty(raw).count("[") == depth
