"""Logfire and pydantic-ai: GenAI's names, with what Logfire itself packs beside them."""

from __future__ import annotations

from typing import Any

from llm import loose
from llm import usage as counts
from llm.exchange import Usage
from llm.spans.span import Span

ORDER = 25


def kind(span: Span) -> str | None:
    """Older ones name no operation: an agent's run has its model as `model_name`, a call its `request_data`."""
    if span.first(("gen_ai.operation.name", "openinference.span.kind")) is not None:
        return None
    if span.first(("all_messages_events", "pydantic_ai.all_messages", "final_result")) is not None:
        return "agent"
    if span.first(("tool_arguments", "tool_response")) is not None:
        return "tool"
    return "llm" if loose.mapping(span.value("request_data")).get("model") else None


def asked(span: Span) -> Any:
    said = span.value("pydantic_ai.all_messages", "all_messages_events", "tool_arguments")
    if said is not None:
        return said
    data = loose.mapping(span.value("request_data"))
    events = span.value("events")
    if isinstance(events, list):
        return [event for event in events if loose.mapping(event).get("event.name") != "gen_ai.choice"]
    return data if data.keys() - {"model"} else None


def answered(span: Span) -> Any:
    said = span.value("final_result", "tool_response")
    if said is not None:
        return said
    if isinstance(events := span.value("events"), list):
        choices = [event for event in events if loose.mapping(event).get("event.name") == "gen_ai.choice"]
        if choices:
            return choices
    data = loose.mapping(span.value("response_data"))
    return data.get("message") or data.get("combined_chunk_content") or data or None


def usage(span: Span) -> Usage | None:
    """What the provider itself sent, where Logfire keeps it; its own counts otherwise stand under GenAI's names."""
    if span.first(("gen_ai.usage.input_tokens",)) is not None:
        return None
    told = loose.mapping(loose.mapping(span.value("response_data")).get("usage"))
    return counts.openai(told) if told else None
