"""Names of numbers in what providers tell of usage: those a rule reads, and those known to change nothing here.

A number under any other name may be something the provider charges for and nobody here counts: `llm.parse` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

READ: Final = frozenset({
    # totals
    "prompt_tokens", "input_tokens", "inputTokens", "prompt_token_count", "promptTokens", "prompt_eval_count",
    "inputTokenCount", "inputTextTokenCount", "completion_tokens", "output_tokens", "outputTokens",
    "generation_token_count", "completionTokens", "eval_count", "outputTokenCount", "totalOutputTextTokenCount",
    "total_tokens", "totalTokens", "input_token_count", "generated_token_count", "generated_tokens",
    "promptTokenCount", "candidatesTokenCount", "totalTokenCount", "toolUsePromptTokenCount", "tokenCount",
    "token_count", "responseTokenCount", "output_token_count", "input_length", "image_count", "image_output_count",
    "num_prompt_tokens", "num_completion_tokens", "num_total_tokens", "tokens_evaluated", "tokens_predicted",
    "total_input_tokens", "total_output_tokens", "total_tool_use_tokens", "tokens", "connector_tokens",
    "num_tokens_prompt_total", "num_tokens_generated",
    # parts
    "total_cached_tokens", "total_thought_tokens", "total_reasoning_tokens", "reasoning_output_tokens",
    "cached_prompt_text_tokens",
    "cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens", "prompt_cache_read_token_count",
    "cache_read_input_tokens", "cacheReadInputTokens", "cachedInputTokens", "cacheReadInputTokenCount",
    "cache_write_tokens", "prompt_cache_write_token_count", "cache_creation_input_tokens", "cacheWriteInputTokens",
    "cacheWriteInputTokenCount", "cachedContentTokenCount", "cache_creation_tokens",
    "write_1h_tokens", "write_5m_tokens", "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens",
    "reasoning_tokens", "thinking_tokens", "thoughtsTokenCount", "audio_tokens", "image_tokens",
    # beside tokens
    "web_search_requests", "num_search_queries", "num_sources_used", "invocation", "web_search", "web_search_premium",
    "search_units", "seconds", "prompt_audio_seconds", "pages_processed", "annotated_pages_processed",
    "cost", "total_cost", "cost_in_usd_ticks", "upstream_inference_cost",
})
IDLE: Final = frozenset({
    # the rest of a total, or a part of a part
    "text_tokens", "prompt_cache_miss_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens",
    "citation_tokens", "video_tokens", "document_tokens", "multimodal_tokens", "tool_use_prompt_tokens", "file_tokens",
    # counts of what was charged as tokens or is free
    "web_fetch_requests", "code_execution_requests", "tool_search_requests", "tool_calls_executed",
    "tool_calls_requested", "request_count", "num_requests", "num_server_side_tools_used", "classifications",
    "web_search_calls", "x_search_calls", "code_interpreter_calls", "file_search_calls", "mcp_calls",
    "trafficType", "totalBillableCharacters", "billableCharacterCount", "initial_input_tokens", "count",
    "document_search_calls", "context_tokens", "num_images", "max_tokens", "search_requests",
    "original_input_tokens", "doc_size_bytes", "total_characters", "image_pixels",
    # what makes up a cost told in one
    "input_tokens_cost", "output_tokens_cost", "request_cost", "citation_tokens_cost", "reasoning_tokens_cost",
    "search_queries_cost", "upstream_inference_prompt_cost", "upstream_inference_completions_cost",
    "upstream_inference_input_cost", "upstream_inference_output_cost", "cost_estimate", "cache_discount",
    "estimated_cost", "market_cost", "input_cost", "output_cost", "tool_calls_cost",
    # times and speeds
    "queue_time", "prompt_time", "completion_time", "total_time", "total_duration", "load_duration",
    "prompt_eval_duration", "eval_duration", "invocationLatency", "firstByteLatency", "latencyMs",
    "predict_time", "tokens_per_second", "total_latency", "time_to_first_token", "created", "latency", "ttft",
    "time_to_first_token_ms", "time_per_output_token_ms", "prompt_tokens_per_second",
    "start_time", "end_time", "acceptance_rate", "total_tokens_per_sec", "time_to_first_token_graph",
    "completion_tokens_per_sec", "completion_tokens_after_first_per_sec", "completion_tokens_after_first_per_sec_graph",
    "completion_tokens_after_first_per_sec_first_ten",
    # numbers that name a kind (enums of Google's), and characters beside tokens
    "modality", "billable_character_count",
})
KNOWN: Final = READ | IDLE
_DEEPEST: Final = 6


def unknown(sent: Mapping[str, Any]) -> list[str]:
    """Dotted names of the numbers (above 0) in `sent` that nobody here knows, each once, in order."""
    found: dict[str, None] = {}
    _look(sent, "", 0, found)
    return list(found)


def _look(told: Mapping[str, Any], path: str, depth: int, found: dict[str, None]) -> None:
    for name, item in told.items():
        if name in KNOWN:
            continue
        kind = type(item)
        if kind is int or kind is float:
            if item > 0:
                found[f"{path}{name}"] = None
        elif kind is dict and depth < _DEEPEST:
            _look(item, f"{path}{name}.", depth + 1, found)
        elif kind is list and depth < _DEEPEST:
            for inner in item:
                if type(inner) is dict:
                    _look(inner, f"{path}{name}.", depth + 1, found)
