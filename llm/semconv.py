"""What a span's attributes are called, by everybody who writes them: one table, our concept → names to try in order.

Order: the vendor's explicit word (langfuse.*), GenAI semantic conventions, their older names, OpenInference, Vercel's
ai.*, Traceloop's, then what anybody else writes. A generation once sent is understood for ever.
https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Names = tuple[str, ...]

REQUEST_MODEL: Final[Names] = (
    "gen_ai.request.model", "llm.request.model_name", "ai.model.id", "traceloop.request.model", "llm.request.model",
)  # fmt: skip
"""What was asked for; next come the packed request and its parameters, then `ANY_MODEL`."""
ANY_MODEL: Final[Names] = (
    "llm.model_name", "embedding.model_name", "reranker.model_name", "langfuse.observation.model.name",
    "langfuse.observation.model", "langsmith.metadata.ls_model_name", "model_name", "mlflow.llm.model",
    "gen_ai.response.model", "model",
)  # fmt: skip
"""Models that no word says whether they were asked for or answered."""
RESPONSE_MODEL: Final[Names] = (
    "gen_ai.response.model", "llm.response.model_name", "ai.response.model", "llm.response.model", "llm.model_name",
    "langfuse.observation.model.name", "langfuse.observation.model",
)  # fmt: skip
RESPONSE_ID: Final[Names] = ("gen_ai.response.id", "ai.response.id", "llm.response.id", "response_id", "request_id")
PROVIDER: Final[Names] = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider")
FRAMEWORKS: Final = frozenset({
    "agno", "autogen", "crewai", "dspy", "google_adk", "haystack", "langchain", "langgraph", "llama_index",
    "llamaindex", "mastra", "microsoft.agent_framework", "openai_agents", "pydantic-ai", "pydantic_ai",
    "semantic_kernel", "smolagents", "spring_ai", "strands-agents",
})  # fmt: skip
"""What some write where the provider's name belongs: who called it, which says nothing of who answered."""
HOST: Final[Names] = ("server.address", "net.peer.name", "url.full", "gen_ai.openai.api_base", "http.url", "api_base")

INPUT_TOKENS: Final[Names] = (
    "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "ai.usage.inputTokens",
    "ai.usage.promptTokens", "ai.usage.tokens", "llm.usage.prompt_tokens", "langwatch.metrics.prompt_tokens",
    "gen_ai.response.prompt_tokens", "input_tokens",
)  # fmt: skip
OUTPUT_TOKENS: Final[Names] = (
    "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
    "ai.usage.outputTokens", "ai.usage.completionTokens", "llm.usage.completion_tokens",
    "langwatch.metrics.completion_tokens", "gen_ai.response.completion_tokens", "output_tokens",
)  # fmt: skip
TOTAL_TOKENS: Final[Names] = (
    "gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total", "ai.usage.totalTokens",
)  # fmt: skip
CACHE_READ_TOKENS: Final[Names] = (
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_read_input_tokens",
    "gen_ai.usage.details.cached_tokens", "gen_ai.usage.details.cached_content_tokens",
    "gen_ai.usage.cached_tokens", "gen_ai.usage.cached_input_tokens", "gen_ai.usage.input_tokens.cached",
    "llm.token_count.prompt_details.cache_read",
    "llm.token_count.prompt_details.cache_input", "ai.usage.inputTokenDetails.cacheReadTokens",
    "ai.usage.cachedInputTokens", "llm.usage.cache_read_input_tokens", "cache_read_tokens",
)  # fmt: skip
CACHE_WRITE_TOKENS: Final[Names] = (
    "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.cache_write_input_tokens",
    "gen_ai.usage.input_tokens.cache_write", "gen_ai.usage.details.cache_write_tokens",
    "gen_ai.usage.details.cache_creation_input_tokens", "llm.token_count.prompt_details.cache_write",
    "ai.usage.inputTokenDetails.cacheWriteTokens", "llm.usage.cache_creation_input_tokens", "cache_creation_tokens",
)  # fmt: skip
CACHE_WRITE_1H_TOKENS: Final[Names] = (
    "anthropic.usage.cache_creation.ephemeral_1h_input_tokens", "gen_ai.usage.details.ephemeral_1h_input_tokens",
)  # fmt: skip
WEB_SEARCHES: Final[Names] = ("gen_ai.usage.details.web_search_requests", "anthropic.usage.web_search_requests")
REASONING_TOKENS: Final[Names] = (
    "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.output_tokens.reasoning",
    "gen_ai.usage.details.reasoning_tokens",
    "llm.token_count.completion_details.reasoning", "ai.usage.outputTokenDetails.reasoningTokens",
    "ai.usage.reasoningTokens", "llm.usage.reasoning_tokens", "gen_ai.usage.details.thoughts_tokens",
)  # fmt: skip
INPUT_AUDIO_TOKENS: Final[Names] = (
    "gen_ai.usage.audio.input_tokens", "gen_ai.usage.input_audio_tokens", "gen_ai.usage.details.input_audio_tokens",
    "llm.token_count.prompt_details.audio",
)  # fmt: skip
OUTPUT_AUDIO_TOKENS: Final[Names] = (
    "gen_ai.usage.audio.output_tokens", "gen_ai.usage.output_audio_tokens", "gen_ai.usage.details.output_audio_tokens",
    "llm.token_count.completion_details.audio",
)  # fmt: skip
INPUT_IMAGE_TOKENS: Final[Names] = ("gen_ai.usage.image.input_tokens", "gen_ai.usage.details.input_image_tokens")
OUTPUT_IMAGE_TOKENS: Final[Names] = ("gen_ai.usage.image.output_tokens", "gen_ai.usage.details.output_image_tokens")
COST_USD: Final[Names] = (
    "llm.cost.total", "gen_ai.usage.cost", "gen_ai.usage.total_cost", "operation.cost", "langwatch.span.cost",
    "gen_ai.cost.total_cost", "traceloop.cost.total", "cost_usd",
)  # fmt: skip

