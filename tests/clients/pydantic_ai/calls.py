"""`pydantic-ai`, watched by `logfire` that sends here: an agent's run around its calls of the model."""

from __future__ import annotations

import os
from typing import Any

from tests.clients.answering import KEY, PROVIDER_URL, URL, serve

os.environ |= {
    "OTEL_EXPORTER_OTLP_ENDPOINT": URL,
    "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{KEY}",
    "OTEL_METRICS_EXPORTER": "none",
}

import logfire
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

logfire.configure(send_to_logfire=False, console=False, service_name="journeys", scrubbing=False)  # of "session"
logfire.instrument_pydantic_ai()
provider = OpenAIProvider(base_url=f"{PROVIDER_URL}/v1", api_key="sk-of-the-provider")


def find_order(order_id: str) -> str:
    """Finds an order."""
    return f"{order_id} left yesterday."


def _agent(model: str, **options: Any) -> Agent[None, str]:
    return Agent(OpenAIChatModel(model, provider=provider), name="answerer", **options)


def _within(journey: str, agent: Agent[None, str], text: str) -> Any:
    said = {"user.id": "ada@example.org", "session.id": f"session-{journey}", "metadata.journey": journey}
    with logfire.span("answer", **said):
        run = agent.run_sync(text, conversation_id=f"session-{journey}")
    logfire.force_flush()
    usage = run.usage
    usage = usage() if callable(usage) else usage
    return {"text": run.output, "input": usage.input_tokens, "output": usage.output_tokens, "calls": usage.requests}


def chat(journey: str, model: str, text: str) -> Any:
    return _within(journey, _agent(model), text)


def tool(journey: str, model: str, text: str) -> Any:
    return _within(journey, _agent(model, tools=[find_order]), text)


if __name__ == "__main__":
    serve(chat, tool)
