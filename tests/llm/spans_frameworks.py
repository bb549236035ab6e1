"""Spans made by hand of agent frameworks and CLIs, with their own words beside those of the conventions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.llm.spans import Golden, packed


def event(name: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "attributes": {key.replace("__", "."): value for key, value in attributes.items()}}


_CHAT: Final = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}

GOLDEN: Final[Mapping[str, Golden]] = {
    "Strands, whose input is without cache": Golden(
        {
            "gen_ai.operation.name": "chat", "gen_ai.system": "strands-agents",
            "gen_ai.request.model": "us.anthropic.claude-sonnet-4-20250514-v1:0", "gen_ai.usage.input_tokens": 200,
            "gen_ai.usage.prompt_tokens": 200, "gen_ai.usage.output_tokens": 10, "gen_ai.usage.total_tokens": 340,
            "gen_ai.usage.cache_read_input_tokens": 100, "gen_ai.usage.cache_write_input_tokens": 30,
        },
        {"kind": "llm", "usage.input_tokens": 330, "usage.cache_read_tokens": 100, "usage.cache_write_tokens": 30,
         "usage.output_tokens": 10, "span.provider": "custom", "finish_reason": "tool_use", "tool_calls": ("calc",),
         "request_preview": "Twice two?"},
        events=(
            event("gen_ai.user.message", content=packed([{"text": "Twice two?"}])),
            event("gen_ai.choice", finish_reason="tool_use", message=packed([
                {"reasoningContent": {"reasoningText": {"text": "hm"}}},
                {"toolUse": {"toolUseId": "t1", "name": "calc", "input": {"a": 2}}},
            ])),
        ),
    ),
    "a total of input and output alone has the cache inside": Golden(
        {**_CHAT, "gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 10,
         "gen_ai.usage.total_tokens": 210, "gen_ai.usage.cache_read_input_tokens": 100},
        {"usage.input_tokens": 200, "usage.cache_read_tokens": 100},
    ),
    "Azure's SDKs, with messages in events": Golden(
        {**_CHAT, "gen_ai.system": "az.ai.inference", "gen_ai.usage.input_tokens": 5,
         "gen_ai.usage.output_tokens": 3, "gen_ai.thread.id": "thread-1"},
        {"span.provider": "azure", "span.session_id": "thread-1", "request_preview": "What?",
         "response_preview": "That.", "finish_reason": "stop"},
        events=(
            event("gen_ai.user.message", gen_ai__event__content=packed({"role": "user", "content": "What?"})),
            event("gen_ai.choice", gen_ai__event__content=packed({
                "message": {"content": "That."}, "finish_reason": "stop", "index": 0})),
        ),
    ),
    "Sentry's names": Golden(
        {**_CHAT, "gen_ai.system": "openai", "gen_ai.request.messages": packed([{"role": "user", "content": "Hi"}]),
         "gen_ai.response.text": packed(["Hello!"]), "gen_ai.response.tool_calls": packed([{"name": "f", "id": "1"}]),
         "gen_ai.usage.input_tokens": 20, "gen_ai.usage.input_tokens.cached": 5,
         "gen_ai.usage.input_tokens.cache_write": 3, "gen_ai.usage.output_tokens": 10,
         "gen_ai.usage.output_tokens.reasoning": 8, "gen_ai.usage.total_tokens": 30},
        {"request_preview": "Hi", "response_preview": "Hello!", "tool_calls": ("f",), "usage.input_tokens": 20,
         "usage.cache_read_tokens": 5, "usage.cache_write_tokens": 3, "usage.reasoning_tokens": 8},
    ),
    "Sentry's tool": Golden(
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "calc", "gen_ai.tool.input": packed({"a": 1}),
         "gen_ai.tool.output": "2"},
        {"kind": "tool", "span.name": "calc", "request_preview": '⚒ calc({ "a": 1 })', "response_preview": "2"},
    ),
    "Semantic Kernel's first names": Golden(
        {"gen_ai.operation.name": "chat.completions", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
         "gen_ai.response.prompt_tokens": 16, "gen_ai.response.completion_tokens": 28},
        {"kind": "llm", "usage.input_tokens": 16, "usage.output_tokens": 28},
    ),
    "Spring AI's call, all of it text": Golden(
        {**_CHAT, "gen_ai.system": "openai", "gen_ai.usage.input_tokens": "120",
         "gen_ai.usage.output_tokens": "20", "gen_ai.usage.total_tokens": "140",
         "gen_ai.response.finish_reasons": '["STOP"]'},
        {"kind": "llm", "usage.input_tokens": 120, "usage.output_tokens": 20, "finish_reason": "STOP"},
    ),
    "Spring AI's client": Golden(
        {"gen_ai.operation.name": "framework", "gen_ai.system": "spring_ai", "spring.ai.kind": "chat_client",
         "spring.ai.chat.client.conversation.id": "007"},
        {"kind": "chain", "span.session_id": "007"},
    ),
    "Spring AI's tool": Golden(
        {"gen_ai.operation.name": "framework", "gen_ai.system": "spring_ai", "spring.ai.kind": "tool_call",
         "spring.ai.tool.definition.name": "weather", "spring.ai.tool.call.arguments": "{}",
         "spring.ai.tool.call.result": "sun"},
        {"kind": "tool", "span.name": "weather", "response_preview": "sun"},
    ),
    "Haystack's generator": Golden(
        {
            "haystack.component.name": "llm", "haystack.component.type": "OpenAIChatGenerator",
            "haystack.component.input": packed({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}),
            "haystack.component.output": packed({"replies": [{
                "role": "assistant", "content": [{"tool_call": {"tool_name": "w", "arguments": {"a": 1}, "id": "x"}}],
                "meta": {"model": "gpt-4o-mini-2024-07-18", "finish_reason": "tool_calls", "usage": {
                    "prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8,
                    "prompt_tokens_details": {"cached_tokens": 2}}},
            }]}),
        },
        {"kind": "llm", "response_model": "gpt-4o-mini-2024-07-18", "usage.input_tokens": 5,
         "usage.cache_read_tokens": 2, "finish_reason": "tool_calls", "request_preview": "Hi", "tool_calls": ("w",)},
    ),
    "Haystack's retriever": Golden(
        {"haystack.component.name": "search", "haystack.component.type": "InMemoryBM25Retriever",
         "haystack.component.input": packed({"query": "who"}),
         "haystack.component.output": packed({"documents": [{"id": "1", "content": "Ada.", "score": 0.3}]})},
        {"kind": "retriever", "span.name": "search", "request_preview": "who", "response_preview": "Ada."},
    ),
    "Mastra's agent": Golden(
        {"mastra.span.type": "agent_run", "mastra.agent_run.input": packed([{"role": "user", "content": "2+2?"}]),
         "mastra.agent_run.output": packed({"text": "4"}), "mastra.metadata.userId": "ada",
         "mastra.metadata.sessionId": "s", "mastra.metadata.plan": "pro", "mastra.tags": packed(["a"])},
        {"kind": "agent", "span.session_id": "s", "span.end_user_id": "ada", "request_preview": "2+2?",
         "response_preview": "4", "span.properties": {"plan": "pro", "tags": "a"}},
    ),
    "Braintrust": Golden(
        {"braintrust.span_attributes": packed({"type": "llm"}), "braintrust.metadata": packed({"model": "gpt-4o"}),
         "braintrust.input_json": packed([{"role": "user", "content": "Hi"}]),
         "braintrust.output_json": packed([{"index": 0, "message": {"role": "assistant", "content": "Hello!"}}]),
         "braintrust.metrics": packed({"prompt_tokens": 20, "completion_tokens": 9, "tokens": 29,
                                       "prompt_cached_tokens": 4, "completion_reasoning_tokens": 3})},
        {"kind": "llm", "request_model": "gpt-4o", "usage.input_tokens": 20, "usage.cache_read_tokens": 4,
         "usage.reasoning_tokens": 3, "request_preview": "Hi", "response_preview": "Hello!"},
    ),
    "Gemini CLI": Golden(
        {"model": "gemini-2.5-pro", "input_token_count": 12000, "output_token_count": 100,
         "cached_content_token_count": 8000, "thoughts_token_count": 300, "tool_token_count": 5,
         "session.id": "s1", "user.email": "ada@example.org", "response_text": "Done."},
        {"kind": "llm", "request_model": "gemini-2.5-pro", "usage.input_tokens": 12005, "usage.output_tokens": 400,
         "usage.cache_read_tokens": 8000, "usage.reasoning_tokens": 300, "span.session_id": "s1",
         "span.end_user_id": "ada@example.org", "response_preview": "Done."},
        name="gemini_cli.api_response",
    ),
    "Gemini CLI's tool": Golden(
        {"function_name": "read_file", "function_args": packed({"path": "a"}), "session.id": "s1"},
        {"kind": "tool", "span.name": "read_file"}, name="gemini_cli.tool_call",
    ),
    "vLLM": Golden(
        {"gen_ai.response.model": "Qwen/Qwen3", "gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.completion_tokens": 7,
         "gen_ai.latency.time_to_first_token": 0.12},
        {"kind": "llm", "usage.output_tokens": 7, "span.time_to_first_token_ms": 120}, name="llm_request",
    ),
}  # fmt: skip
