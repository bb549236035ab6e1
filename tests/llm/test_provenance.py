"""A count is shown with the provider's own numbers it came from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import usage
from llm.exchange import Usage
from llm.provenance import sources


def told(counts: Usage) -> dict[str, list[str]]:
    return {source.label: [term.path for term in source.terms] for source in sources(counts)}


def test_counts_of_the_openai_family_are_found_where_they_stand():
    sent = {"prompt_tokens": 1204, "completion_tokens": 310, "total_tokens": 1514,
            "prompt_tokens_details": {"cached_tokens": 812, "audio_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 40, "audio_tokens": 7}}  # fmt: skip
    found = told(usage.openai(sent))
    assert found["Input tokens"] == ["prompt_tokens"]
    assert found["of them read from cache"] == ["prompt_tokens_details.cached_tokens"]
    assert found["Output tokens"] == ["completion_tokens"]
    assert found["of them reasoning"] == ["completion_tokens_details.reasoning_tokens"]


def test_a_total_made_of_parts_names_all_of_them():
    sent = {"input_tokens": 3, "cache_read_input_tokens": 9511, "cache_creation_input_tokens": 90, "output_tokens": 44}
    counts = Usage(input_tokens=9604, output_tokens=44, cache_read_tokens=9511, cache_write_tokens=90, sent=sent)
    assert told(counts)["Input tokens"] == ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]


def test_googles_modalities_are_told_apart():
    sent = {"promptTokenCount": 30, "candidatesTokenCount": 5, "thoughtsTokenCount": 4,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}, {"modality": "AUDIO", "tokenCount": 10}]}
    found = told(Usage(input_tokens=30, output_tokens=9, reasoning_tokens=4, input_audio_tokens=10, sent=sent))
    assert found["of them audio"] == ["promptTokensDetails[AUDIO].tokenCount"]
    assert found["Output tokens"] == ["candidatesTokenCount", "thoughtsTokenCount"]


def test_interactions_name_their_own_numbers():
    sent = {"total_input_tokens": 30, "total_tool_use_tokens": 7, "total_output_tokens": 5, "total_thought_tokens": 4,
            "input_tokens_by_modality": [{"modality": "audio", "tokens": 10}, {"modality": "text", "tokens": 20}]}
    found = told(Usage(input_tokens=37, output_tokens=9, reasoning_tokens=4, input_audio_tokens=10, sent=sent))
    assert found["Input tokens"] == ["total_input_tokens", "total_tool_use_tokens"]
    assert found["Output tokens"] == ["total_output_tokens", "total_thought_tokens"]
    assert found["of them audio"] == ["input_tokens_by_modality[audio].tokens"]


def test_what_was_worked_out_another_way_names_nothing():
    assert told(Usage(input_tokens=7, sent={"total_tokens": 9})) == {"Input tokens": []}
    assert told(Usage(input_tokens=7)) == {"Input tokens": []}
    assert told(Usage()) == {}


json = st.recursive(st.none() | st.integers(-5, 50) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["input_tokens", "cached_tokens", "modality", "x"]), inner))


usages = st.dictionaries(st.sampled_from(["input_tokens", "prompt_tokens", "usage", "details"]), json)


@given(usages, st.integers(0, 99))
def test_the_terms_always_sum_up_to_the_count(sent, value):
    for source in sources(Usage(input_tokens=value, cache_read_tokens=value, sent=sent)):
        assert not source.terms or sum(term.value for term in source.terms) == source.value


@pytest.mark.parametrize("sent", [{"input_tokens": True}, {"input_tokens": "7"}, {"input_tokens": -7}])
def test_what_is_no_count_is_no_source(sent):
    assert told(Usage(input_tokens=7, sent=sent)) == {"Input tokens": []}
