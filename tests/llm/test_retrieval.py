"""Documents a search found, as vector stores and SDKs write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm.retrieval import MOST_DOCUMENTS, Document, documents

FOUND = (Document("Unworn goods.", "policy#2", 0.9),)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["document", "text", "score", "id", "matches", "x"]), inner, max_size=4),
)


@pytest.mark.parametrize("answered", [
    [{"content": "Unworn goods.", "id": "policy#2", "score": 0.9}],
    [{"document": {"content": "Unworn goods.", "id": "policy#2", "score": 0.9}}],
    {"documents": [{"page_content": "Unworn goods.", "id": "policy#2", "score": "0.9"}]},
    {"matches": [{"text": "Unworn goods.", "id": "policy#2", "score": 0.9, "metadata": {"a": 1}}]},
    {"results": [{"document": {"text": "Unworn goods."}, "relevance_score": 0.9, "id": "policy#2"}]},
    {"hits": [{"_source": {"body": "Unworn goods."}, "_id": "policy#2", "_score": 0.9}]},
    [{"node": {"text": "Unworn goods."}, "score": 0.9, "id": "policy#2"}],
])  # fmt: skip
def test_a_document_is_found_in_each_shape(answered):
    assert documents(answered) == FOUND


def test_a_document_without_a_text_is_shown_as_it_is_and_one_without_a_score_has_none():
    assert documents([{"title": "Returns"}, "bare text"]) == (
        Document('{\n  "title": "Returns"\n}'), Document("bare text"),
    )  # fmt: skip


def test_what_is_no_list_has_no_documents_and_a_long_list_is_cut():
    assert documents("three found") == documents({"count": 3}) == documents(None) == ()
    assert len(documents(["x"] * 10_000)) == MOST_DOCUMENTS


@given(values)
def test_anything_at_all_is_read(answered):
    assert all(isinstance(one.text, str) and isinstance(one.id, str) for one in documents(answered))
