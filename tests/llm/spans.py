"""Spans made by hand, one of each SDK and generation, and what is read from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Values = Mapping[str, Any]
START_NS: Final = 1_795_219_200_000_000_000


@dataclass(frozen=True, slots=True)
class Golden:
    attributes: Values
    expected: Values
    """Facts of the reading by name; `reported.` and `span.` and `usage.` lead into what they name."""
    name: str = "span"
    scope: str = ""
    events: tuple[Values, ...] = ()
    resource: Values = field(default_factory=dict)
    status: Values = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        return document(
            self.attributes, name=self.name, scope={"name": self.scope}, events=list(self.events),
            resource=self.resource, status=self.status,
        )  # fmt: skip


def document(attributes: Values, **more: Any) -> dict[str, Any]:
    return {
        "v": 1, "trace_id": "0a" * 16, "span_id": "0b" * 8, "name": "span", "start_ns": START_NS,
        "end_ns": START_NS + 1_000_000_000, "attributes": attributes, **more,
    }  # fmt: skip


def packed(value: Any) -> str:
    return json.dumps(value)


_ASKED = [{"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]}]
_CALLED = [{"role": "assistant", "finish_reason": "tool_call", "parts": [
    {"type": "reasoning", "content": "hm"},
    {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Paris"}},
]}]  # fmt: skip
_COMPLETION = {
    "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06", "service_tier": "default",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Sunny."}}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25,
              "prompt_tokens_details": {"cached_tokens": 4}},
}  # fmt: skip
_REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Weather in Paris?"}]}
_MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "Sunny."}],
    "usage": {"input_tokens": 6, "output_tokens": 9, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 30,
              "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}},
}  # fmt: skip
_GEMINI = {
    "candidates": [{"content": {"parts": [{"text": "Sunny."}], "role": "model"}, "finish_reason": "STOP"}],
    "model_version": "gemini-2.5-flash",
    "usage_metadata": {"prompt_token_count": 104, "candidates_token_count": 22, "thoughts_token_count": 47,
                       "total_token_count": 173},
}  # fmt: skip

GOLDEN: Final[Mapping[str, Golden]] = {
    # --- GenAI conventions -------------------------------------------------------------------------------------------
    "genai today": Golden(
        {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06", "gen_ai.response.id": "chatcmpl-1",
            "gen_ai.usage.input_tokens": 120, "gen_ai.usage.output_tokens": 30,
            "gen_ai.usage.cache_read.input_tokens": 64, "gen_ai.usage.cache_write.input_tokens": 16,
            "gen_ai.usage.reasoning.output_tokens": 10, "gen_ai.response.finish_reasons": ["tool_call"],
            "gen_ai.response.time_to_first_chunk": 0.25, "gen_ai.conversation.id": "conv-1", "enduser.id": "ada",
            "gen_ai.system_instructions": packed([{"type": "text", "content": "Be brief."}]),
            "gen_ai.input.messages": packed(_ASKED), "gen_ai.output.messages": packed(_CALLED),
        },
        {
            "kind": "llm", "request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06",
            "provider_response_id": "chatcmpl-1", "usage.input_tokens": 120, "usage.output_tokens": 30,
            "usage.cache_read_tokens": 64, "usage.cache_write_tokens": 16, "usage.reasoning_tokens": 10,
            "finish_reason": "tool_call", "tool_calls": ("weather",), "span.provider": "openai",
            "span.session_id": "conv-1", "span.end_user_id": "ada", "span.time_to_first_token_ms": 250,
            "request_preview": "Weather in Paris?", "is_stream": True,
        },
    ),
    "genai with messages as events": Golden(
        {"gen_ai.operation.name": "chat", "gen_ai.system": "az.ai.openai", "gen_ai.request.model": "gpt-4o",
         "gen_ai.usage.prompt_tokens": 7, "gen_ai.usage.completion_tokens": 3},
        {"kind": "llm", "usage.input_tokens": 7, "usage.output_tokens": 3, "span.provider": "azure",
         "request_preview": "Hi", "response_preview": "Hello!", "finish_reason": "stop"},
        events=(
            {"name": "gen_ai.system.message", "attributes": {"content": "Be kind."}},
            {"name": "gen_ai.user.message", "attributes": {"content": "Hi"}},
            {"name": "gen_ai.choice", "attributes": {"index": 0, "finish_reason": "stop",
                                                     "message": packed({"content": "Hello!", "role": "assistant"})}},
        ),
    ),
    "genai with details in one event": Golden(
        {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "server.address": "api.groq.com"},
        {"kind": "llm", "span.provider": "groq", "request_preview": "Weather in Paris?", "tool_calls": ("weather",)},
        events=({"name": "gen_ai.client.inference.operation.details", "attributes": {
            "gen_ai.input.messages": packed(_ASKED), "gen_ai.output.messages": packed(_CALLED)}},),
    ),
    "genai tool": Golden(
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "weather", "gen_ai.tool.call.id": "c1",
         "gen_ai.tool.call.arguments": packed({"city": "Paris"}), "gen_ai.tool.call.result": packed({"t": 21})},
        {"kind": "tool", "span.name": "weather", "usage.input_tokens": None,
         "request_preview": '⚒ weather({ "city": "Paris" })'},
    ),
    "genai retrieval": Golden(
        {"gen_ai.operation.name": "retrieval", "gen_ai.retrieval.query.text": "refunds",
         "gen_ai.retrieval.documents": packed([{"id": "d1", "score": 0.9, "content": "Thirty days."}])},
        {"kind": "retriever", "request_preview": "refunds", "response_preview": "Thirty days."},
    ),
    "openai v2, failed": Golden(
        {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-nope",
         "error.type": "NotFoundError"},
        {"kind": "llm", "error_type": "invalid_request_error", "span.http_status": 404, "problems": ()},
        status={"code": 2, "message": "Error code: 404 - {'error': {'message': 'no such model', "
                                      "'type': 'invalid_request_error', 'param': None}}"},
    ),
    "anthropic's own SDK": Golden(
        {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic",
         "gen_ai.request.model": "claude-sonnet-4-5",
         "gen_ai.usage.input_tokens": 136, "gen_ai.usage.output_tokens": 9, "gen_ai.usage.cache_read.input_tokens": 100,
         "gen_ai.usage.cache_write.input_tokens": 30, "anthropic.message.stop_reason": "end_turn",
         "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 20, "anthropic.response.service_tier": "standard"},
        {"kind": "llm", "usage.input_tokens": 136, "usage.cache_write_tokens": 30, "usage.cache_write_1h_tokens": 20,
         "finish_reason": "end_turn", "service_tier": "standard", "span.provider": "anthropic"},
        scope="com.anthropic.sdk.python",
    ),
    # --- OpenInference -----------------------------------------------------------------------------------------------
    "openinference of OpenAI": Golden(
        {"openinference.span.kind": "LLM", "llm.system": "openai", "llm.model_name": "gpt-4o-2024-08-06",
         "input.value": packed(_REQUEST), "input.mime_type": "application/json",
         "output.value": packed(_COMPLETION), "output.mime_type": "application/json",
         "llm.token_count.prompt": 20, "llm.token_count.completion": 5, "session.id": "s", "user.id": "u",
         "tag.tags": ["a", "b"], "metadata": packed({"tier": "free"}), "llm.cost.total": 0.001},
        {"kind": "llm", "request_model": "gpt-4o", "response_model": "gpt-4o-2024-08-06", "usage.input_tokens": 20,
         "usage.cache_read_tokens": 4, "finish_reason": "stop", "service_tier": "default", "span.session_id": "s",
         "span.end_user_id": "u", "span.properties": {"tier": "free", "tags": "a, b"},
         "provider_cost_nano_usd": 1_000_000, "request_preview": "Weather in Paris?", "response_preview": "Sunny."},
    ),
    "openinference of Anthropic": Golden(
        {"openinference.span.kind": "LLM", "llm.provider": "anthropic", "llm.model_name": "claude-sonnet-4-5",
         "output.value": packed(_MESSAGE), "llm.token_count.prompt": 136, "llm.token_count.completion": 9},
        {"usage.input_tokens": 136, "usage.cache_read_tokens": 100, "usage.cache_write_tokens": 30,
         "usage.cache_write_1h_tokens": 20, "finish_reason": "end_turn"},
    ),
    "openinference of Gemini counts thoughts once": Golden(
        {"openinference.span.kind": "LLM", "llm.system": "google", "output.value": packed(_GEMINI),
         "llm.token_count.prompt": 104, "llm.token_count.completion": 116},
        {"usage.input_tokens": 104, "usage.output_tokens": 69, "usage.reasoning_tokens": 47, "finish_reason": "STOP",
         "response_preview": "Sunny."},
    ),
    "openinference, indexed": Golden(
        {
            "openinference.span.kind": "LLM", "llm.model_name": "gpt-4o",
            **{f"llm.input_messages.{n}.message.role": "user" for n in range(12)},
            **{f"llm.input_messages.{n}.message.content": f"number {n}" for n in range(12)},
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "weather",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": "{}",
            "llm.token_count.prompt": 5, "llm.token_count.completion": 2,
            "llm.token_count.prompt_details.cache_read": 3, "llm.token_count.completion_details.reasoning": 1,
        },
        {"request_preview": "number 11", "tool_calls": ("weather",), "usage.cache_read_tokens": 3,
         "usage.reasoning_tokens": 1},
    ),
    "openinference retriever": Golden(
        {"openinference.span.kind": "RETRIEVER", "input.value": "refunds",
         "retrieval.documents.0.document.content": "Thirty days.", "retrieval.documents.0.document.score": 0.9},
        {"kind": "retriever", "request_preview": "refunds", "response_preview": "Thirty days."},
    ),
    "openinference reranker": Golden(
        {"openinference.span.kind": "RERANKER", "reranker.model_name": "rerank-v3", "reranker.query": "refunds"},
        {"kind": "rerank", "request_model": "rerank-v3"},
    ),
    "openinference agent reports": Golden(
        {"openinference.span.kind": "AGENT", "agent.name": "planner", "llm.token_count.prompt": 50,
         "llm.token_count.completion": 5},
        {"kind": "agent", "span.name": "planner", "usage.input_tokens": None, "reported.input_tokens": 50},
    ),
    # --- OpenLLMetry -------------------------------------------------------------------------------------------------
    "openllmetry 0.33": Golden(
        {"llm.request.type": "chat", "gen_ai.system": "OpenAI", "gen_ai.request.model": "gpt-4o",
         "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hi", "gen_ai.completion.0.role": "assistant",
         "gen_ai.completion.0.content": "Hello!", "gen_ai.completion.0.finish_reason": "stop",
         "gen_ai.usage.prompt_tokens": 8, "gen_ai.usage.completion_tokens": 2, "llm.usage.total_tokens": 10,
         "traceloop.association.properties.session_id": "s", "traceloop.association.properties.user_id": "u",
         "traceloop.association.properties.plan": "pro"},
        {"kind": "llm", "usage.input_tokens": 8, "usage.output_tokens": 2, "span.session_id": "s",
         "span.end_user_id": "u", "span.properties": {"plan": "pro"}, "span.provider": "openai",
         "request_preview": "Hi", "response_preview": "Hello!", "finish_reason": "stop"},
    ),
    "openllmetry 0.62": Golden(
        {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5",
         "gen_ai.input.messages": packed(_ASKED), "gen_ai.output.messages": packed(_CALLED),
         "gen_ai.usage.input_tokens": 9463, "gen_ai.usage.output_tokens": 660, "gen_ai.is_streaming": True,
         "gen_ai.usage.cache_read.input_tokens": 8320, "gen_ai.usage.reasoning_tokens": 512},
        {"usage.cache_read_tokens": 8320, "usage.reasoning_tokens": 512, "is_stream": True,
         "tool_calls": ("weather",)},
    ),
    "traceloop workflow": Golden(
        {"traceloop.span.kind": "workflow", "traceloop.entity.name": "joke", "traceloop.entity.input":
            packed({"inputs": {"topic": "otel"}}), "traceloop.entity.output": packed({"outputs": "Ha."})},
        {"kind": "workflow", "span.name": "joke", "response_preview": "Ha."},
    ),
    "helicone's async SDKs": Golden(
        {"llm.request.type": "chat", "gen_ai.request.model": "gpt-4o",
         "traceloop.association.properties.Helicone-Session-Id": "s",
         "traceloop.association.properties.Helicone-Session-Path": "/a/b",
         "traceloop.association.properties.Helicone-User-Id": "u",
         "traceloop.association.properties.Helicone-Property-Plan": "pro"},
        {"span.session_id": "s", "span.session_path": "/a/b", "span.end_user_id": "u",
         "span.properties": {"Plan": "pro"}, "problems": ("usage_missing",)},
    ),
    "a vector store": Golden(
        {"db.system": "pinecone", "db.query.text": "select 1"},
        {"kind": "retriever", "request_preview": "select 1"},
    ),
    # --- Langfuse ----------------------------------------------------------------------------------------------------
    "langfuse 3 generation": Golden(
        {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-4o",
         "langfuse.observation.input": packed([{"role": "user", "content": "Hi"}]),
         "langfuse.observation.output": packed({"role": "assistant", "content": "Hello!"}),
         "langfuse.observation.usage_details": packed({"input": 12, "output": 34, "cache_read_input_tokens": 5,
                                                       "total": 51}),
         "langfuse.observation.cost_details": packed({"input": 0.001, "output": 0.002}),
         "langfuse.observation.completion_start_time": '"2026-11-21T00:00:00.150Z"',
         "session.id": "s", "user.id": "u", "langfuse.trace.tags": ["x"], "langfuse.environment": "prod"},
        {"kind": "llm", "usage.input_tokens": 17, "usage.output_tokens": 34, "usage.cache_read_tokens": 5,
         "provider_cost_nano_usd": 3_000_000, "span.session_id": "s", "response_preview": "Hello!",
         "span.properties": {"tags": "x", "environment": "prod"}, "is_stream": True,
         "span.time_to_first_token_ms": 150},
    ),
    "langfuse 5, which quotes its metadata": Golden(
        {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-4o",
         "langfuse.trace.metadata.plan": '"pro"', "langfuse.observation.metadata.finish_reason": '"stop"',
         "langfuse.trace.metadata.seats": "3"},
        {"kind": "llm", "span.provider": "custom",
         "span.properties": {"plan": "pro", "finish_reason": "stop", "seats": "3"}},
    ),
    "langfuse whose parts are inside of its totals": Golden(
        {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-4o",
         "langfuse.observation.usage_details": packed({"input": 100, "output": 20, "input_cached_tokens": 40,
                                                       "output_reasoning_tokens": 8, "total": 120})},
        {"usage.input_tokens": 100, "usage.output_tokens": 20, "usage.cache_read_tokens": 40,
         "usage.reasoning_tokens": 8},
    ),
    "langfuse 3.3 calls a generation a span": Golden(
        {"langfuse.observation.type": "span", "langfuse.observation.model.name": "gpt-4o"}, {"kind": "llm"},
    ),
    "langfuse of Responses": Golden(
        {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-5",
         "langfuse.observation.metadata.object": "response", "langfuse.observation.metadata.status": "completed",
         "langfuse.observation.output": packed([
             {"type": "reasoning", "id": "rs_1", "summary": []},
             {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}},
             {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Rain."}]}]),
         "langfuse.observation.usage_details": packed({"input_tokens": 9, "output_tokens": 6,
                                                       "output_tokens_details": {"reasoning_tokens": 5}})},
        {"finish_reason": "completed", "tool_calls": ("web_search_call",), "usage.reasoning_tokens": 5,
         "usage.input_tokens": 9},
    ),
    "langfuse error": Golden(
        {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-4o",
         "langfuse.observation.level": "ERROR", "langfuse.observation.status_message": "too slow"},
        {"error_message": "too slow", "problems": ()},
    ),
    # --- Vercel's AI SDK ---------------------------------------------------------------------------------------------
    "AI SDK 4 of Anthropic tells input without cache": Golden(
        {"operation.name": "ai.generateText.doGenerate my-fn", "ai.operationId": "ai.generateText.doGenerate",
         "ai.model.provider": "anthropic.messages", "ai.model.id": "claude-sonnet-4-5", "ai.usage.promptTokens": 6,
         "ai.usage.completionTokens": 9, "gen_ai.usage.input_tokens": 6, "gen_ai.usage.output_tokens": 9,
         "ai.response.text": "Sunny.", "ai.response.finishReason": "stop",
         "ai.response.providerMetadata": packed({"anthropic": {"cacheCreationInputTokens": 30,
                                                              "cacheReadInputTokens": 100}})},
        {"kind": "llm", "usage.input_tokens": 136, "usage.cache_read_tokens": 100, "usage.cache_write_tokens": 30,
         "span.provider": "anthropic"},
    ),
    "AI SDK 5 stream": Golden(
        {"ai.operationId": "ai.streamText.doStream", "ai.model.provider": "openai.responses", "ai.model.id": "gpt-5",
         "ai.usage.inputTokens": 140, "ai.usage.outputTokens": 19, "ai.usage.cachedInputTokens": 40,
         "ai.usage.reasoningTokens": 3, "ai.response.msToFirstChunk": 12.4, "ai.response.finishReason": "tool-calls",
         "ai.prompt.messages": packed([{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]),
         "ai.response.toolCalls": packed([{"toolCallId": "c", "toolName": "weather", "input": "{}"}]),
         "ai.telemetry.metadata.sessionId": "s", "ai.telemetry.metadata.userId": "u",
         "ai.telemetry.metadata.plan": "pro", "ai.telemetry.metadata.tags": ["a"]},
        {"kind": "llm", "usage.input_tokens": 140, "usage.cache_read_tokens": 40, "usage.reasoning_tokens": 3,
         "is_stream": True, "span.time_to_first_token_ms": 12, "tool_calls": ("weather",),
         "finish_reason": "tool-calls",
         "span.session_id": "s", "span.end_user_id": "u", "span.properties": {"plan": "pro", "tags": "a"}},
    ),
    "AI SDK 6 of Anthropic": Golden(
        {"ai.operationId": "ai.generateText.doGenerate", "ai.model.provider": "anthropic.messages",
         "ai.usage.inputTokens": 136, "ai.usage.inputTokenDetails.noCacheTokens": 6, "ai.usage.outputTokens": 9,
         "ai.response.providerMetadata": packed({"anthropic": {"usage": _MESSAGE["usage"]}})},
        {"usage.input_tokens": 136, "usage.cache_write_1h_tokens": 20, "usage.cache_read_tokens": 100},
    ),
    "AI SDK 6, outer": Golden(
        {"operation.name": "ai.generateText my-fn", "ai.operationId": "ai.generateText", "ai.model.id": "gpt-5",
         "ai.usage.inputTokens": 140, "ai.usage.outputTokens": 19},
        {"kind": "chain", "usage.input_tokens": None, "reported.input_tokens": 140},
    ),
    "AI SDK 7 agent": Golden(
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "my-fn", "gen_ai.request.model": "gpt-5",
         "gen_ai.usage.input_tokens": 280, "gen_ai.usage.output_tokens": 38, "ai.settings.context.sessionId": "s"},
        {"kind": "agent", "reported.input_tokens": 280, "span.session_id": "s", "span.name": "my-fn"},
    ),
    "AI SDK 7 step": Golden(
        {"gen_ai.operation.name": "agent_step", "gen_ai.usage.input_tokens": 140, "gen_ai.usage.output_tokens": 19},
        {"kind": "chain", "reported.output_tokens": 19},
    ),
    "AI SDK embedding": Golden(
        {"ai.operationId": "ai.embed.doEmbed", "ai.model.id": "text-embedding-3-small", "ai.usage.tokens": 13,
         "ai.values": [packed("hello")]},
        {"kind": "embedding", "usage.input_tokens": 13},
    ),
    "AI SDK tool": Golden(
        {"ai.operationId": "ai.toolCall", "ai.toolCall.name": "weather", "ai.toolCall.args": packed({"city": "Paris"}),
         "ai.toolCall.result": packed({"t": 21})},
        {"kind": "tool", "span.name": "weather"},
    ),
    # --- Logfire and pydantic-ai -------------------------------------------------------------------------------------
    "logfire": Golden(
        {"logfire.msg_template": "Chat Completion", "request_data": packed({"model": "gpt-4o"}),
         "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 5,
         "gen_ai.usage.raw": packed(_COMPLETION["usage"]), "operation.cost": 0.002, "gen_ai.response.id": "chatcmpl-1",
         "gen_ai.input.messages": packed(_ASKED), "gen_ai.output.messages": packed(_CALLED)},
        {"kind": "llm", "request_model": "gpt-4o", "usage.cache_read_tokens": 4, "provider_cost_nano_usd": 2_000_000},
    ),
    "logfire before GenAI's names": Golden(
        {"request_data": packed({**_REQUEST, "stream": True}), "response_data": packed({
            "message": {"role": "assistant", "content": "Sunny."}, "usage": _COMPLETION["usage"]})},
        {"kind": "llm", "request_model": "gpt-4o", "usage.input_tokens": 20, "response_preview": "Sunny.",
         "request_preview": "Weather in Paris?", "is_stream": True},
    ),
    "logfire hands a stream on": Golden(
        {"logfire.msg_template": "Chat Completion", "logfire.span_type": "span", "gen_ai.operation.name": "chat",
         "request_data": packed({"model": "gpt-4o"}), "gen_ai.request.model": "gpt-4o"},
        {"kind": "chain", "problems": ()},
    ),
    "pydantic-ai agent": Golden(
        {"gen_ai.operation.name": "invoke_agent", "model_name": "gpt-4o", "agent_name": "demo",
         "pydantic_ai.all_messages": packed(_ASKED), "final_result": "Sunny.",
         "gen_ai.aggregated_usage.input_tokens": 280, "gen_ai.aggregated_usage.output_tokens": 38,
         "gen_ai.aggregated_usage.details.reasoning_tokens": 7, "gen_ai.conversation.id": "c"},
        {"kind": "agent", "reported.input_tokens": 280, "reported.reasoning_tokens": 7, "span.session_id": "c",
         "span.name": "demo", "response_preview": "Sunny."},
    ),
    "pydantic-ai 1 agent with events": Golden(
        {"agent_name": "demo", "all_messages_events": packed([
            {"event.name": "gen_ai.user.message", "content": "Hi", "role": "user"}]), "final_result": "Hello!"},
        {"kind": "agent", "request_preview": "Hi", "response_preview": "Hello!"},
    ),
    "pydantic-ai tool": Golden(
        {"gen_ai.tool.name": "weather", "gen_ai.tool.call.id": "c", "tool_arguments": packed({"city": "Paris"}),
         "tool_response": "21"},
        {"kind": "tool", "span.name": "weather", "response_preview": "21"},
    ),
    # --- coding agents -----------------------------------------------------------------------------------------------
    "Claude Code request": Golden(
        {"model": "claude-opus-4-1", "input_tokens": 6, "output_tokens": 9, "cache_read_tokens": 100,
         "cache_creation_tokens": 30, "ttft_ms": 800, "stop_reason": "end_turn", "session.id": "s",
         "user.id": "u", "new_context": "Fix it.", "response.model_output": "Done.",
         "request_id": "req_0123456789abcdef"},
        {"kind": "llm", "request_model": "claude-opus-4-1", "usage.input_tokens": 136, "usage.output_tokens": 9,
         "usage.cache_read_tokens": 100, "span.session_id": "s", "span.time_to_first_token_ms": 800,
         "finish_reason": "end_turn", "request_preview": "Fix it.", "response_preview": "Done.",
         "provider_response_id": "req_0123456789abcdef"},
        name="claude_code.llm_request", scope="com.anthropic.claude_code.tracing",
    ),
    "Claude Code interaction": Golden(
        {"user_prompt": "Fix it.", "session.id": "s"}, {"kind": "agent", "request_preview": "Fix it."},
        name="claude_code.interaction",
    ),
    "Codex turn": Golden(
        {"codex.turn.token_usage.input_tokens": 100, "codex.turn.token_usage.output_tokens": 20,
         "codex.turn.token_usage.cached_input_tokens": 60, "codex.turn.token_usage.reasoning_output_tokens": 5,
         "conversation.id": "c", "user.email": "ada@example.org", "model": "gpt-5-codex"},
        {"kind": "llm", "usage.input_tokens": 100, "usage.cache_read_tokens": 60, "usage.reasoning_tokens": 5,
         "span.session_id": "c", "span.end_user_id": "ada@example.org", "request_model": "gpt-5-codex"},
        name="session_task.turn",
    ),
    # --- others ------------------------------------------------------------------------------------------------------
    "MLflow": Golden(
        {"mlflow.spanType": packed("CHAT_MODEL"), "mlflow.spanInputs": packed(_REQUEST),
         "mlflow.spanOutputs": packed(_COMPLETION), "mlflow.trace.session": packed("s"),
         "mlflow.chat.tokenUsage": packed({"input_tokens": 20, "output_tokens": 5, "total_tokens": 25})},
        {"kind": "llm", "request_model": "gpt-4o", "usage.input_tokens": 20, "finish_reason": "stop",
         "response_preview": "Sunny.", "request_preview": "Weather in Paris?", "span.session_id": "s"},
    ),
    "Laminar": Golden(
        {"lmnr.span.type": "LLM", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
         "gen_ai.usage.input_tokens": 8, "gen_ai.usage.output_tokens": 2, "gen_ai.usage.input_cost": 0.001,
         "gen_ai.usage.output_cost": 0.002, "lmnr.association.properties.session_id": "s",
         "lmnr.association.properties.user_id": "u", "lmnr.association.properties.metadata.plan": "pro"},
        {"kind": "llm", "provider_cost_nano_usd": 3_000_000, "span.session_id": "s", "span.end_user_id": "u",
         "span.properties": {"plan": "pro"}},
    ),
    "LangWatch": Golden(
        {"langwatch.span.type": "llm", "gen_ai.request.model": "gpt-4o",
         "langwatch.input": packed({"type": "chat_messages", "value": [{"role": "user", "content": "Hi"}]}),
         "langwatch.output": packed({"type": "text", "value": "Hello!"}), "langwatch.thread.id": "s",
         "langwatch.user.id": "u", "langwatch.labels": ["x"],
         "langwatch.metrics": packed({"type": "json", "promptTokens": 8, "completionTokens": 2})},
        {"kind": "llm", "usage.input_tokens": 8, "usage.output_tokens": 2, "request_preview": "Hi",
         "response_preview": "Hello!", "span.session_id": "s", "span.properties": {"tags": "x"}},
    ),
    "Genkit": Golden(
        {"genkit:type": "action", "genkit:metadata:subtype": "model", "genkit:name": "googleai/gemini-2.5-flash",
         "genkit:input": packed({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}),
         "genkit:output": packed({"message": {"role": "model", "content": [{"text": "Hello!"}]}, "finishReason": "stop",
                                  "usage": {"inputTokens": 8, "outputTokens": 2, "thoughtsTokens": 1}})},
        {"kind": "llm", "usage.input_tokens": 8, "usage.output_tokens": 2, "finish_reason": "stop",
         "request_preview": "Hi", "response_preview": "Hello!", "request_model": "gemini-2.5-flash",
         "span.provider": "google"},
    ),
    "Google ADK": Golden(
        {"gen_ai.system": "gcp.vertex.agent", "gen_ai.request.model": "gemini-2.5-flash",
         "gcp.vertex.agent.session_id": "s", "gcp.vertex.agent.llm_request": packed({
             "model": "gemini-2.5-flash", "contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
         "gcp.vertex.agent.llm_response": packed({
             "content": {"role": "model", "parts": [{"function_call": {"name": "weather", "args": {"a_b": 1}}}]},
             "finish_reason": "STOP", "usage_metadata": _GEMINI["usage_metadata"]})},
        {"kind": "llm", "usage.input_tokens": 104, "usage.output_tokens": 69, "finish_reason": "STOP",
         "tool_calls": ("weather",), "request_preview": "Hi", "span.session_id": "s", "span.provider": "google"},
        name="call_llm",
    ),
    "Google ADK, nothing said": Golden(
        {"gen_ai.system": "gcp.vertex.agent", "gcp.vertex.agent.llm_request": "{}",
         "gcp.vertex.agent.llm_response": "{}",
         "gcp.vertex.agent.tool_call_args": packed({"city": "Paris"}),
         "gcp.vertex.agent.tool_response": packed({"t": 1})},
        {"kind": "tool"}, name="execute_tool weather",
    ),
    "LiveKit": Golden(
        {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 8, "gen_ai.usage.output_tokens": 2,
         "lk.chat_ctx": packed({"items": [{"type": "message", "role": "user", "content": ["Hi"]}]}),
         "lk.response.text": "Hello!", "lk.response.ttft": 0.4},
        {"kind": "llm", "request_preview": "Hi", "response_preview": "Hello!", "span.time_to_first_token_ms": 400},
        name="llm_request",
    ),
    "OpenLIT": Golden(
        {"gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
         "gen_ai.usage.cost": 0.003, "gen_ai.request.is_stream": True, "gen_ai.request.user": "u",
         "gen_ai.environment": "prod", "gen_ai.application_name": "shop", "gen_ai.usage.input_tokens": 8},
        {"kind": "llm", "provider_cost_nano_usd": 3_000_000, "is_stream": True, "span.end_user_id": "u",
         "span.properties": {"environment": "prod", "service": "shop"}, "request_preview": "user: Hi",
         "response_preview": "Hello!"},
        events=({"name": "gen_ai.content.prompt", "attributes": {"gen_ai.prompt": "user: Hi"}},
                {"name": "gen_ai.content.completion", "attributes": {"gen_ai.completion": "Hello!"}}),
    ),
    "LangSmith": Golden(
        {"langsmith.span.kind": "llm", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
         "gen_ai.prompt": packed({"messages": [{"role": "user", "content": "Hi"}]}),
         "gen_ai.completion": packed({"messages": [{"role": "assistant", "content": "Hello!"}]}),
         "gen_ai.usage.input_tokens": 8, "gen_ai.usage.output_tokens": 2, "langsmith.metadata.session_id": "s",
         "langsmith.trace.session_id": "project"},
        {"kind": "llm", "span.session_id": "s", "request_preview": "Hi", "response_preview": "Hello!"},
    ),
    "LiteLLM": Golden(
        {"llm.request.type": "acompletion", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o",
         "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hi", "gen_ai.completion.0.role": "assistant",
         "gen_ai.completion.0.content": "Hello!", "gen_ai.usage.prompt_tokens": 8, "gen_ai.usage.completion_tokens": 2,
         "metadata.user_api_key_team_alias": "blue", "hidden_params": packed({"response_cost": 0.0001}),
         "litellm.call_id": "x"},
        {"kind": "llm", "usage.input_tokens": 8, "provider_cost_nano_usd": 100_000,
         "span.properties": {"user_api_key_team_alias": "blue"}, "request_preview": "Hi"},
        name="litellm_request", resource={"service.name": ""},
    ),
    "nobody's": Golden({"http.route": "/"}, {"kind": "span", "span.name": "span", "usage.input_tokens": None}),
    "nobody's, with a model": Golden(
        {"gen_ai.response.model": "gpt-4o", "gen_ai.usage.input_tokens": 3}, {"kind": "llm", "request_model": "gpt-4o"},
    ),
}  # fmt: skip