FIRST_TOKEN_SECONDS: Final[Names] = (
    "gen_ai.response.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.server.time_to_first_token", "gen_ai.server.ttft", "gen_ai.latency.time_to_first_token",
    "lk.response.ttft", "metrics.ttfb",
)  # fmt: skip
FIRST_TOKEN_MS: Final[Names] = ("ai.response.msToFirstChunk", "ai.stream.msToFirstChunk", "ttft_ms")
FIRST_TOKEN_AT: Final[Names] = ("langfuse.observation.completion_start_time",)
FIRST_CHUNK_EVENTS: Final = frozenset({
    "gen_ai.content.completion.chunk", "llm.content.completion.chunk", "First Token Stream Event",
    "ai.stream.firstChunk",
})  # fmt: skip
IS_STREAM: Final[Names] = (
    "gen_ai.request.stream", "gen_ai.is_streaming", "gen_ai.request.is_stream", "llm.is_streaming", "stream",
)  # fmt: skip
FINISH_REASON: Final[Names] = (
    "gen_ai.response.finish_reasons", "gen_ai.response.finish_reason", "gen_ai.response.stop_reason",
    "llm.response.finish_reason", "llm.response.stop_reason", "ai.response.finishReason", "ai.finishReason",
    "llm.finish_reason", "anthropic.message.stop_reason", "langfuse.observation.metadata.finish_reason", "stop_reason",
)  # fmt: skip
SERVICE_TIER: Final[Names] = (
    "gen_ai.response.service_tier", "openai.response.service_tier", "gen_ai.openai.response.service_tier",
    "anthropic.response.service_tier", "gen_ai.request.service_tier", "openai.request.service_tier",
)  # fmt: skip

