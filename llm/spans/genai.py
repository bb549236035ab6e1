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
_SENT: Final = ("gen_ai.input.messages", "gen_ai.request.messages")
_GIVEN: Final = ("gen_ai.tool.call.arguments", "gen_ai.tool.input", "gen_ai.retrieval.query.text")
_FOUND: Final = ("gen_ai.tool.call.result", "gen_ai.tool.output", "gen_ai.retrieval.documents")
_CONTENT: Final = "gen_ai.event.content"
"""Of an event, as Azure's SDKs write it: the message as JSON."""
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
    said = span.value(*_SENT) or unpacked(details.get("gen_ai.input.messages"))
    if said:
        system = span.value("gen_ai.system_instructions") or unpacked(details.get("gen_ai.system_instructions"))
        return {"system": system, "messages": said} if system and isinstance(said, list) else said
    if (value := span.value(*_GIVEN)) is not None:
        return value
    prompt = span.event("gen_ai.content.prompt")
    return _said(span, _SENT_EVENTS) or unpacked(prompt.get("gen_ai.prompt") or prompt.get(_CONTENT))


def answered(span: Span) -> Any:
    said = span.value("gen_ai.output.messages") or unpacked(span.event(_DETAILS).get("gen_ai.output.messages"))
    if said:
        return said
    if (value := span.value(*_FOUND)) is not None:
        return value
    if text := _answer_in_pieces(span):
        return text
    choices = [_choice(loose.mapping(e.get("attributes"))) for e in span.events if e.get("name") == "gen_ai.choice"]
    completion = span.event("gen_ai.content.completion")
    return choices or unpacked(completion.get("gen_ai.completion") or completion.get(_CONTENT))


def _answer_in_pieces(span: Span) -> list[dict[str, Any]] | None:
    """Sentry's: the text and the calls of a reply under names of their own."""
    text, calls = span.value("gen_ai.response.text"), span.value("gen_ai.response.tool_calls")
    if not text and not calls:
        return None
    texts = text if isinstance(text, list) else [text]
    content = "\n".join(one for one in texts if isinstance(one, str))
    said = {"content": content or text, "tool_calls": calls}
    return [{"role": "assistant", **{key: value for key, value in said.items() if value}}]


def _said(span: Span, roles: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for event in span.events:
        if (role := roles.get(loose.text(event.get("name")))) is not None:
            attributes = {key: unpacked(value) for key, value in loose.mapping(event.get("attributes")).items()}
            body = loose.mapping(attributes.get("event_body") or attributes.get("body") or attributes.get(_CONTENT))
            found.append({"role": role, **attributes, **body})
    return found


def _choice(attributes: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {**attributes, **loose.mapping(unpacked(attributes.get(_CONTENT)))}
    message = unpacked(attributes.get("message"))
    said = message if isinstance(message, dict) else {"content": message}
    return {"role": "assistant", **said, "finish_reason": attributes.get("finish_reason")}


def usage(span: Span) -> Usage | None:
    return None


def bodies(span: Span) -> tuple[Any, Any] | None:
    return None
