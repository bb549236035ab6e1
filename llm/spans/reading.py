"""A span's document as a reading (`llm/spans/showing.py` shows it to people)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llm import preview, semconv, spans
from llm.conversation import Message
from llm.exchange import Problem, Reading, SpanFacts, Usage
from llm.spans import facts, failures, showing, tokens
from llm.spans.failures import Failure
from llm.spans.showing import View, view
from llm.spans.span import Span
from llm.spans.wire import Wire

_MAX_TOOL_CALLS: Final = 200
_NOTHING_USED: Final = Usage()


def read(document: Mapping[str, Any]) -> Reading:
    """Everything of it but frames and problems. Counts of a step that calls no model are `span.reported`."""
    seen = view(Span(document))
    span, wire, is_call = seen.span, seen.wire, seen.is_call
    failure, said, told, cost = failures.of(span), showing.ends(seen), _usage(seen), facts.cost(span)
    is_silent = is_call and told is None and failure is None
    return Reading(
        dialect="otlp_span", kind=seen.kind, is_stream=facts.is_stream(span, wire),
        request_model=facts.request_model(span, wire) if is_call else None,
        response_model=facts.response_model(span, wire) if is_call else None,
        usage=(told if is_call else None) or _NOTHING_USED, provider_cost_nano_usd=cost if is_call else None,
        finish_reason=facts.finish_reason(span, wire), provider_response_id=facts.response_id(span, wire),
        service_tier=facts.service_tier(span, wire), error_type=failure.type if failure else None,
        error_message=failure.message if failure else None,
        request_preview=_line(said.messages[-1:]), response_preview=_line(said.reply),
        tool_calls=_tool_calls(wire, said.reply) if is_call else (),
        span=_span_facts(seen, failure, reported=None if is_call else (told, cost)),
        problems=(Problem("usage_missing"),) if is_silent else (),
    )  # fmt: skip


def _usage(seen: View) -> Usage | None:
    """As the provider itself told it where its words are there, else as the SDK did."""
    for dialect in spans.of(seen.span):
        if (told := dialect.usage(seen.span)) is not None:
            return told
    if seen.wire and (seen.wire.reading.usage.input_tokens, seen.wire.reading.usage.output_tokens) != (None, None):
        return seen.wire.reading.usage
    return tokens.read(seen.span)


def _tool_calls(wire: Wire | None, reply: tuple[Message, ...]) -> tuple[str, ...]:
    if wire and wire.reading.tool_calls:
        return wire.reading.tool_calls[:_MAX_TOOL_CALLS]
    called = (part.name for message in reply for part in message.parts if part.kind == "tool_call" and part.name)
    return tuple(called)[:_MAX_TOOL_CALLS]


def _span_facts(seen: View, failure: Failure | None, *, reported: tuple[Usage | None, int | None] | None) -> SpanFacts:
    span = seen.span
    used, cost = reported or (None, None)
    return SpanFacts(
        name=showing.name(seen)[: facts.MAX_TEXT], provider=facts.provider(span) if seen.is_call else "",
        session_id=facts.short(span.text_anywhere(semconv.SESSION_ID)),
        session_name=facts.short(span.text(semconv.SESSION_NAME)),
        session_path=facts.short(span.text(semconv.SESSION_PATH)),
        end_user_id=facts.short(span.text_anywhere(semconv.USER_ID)), properties=facts.properties(span),
        prompt_id=facts.short(span.text(semconv.PROMPT_ID)),
        prompt_version=facts.short(span.text(semconv.PROMPT_VERSION)),
        time_to_first_token_ms=facts.first_token_ms(span), http_status=failure.http_status if failure else None,
        reported=used, reported_nano_usd=cost,
    )  # fmt: skip


def _line(said: tuple[Message, ...]) -> str:
    for message in said:
        for part in message.parts:
            if part.kind == "tool_call":
                return preview.tool_call(part.name, part.text)
            if part.text and part.kind != "reasoning":
                return preview.line(part.text)
    return ""
