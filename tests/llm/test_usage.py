"""Whose counts leave what out is told by the keys they send and by their own totals."""

from __future__ import annotations

import pytest

from llm.usage import declared_cost, generic, openai


def totals(sent: dict[str, object]) -> tuple[int | None, int | None]:
    usage = openai(sent)
    return usage.input_tokens, usage.output_tokens


def test_a_total_that_is_larger_by_the_reasoning_says_it_was_left_out():
    details = {"completion_tokens_details": {"reasoning_tokens": 7}}
    assert totals({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 37, **details}) == (10, 27)
    assert totals({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30, **details}) == (10, 20)


def test_a_total_that_is_larger_by_thinking_nobody_names_says_it_was_left_out():
    assert totals({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 64}) == (10, 54)


def test_a_total_that_is_larger_by_the_cache_says_it_was_left_out():
    sent = {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 3, "cacheWriteInputTokens": 4}
    assert totals({**sent, "totalTokens": 22}) == (17, 5)
    assert totals({**sent, "totalTokens": 15}) == (10, 5)


def test_a_cache_named_among_the_details_is_not_taken_for_output():
    details = {"prompt_tokens_details": {"cached_tokens": 50}}
    assert totals({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 65, **details}) == (60, 5)


def test_parts_larger_than_an_unexplained_total_come_on_top_of_it():
    assert totals({"prompt_tokens": 2, "completion_tokens": 1, "cached_tokens": 50}) == (52, 1)


def test_a_total_nobody_told_stays_untold():
    usage = openai({"cached_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 3}})
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (None, None, 50)


def test_gemini_counts_thoughts_and_tool_prompts_beside_its_counts():
    usage = generic({"usageMetadata": {
        "promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 40,
        "cachedContentTokenCount": 8, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}]}})
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (15, 43, 40)
    assert (usage.cache_read_tokens, usage.input_audio_tokens) == (8, 2)


@pytest.mark.parametrize(("sent", "nano_usd"), [
    ({"cost": 0.000080125}, 80125), ({"cost": {"total_cost": 0.006}}, 6_000_000), ({"cost": 0}, 0),
    ({"cost": 0, "cost_details": {"upstream_inference_cost": 0.001}}, 1_000_000),
    ({"cost_in_usd_ticks": 37756000}, 3775600), ({"cost": "0.5"}, 500_000_000),
    ({}, None), ({"cost": None}, None), ({"cost": -1}, None), ({"cost": True}, None), ({"cost": "much"}, None),
    ({"cost": 1e300}, None),
])
def test_a_cost_the_provider_declares_is_read_in_all_its_forms(sent, nano_usd):
    assert declared_cost(sent) == nano_usd
