"""Logfire and pydantic-ai: GenAI's names, with what Logfire itself packs beside them."""

from __future__ import annotations

from typing import Any, Final

from llm import loose
from llm.exchange import Usage
from llm.spans import tokens
from llm.spans.span import Span

ORDER = 15
MARKS: Final = frozenset({
    "logfire", "pydantic_ai", "request_data", "response_data", "all_messages_events", "final_result", "tool_arguments",
    "tool_response", "events",
})  # fmt: skip
_ANSWERS: Final = (
    "response_data", "gen_ai.output.messages", "gen_ai.usage.input_tokens", "gen_ai.usage.raw", "response_id",
    "gen_ai.response.id", "events", "output.value",
)  # fmt: skip


def kind(span: Span) -> str | None:
    """Older ones name no operation: an agent's run has its model as `model_name`, a call its `request_data`."""
    if "logfire.msg_template" in span.attributes and _is_handed_on(span):
        return "chain"
    if span.first(("gen_ai.operation.name", "openinference.span.kind")) is not None:
        return None
    if span.first(("all_messages_events", "pydantic_ai.all_messages", "final_result")) is not None:
        return "agent"
    if span.first(("tool_arguments", "tool_response")) is not None:
        return "tool"
    return "llm" if loose.mapping(span.value("request_data")).get("model") else None


def _is_handed_on(span: Span) -> bool:
    """Of a stream, the span that ends as soon as it begins; the call is told by a log of its own, when it has ended."""
    if "request_data" not in span.attributes or span.is_failed or span.document.get("end_ns") is None:
        return False
    is_log = span.attributes.get("logfire.span_type") == "log"
    return not is_log and span.first(_ANSWERS) is None


def asked(span: Span) -> Any:
    said = span.value("pydantic_ai.all_messages", "all_messages_events", "tool_arguments")
    if said is not None:
        return said
    if span.first(("gen_ai.input.messages",)) is not None:
        return None
    data = loose.mapping(span.value("request_data"))
    events = span.value("events")
    if isinstance(events, list):
        return [event for event in events if loose.mapping(event).get("event.name") != "gen_ai.choice"]
    return data if data.keys() - {"model"} else None


def answered(span: Span) -> Any:
    said = span.value("final_result", "tool_response")
    if said is not None:
        return said
    if span.first(("gen_ai.output.messages",)) is not None:
        return None
    if isinstance(events := span.value("events"), list):
        choices = [event for event in events if loose.mapping(event).get("event.name") == "gen_ai.choice"]
        if choices:
            return choices
    data = loose.mapping(span.value("response_data"))
    return data.get("message") or data.get("combined_chunk_content") or data or None


def usage(span: Span) -> Usage | None:
    """What the provider itself sent, where Logfire keeps it; else its counts stand under GenAI's names."""
    told = span.value("gen_ai.usage.raw") or loose.mapping(span.value("response_data")).get("usage")
    if not told and span.first(("sdk_span_type", "response_id", "model_config")) is not None:
        told = span.value("usage")
    if not isinstance(told, dict) or not told:
        return None
    found = tokens.provided(told)
    return None if (found.input_tokens, found.output_tokens) == (None, None) else found


def bodies(span: Span) -> tuple[Any, Any] | None:
    return None
