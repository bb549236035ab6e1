"""OpenTelemetry's GenAI conventions, of every version: attributes, JSON attributes, or events.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llm import loose, semconv
from llm.exchange import Usage
from llm.spans.span import Span, unpacked

ORDER = 20
MARKS: Final = frozenset({"gen_ai"})
_DETAILS: Final = "gen_ai.client.inference.operation.details"
_SENT_EVENTS: Final = {
    "gen_ai.system.message": "system", "gen_ai.user.message": "user", "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}  # fmt: skip


def kind(span: Span) -> str | None:
    said = span.text(("gen_ai.operation.name",))
    if said:
        return semconv.OPERATION_KINDS.get(said.lower())
    return "tool" if span.first(("gen_ai.tool.name", "gen_ai.tool.call.id")) else None


def asked(span: Span) -> Any:
    details = span.event(_DETAILS)
    said = span.value("gen_ai.input.messages") or unpacked(details.get("gen_ai.input.messages"))
    if said:
        system = span.value("gen_ai.system_instructions") or unpacked(details.get("gen_ai.system_instructions"))
        return {"system": system, "messages": said} if system and isinstance(said, list) else said
    for names in (("gen_ai.tool.call.arguments",), ("gen_ai.retrieval.query.text",)):
        if (value := span.value(*names)) is not None:
            return value
    return _said(span, _SENT_EVENTS) or unpacked(span.event("gen_ai.content.prompt").get("gen_ai.prompt"))


def answered(span: Span) -> Any:
    said = span.value("gen_ai.output.messages") or unpacked(span.event(_DETAILS).get("gen_ai.output.messages"))
    if said:
        return said
    for names in (("gen_ai.tool.call.result",), ("gen_ai.retrieval.documents",)):
        if (value := span.value(*names)) is not None:
            return value
    choices = [_choice(loose.mapping(e.get("attributes"))) for e in span.events if e.get("name") == "gen_ai.choice"]
    return choices or unpacked(span.event("gen_ai.content.completion").get("gen_ai.completion"))


def _said(span: Span, roles: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for event in span.events:
        if (role := roles.get(loose.text(event.get("name")))) is not None:
            attributes = {key: unpacked(value) for key, value in loose.mapping(event.get("attributes")).items()}
            body = loose.mapping(attributes.get("event_body") or attributes.get("body"))
            found.append({"role": role, **attributes, **body})
    return found


def _choice(attributes: Mapping[str, Any]) -> dict[str, Any]:
    message = unpacked(attributes.get("message"))
    said = message if isinstance(message, dict) else {"content": message}
    return {"role": "assistant", **said, "finish_reason": attributes.get("finish_reason")}


def usage(span: Span) -> Usage | None:
    return None


def bodies(span: Span) -> tuple[Any, Any] | None:
    return None
