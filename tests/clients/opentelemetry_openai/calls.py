"""OpenTelemetry's own instrumentation of `openai`, configured as its documentation says."""

from __future__ import annotations

import os
from typing import Any

from tests.clients.answering import KEY, URL, serve

os.environ |= {
    "OTEL_EXPORTER_OTLP_ENDPOINT": URL,
    "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{KEY}",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.clients import openai_calls

spans = TracerProvider()
spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(spans)
OpenAIInstrumentor().instrument()
client = openai_calls.client()


def _within(journey: str, call: Any, **options: Any) -> Any:
    said = {"user.id": "ada@example.org", "session.id": f"session-{journey}", "metadata.journey": journey}
    with trace.get_tracer("journey").start_as_current_span("answer", attributes=said):
        answer = call(client, **options)
    spans.force_flush()
    return answer


def chat(journey: str, model: str, text: str) -> Any:
    return _within(journey, openai_calls.chat, model=model, text=text)


def stream(journey: str, model: str, text: str) -> Any:
    return _within(journey, openai_calls.stream, model=model, text=text)


if __name__ == "__main__":
    serve(chat, stream)
