"""OpenInference's instrumentation of `openai`, as Phoenix' users have it."""

from __future__ import annotations

from typing import Any

from openinference.instrumentation import using_attributes
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.clients import openai_calls
from tests.clients.answering import KEY, URL, serve

spans = TracerProvider()
exporter = OTLPSpanExporter(endpoint=f"{URL}/v1/traces", headers={"Authorization": f"Bearer {KEY}"})
spans.add_span_processor(BatchSpanProcessor(exporter))
OpenAIInstrumentor().instrument(tracer_provider=spans)
client = openai_calls.client()


def _within(journey: str, call: Any, **options: Any) -> Any:
    said = {"user_id": "ada@example.org", "session_id": f"session-{journey}", "metadata": {"journey": journey}}
    with using_attributes(**said):
        answer = call(client, **options)
    spans.force_flush()
    return answer


def chat(journey: str, model: str, text: str) -> Any:
    return _within(journey, openai_calls.chat, model=model, text=text)


def stream(journey: str, model: str, text: str) -> Any:
    return _within(journey, openai_calls.stream, model=model, text=text)


if __name__ == "__main__":
    serve(chat, stream)