SESSION_ID: Final[Names] = (
    "langfuse.session.id", "gen_ai.conversation.id", "session.id", "ai.telemetry.metadata.sessionId",
    "ai.telemetry.metadata.session_id", "ai.settings.context.sessionId", "ai.settings.context.session_id",
    "traceloop.association.properties.session_id", "traceloop.association.properties.Helicone-Session-Id",
    "traceloop.association.properties.thread_id", "traceloop.association.properties.conversation_id",
    "traceloop.association.properties.chat_id", "langsmith.metadata.session_id", "langsmith.metadata.thread_id",
    "langsmith.metadata.conversation_id", "langsmith.trace.session_id", "langwatch.thread.id",
    "langwatch.langgraph.thread_id", "lmnr.association.properties.session_id", "conversation.id",
    "mlflow.trace.session", "gen_ai.session.id", "gen_ai.thread.id", "spring.ai.chat.client.conversation.id",
    "mastra.metadata.sessionId", "mastra.metadata.threadId", "wandb.thread_id",
    "gcp.vertex.agent.session_id", "genkit:sessionId",
    "langfuse.trace.metadata.langfuse_session_id", "langfuse.metadata.langfuse_session_id",
    "langfuse.observation.metadata.langfuse_session_id", "metadata.langfuse_session_id",
)  # fmt: skip
SESSION_NAME: Final[Names] = (
    "traceloop.association.properties.Helicone-Session-Name", "traceloop.association.properties.session_name",
    "ai.telemetry.metadata.sessionName", "session.name",
)  # fmt: skip
SESSION_PATH: Final[Names] = ("traceloop.association.properties.Helicone-Session-Path",)
USER_ID: Final[Names] = (
    "langfuse.user.id", "user.id", "enduser.id", "ai.telemetry.metadata.userId", "ai.telemetry.metadata.user_id",
    "ai.settings.context.userId", "traceloop.association.properties.Helicone-User-Id",
    "traceloop.association.properties.user_id", "traceloop.association.properties.customer_id", "gen_ai.request.user",
    "gen_ai.user", "llm.user", "langwatch.user.id", "lmnr.association.properties.user_id", "mlflow.trace.user",
    "langsmith.metadata.user_id", "mastra.metadata.userId", "langwatch.customer.id", "gcp.vertex.agent.user_id",
    "langfuse.trace.metadata.langfuse_user_id", "langfuse.metadata.langfuse_user_id",
    "langfuse.observation.metadata.langfuse_user_id", "metadata.user_api_key_end_user_id", "lk.participant_identity",
    "user.account_uuid", "user.email",
)  # fmt: skip
TAGS: Final[Names] = (
    "langfuse.trace.tags", "langfuse.tags", "tag.tags", "ai.telemetry.metadata.tags", "langwatch.labels",
    "lmnr.association.properties.tags", "langsmith.span.tags", "logfire.tags", "mastra.tags",
)  # fmt: skip
PROMPT_ID: Final[Names] = (
    "langfuse.observation.prompt.name", "gen_ai.prompt.name", "prompt.id", "llm.prompt_template.name",
    "traceloop.prompt.key", "traceloop.association.properties.Helicone-Prompt-Id",
)  # fmt: skip
PROMPT_VERSION: Final[Names] = (
    "langfuse.observation.prompt.version", "gen_ai.prompt.version", "llm.prompt_template.version",
    "traceloop.prompt.version",
)  # fmt: skip
NAME: Final[Names] = (
    "gen_ai.tool.name", "ai.toolCall.name", "tool.name", "gen_ai.agent.name", "agent.name", "agent_name",
    "gen_ai.workflow.name", "traceloop.entity.name", "graph.node.name", "lk.function_tool.name", "genkit:name",
    "function_name",
    "spring.ai.tool.definition.name", "haystack.component.name",
)  # fmt: skip
"""Nicer than the span's own name, for steps that call no model."""
ENVIRONMENT: Final[Names] = (
    "langfuse.environment", "deployment.environment.name", "deployment.environment", "gen_ai.environment",
)  # fmt: skip
RELEASE: Final[Names] = ("langfuse.release", "service.version")
SERVICE: Final[Names] = ("service.name", "gen_ai.application_name")

METADATA_PREFIXES: Final[Names] = (
    "langfuse.trace.metadata.", "langfuse.observation.metadata.", "langfuse.metadata.", "ai.telemetry.metadata.",
    "ai.settings.context.", "traceloop.association.properties.Helicone-Property-",
    "traceloop.association.properties.", "lmnr.association.properties.metadata.", "langsmith.metadata.",
    "mastra.metadata.", "metadata.",
)  # fmt: skip
METADATA: Final[Names] = (
    "langfuse.trace.metadata", "langfuse.observation.metadata", "langfuse.metadata", "langwatch.metadata", "metadata",
)  # fmt: skip
"""JSON objects of properties."""
NOT_PROPERTIES: Final = frozenset({
    "sessionid", "session_id", "sessionname", "session_name", "userid", "user_id", "tags", "langfuse_session_id",
    "langfuse_user_id", "langfuse_tags", "langfuseprompt", "helicone-session-id", "helicone-session-name",
    "helicone-session-path", "helicone-user-id", "helicone-prompt-id", "helicone-auth",
})  # fmt: skip
"""Metadata that has a place of its own."""

OPERATION_KINDS: Final[Mapping[str, str]] = {
    "chat": "llm", "text_completion": "llm", "completion": "llm", "generate_content": "llm",
    "generate": "llm", "inference": "llm", "response": "llm", "responses": "llm", "message": "llm", "messages": "llm",
    "embeddings": "embedding", "embedding": "embedding", "embed": "embedding", "image": "image", "audio": "audio",
    "text_to_speech": "audio", "speech_to_text": "audio",
    "image_generation": "image", "generate_image": "image", "speech": "audio", "transcription": "audio",
    "rerank": "rerank", "moderation": "moderation", "invoke_agent": "agent", "create_agent": "agent",
    "agent_step": "chain", "invoke_workflow": "workflow", "execute_tool": "tool", "retrieval": "retriever",
    "plan": "chain", "execute_task": "chain", "handoff": "chain", "guardrail": "guardrail",
    "apply_guardrail": "guardrail", "evaluate": "evaluator", "evaluation": "evaluator", "vectordb": "retriever",
    "agent": "agent", "workflow": "workflow", "tool": "tool", "task": "chain",
}  # fmt: skip
OPENINFERENCE_KINDS: Final[Mapping[str, str]] = {
    "LLM": "llm", "EMBEDDING": "embedding", "AGENT": "agent", "TOOL": "tool", "CHAIN": "chain",
    "RETRIEVER": "retriever", "RERANKER": "rerank", "GUARDRAIL": "guardrail", "EVALUATOR": "evaluator",
    "PROMPT": "chain", "UNKNOWN": "span",
}  # fmt: skip
TRACELOOP_KINDS: Final[Mapping[str, str]] = {
    "workflow": "workflow", "task": "chain", "agent": "agent", "tool": "tool", "unknown": "span",
}  # fmt: skip
REQUEST_TYPE_KINDS: Final[Mapping[str, str]] = {
    "chat": "llm", "completion": "llm", "embedding": "embedding", "rerank": "rerank",
}  # fmt: skip
LANGFUSE_KINDS: Final[Mapping[str, str]] = {
    "span": "span", "generation": "llm", "event": "event", "embedding": "embedding", "agent": "agent", "tool": "tool",
    "chain": "chain", "retriever": "retriever", "guardrail": "guardrail", "evaluator": "evaluator",
}  # fmt: skip

PROVIDER_SLUGS: Final[Mapping[str, str]] = {
    "azure": "azure", "openai.azure": "azure", "az.ai.openai": "azure", "azure.ai.openai": "azure",
    "azure.ai.inference": "azure", "az.ai.inference": "azure", "aws": "bedrock", "amazon-bedrock": "bedrock",
    "amazon_bedrock": "bedrock", "google.generative-ai": "google", "google-generative-ai": "google",
    "gcp.vertex.agent": "google", "googleai": "google", "vertexai": "google-vertex",
    "vertex": "google-vertex", "google.vertex": "google-vertex", "google-vertex": "google-vertex",
    "gcp": "google-vertex",
    "mistralai": "mistral", "togetherai": "together", "together_ai": "together", "fireworks_ai": "fireworks",
    "moonshot_ai": "moonshot", "moonshotai": "moonshot", "bedrock_converse": "bedrock", "x-ai": "xai",
}  # fmt: skip
"""Names beside those in llm/providers/*.toml."""
