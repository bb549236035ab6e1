"""A span's document as a reading, as a conversation, and as the bodies a model call would have had."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from llm import loose, preview, providers, semconv
from llm.conversation import Conversation, Message, Part
from llm.exchange import MODEL_KINDS, Problem, Reading, SpanFacts, Usage
from llm.spans import every, tokens
from llm.spans.messages import messages, tools
from llm.spans.span import Span, as_text, nano_usd, unpacked

MAX_PROPERTY: Final = 1024
_MODEL_KEYS: Final = (*semconv.REQUEST_MODEL[:4], *semconv.RESPONSE_MODEL[:4])


def read(document: Mapping[str, Any]) -> Reading:
    """Everything of it but frames and problems. Counts of a step that calls no model are `span.reported`."""
    span = Span(document)
    kind = kind_of(span)
    is_call = kind in MODEL_KINDS
    told = usage_of(span)
    said = conversation(document)
    return Reading(
        dialect="otlp_span", kind=kind,
        request_model=_model(span, semconv.REQUEST_MODEL) if is_call else None,
        response_model=_model(span, semconv.RESPONSE_MODEL) if is_call else None,
        usage=told if is_call and told else Usage(), is_stream=_is_stream(span),
        finish_reason=_finish_reason(span), provider_response_id=span.text(semconv.RESPONSE_ID),
        service_tier=span.text(semconv.SERVICE_TIER), error_type=_error_type(span), error_message=_error_message(span),
        provider_cost_nano_usd=_cost(span) if is_call else None,
        request_preview=_line(said.messages[-1:]), response_preview=_line(said.reply),
        tool_calls=tuple(p.name for m in said.reply for p in m.parts if p.kind == "tool_call" and p.name)
        if is_call else (),
        span=SpanFacts(
            name=_name(span, is_call=is_call), provider=_provider(span) if is_call else "",
            session_id=as_text(span.anywhere(semconv.SESSION_ID)), session_name=span.text(semconv.SESSION_NAME),
            session_path=span.text(semconv.SESSION_PATH), end_user_id=as_text(span.anywhere(semconv.USER_ID)),
            properties=_properties(span), prompt_id=span.text(semconv.PROMPT_ID),
            prompt_version=span.text(semconv.PROMPT_VERSION), time_to_first_token_ms=_first_token_ms(span),
            reported=None if is_call else told,
        ),
        problems=(Problem("usage_missing"),) if is_call and told is None and not _is_error(span) else (),
    )  # fmt: skip


def kind_of(span: Span) -> str:
    """What the step is: as its SDK says, else a model call where it names a model, else just a span."""
    for dialect in every():
        if (kind := dialect.kind(span)) is not None:
            return kind
    return "llm" if span.first(_MODEL_KEYS) is not None else "span"


def usage_of(span: Span) -> Usage | None:
    for dialect in every():
        if (told := dialect.usage(span)) is not None:
            return told
    return tokens.read(span)


# --- facts ------------------------------------------------------------------------------------------------------------


def _model(span: Span, names: semconv.Names) -> str | None:
    return span.text(names) or loose.name(loose.mapping(span.value("request_data")).get("model"))


def _name(span: Span, *, is_call: bool) -> str:
    return (span.name if is_call else span.text(semconv.NAME)) or span.name


def _provider(span: Span) -> str:
    """Its slug: as named, else as the host says, else the name as sent."""
    said = (span.text(semconv.PROVIDER) or "").lower()
    told = (loose.text(span.attributes.get(name)) for name in semconv.HOST)
    hosts = (urlsplit(host).hostname if "://" in host else host for host in told)
    at = next((found for host in hosts if host and (found := providers.by_host(host))), None)
    for name in (said, said.partition(".")[0], said.replace("_", "-")):
        if name and (slug := _slugs().get(name)):
            return at.slug if at and at.slug.startswith(slug) else slug
    return at.slug if at else said


_SLUGS: dict[str, str] = {}


def _slugs() -> Mapping[str, str]:
    if not _SLUGS:
        _SLUGS.update({name: p.slug for p in providers.all_providers() for name in (p.slug, *p.otel_names)})
        _SLUGS.update(semconv.PROVIDER_SLUGS)
    return _SLUGS


def _is_stream(span: Span) -> bool:
    if span.first(semconv.IS_STREAM) is True:
        return True
    return "stream" in (span.text(("ai.operationId", "operation.name")) or "").lower()


def _finish_reason(span: Span) -> str | None:
    said = unpacked(span.first(semconv.FINISH_REASON))
    if isinstance(said, list):
        said = next((item for item in said if item), None)
    if isinstance(said, str):
        return said
    reply = loose.first(loose.listing(span.value("gen_ai.output.messages")))
    return loose.name(reply.get("finish_reason"))


def _cost(span: Span) -> int | None:
    """In nano-USD. A total given as 0 beside tokens is no answer: llm.pricing passes it on."""
    details = loose.mapping(span.value("langfuse.observation.cost_details"))
    if details:
        parts = [n for key, value in details.items() if key != "total" and (n := nano_usd(value)) is not None]
        return nano_usd(details["total"]) if details.get("total") is not None else sum(parts) if parts else None
    return nano_usd(span.first(semconv.COST_USD))


def _first_token_ms(span: Span) -> int | None:
    if (seconds := span.first(semconv.FIRST_TOKEN_SECONDS)) is not None:
        return _whole(seconds, 1000)
    if (ms := span.first(semconv.FIRST_TOKEN_MS)) is not None:
        return _whole(ms, 1)
    chunk = next((e.get("time_ns") for e in span.events if e.get("name") in semconv.FIRST_CHUNK_EVENTS), None)
    if isinstance(chunk, int) and span.start_ns is not None:
        return _whole((chunk - span.start_ns) / 1e6, 1)
    told = span.text(semconv.FIRST_TOKEN_AT)
    return _since_start(told.strip('"'), span) if told else None


def _whole(value: Any, factor: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value * factor < 2**31:
        return None
    return round(value * factor)


def _since_start(moment: str, span: Span) -> int | None:
    try:
        at = datetime.fromisoformat(moment[:40])
        return _whole(at.timestamp() * 1000 - span.start_ns / 1e6, 1) if span.start_ns else None
    except (ValueError, OverflowError):
        return None


def _exception(span: Span) -> Mapping[str, Any]:
    return span.event("exception", "gen_ai.client.operation.exception")


def _error_type(span: Span) -> str | None:
    if not _is_error(span):
        return None
    return span.text(("error.type",)) or as_text(_exception(span).get("exception.type"))


def _error_message(span: Span) -> str | None:
    if not _is_error(span):
        return None
    status = loose.name(loose.mapping(span.document.get("status")).get("message"))
    said = span.text(("langfuse.observation.status_message", "error.message", "error"))
    return status or said or as_text(_exception(span).get("exception.message"))


def _is_error(span: Span) -> bool:
    return span.is_failed or span.attributes.get("langfuse.observation.level") == "ERROR"


_FACTS: Final = (
    ("environment", semconv.ENVIRONMENT), ("release", semconv.RELEASE), ("service", semconv.SERVICE),
)  # fmt: skip


# --- properties -------------------------------------------------------------------------------------------------------


def _properties(span: Span) -> dict[str, str]:
    """Metadata and tags as text by key; what has a place of its own is left out."""
    found: dict[str, str] = {}
    for name in semconv.METADATA:
        _take(found, loose.mapping(span.value(name)))
    for prefix in semconv.METADATA_PREFIXES:
        _take(found, {k[len(prefix) :]: v for k, v in span.attributes.items() if k.startswith(prefix)})
    tags = unpacked(span.anywhere(semconv.TAGS))
    if isinstance(tags, list) and tags:
        found.setdefault("tags", ", ".join(str(tag) for tag in tags)[:MAX_PROPERTY])
    for key, names in _FACTS:
        if said := as_text(span.anywhere(names)):
            found.setdefault(key, said[:MAX_PROPERTY])
    return found


def _take(found: dict[str, str], said: Mapping[str, Any]) -> None:
    for key, value in said.items():
        if not key or key.lower() in semconv.NOT_PROPERTIES or key.startswith("Helicone-"):
            continue
        if value in (None, "", [], {}):
            continue
        found.setdefault(key[:200], (value if isinstance(value, str) else loose.compact(value))[:MAX_PROPERTY])


# --- for people, and for the API --------------------------------------------------------------------------------------


def conversation(document: Mapping[str, Any]) -> Conversation:
    span = Span(document)
    asked, answered = _asked(span), _answered(span)
    if kind_of(span) == "tool":
        name = _name(span, is_call=False)
        return Conversation(
            (Message("user", (Part("tool_call", text=_shown(asked), name=name),)),) if asked is not None else (),
            (Message("tool", (Part("tool_result", text=_shown(answered), name=name, is_error=span.is_failed),)),)
            if answered is not None else (),
        )  # fmt: skip
    return Conversation(messages(asked, "user"), messages(answered, "assistant"), tools(_tools(span)), _settings(span))


def _asked(span: Span) -> Any:
    return next((said for d in every() if (said := d.asked(span)) not in (None, "", [], {})), None)


def _answered(span: Span) -> Any:
    return next((said for d in every() if (said := d.answered(span)) not in (None, "", [], {})), None)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else loose.pretty(value)


def _tools(span: Span) -> Any:
    return (
        span.value("gen_ai.tool.definitions", "ai.prompt.tools")
        or span.family("llm.tools") or span.family("llm.request.functions")
    )  # fmt: skip


_SETTINGS: Final = ("gen_ai.request.", "ai.settings.", "llm.request.")
_NOT_SETTINGS: Final = frozenset({"gen_ai.request.model", "llm.request.type", "llm.request.model_name"})


def _settings(span: Span) -> dict[str, Any]:
    found = {
        key[len(prefix) :]: value
        for prefix in _SETTINGS for key, value in span.attributes.items()
        if key.startswith(prefix) and key not in _NOT_SETTINGS and not key.startswith("llm.request.functions")
        and not key.startswith("ai.settings.context")
    }  # fmt: skip
    packed = span.value("llm.invocation_parameters", "langfuse.observation.model.parameters")
    return {**loose.mapping(packed), **found}


def _line(said: tuple[Message, ...]) -> str:
    for message in said:
        for part in message.parts:
            if part.kind == "tool_call":
                return preview.tool_call(part.name, part.text)
            if part.text and part.kind != "reasoning":
                return preview.line(part.text)
    return ""


def bodies(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(request, reply) as a model call in OpenAI's shape would have had them; of other steps what went in and out."""
    reading, said, span = read(document), conversation(document), Span(document)
    if reading.kind not in MODEL_KINDS:
        return {"name": reading.span.name if reading.span else "", "input": _asked(span)}, {"output": _answered(span)}
    request = {"model": reading.request_model, "messages": [_plain(m) for m in said.messages], **said.settings}
    if said.tools:
        request["tools"] = [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
            for t in said.tools
        ]
    choices = [
        {"index": n, "message": _plain(m), "finish_reason": m.finish_reason or reading.finish_reason}
        for n, m in enumerate(said.reply)
    ]
    sent = reading.usage.sent
    return request, {"model": reading.response_model or reading.request_model, "choices": choices, "usage": sent}


def _plain(message: Message) -> dict[str, Any]:
    texts = [part.text for part in message.parts if part.kind in ("text", "refusal", "tool_result", "data")]
    calls = [
        {"id": p.call_id, "type": "function", "function": {"name": p.name, "arguments": p.text}}
        for p in message.parts if p.kind == "tool_call"
    ]  # fmt: skip
    plain: dict[str, Any] = {"role": message.role, "content": "\n".join(texts) if texts else None}
    if calls:
        plain["tool_calls"] = calls
    if ids := [p.call_id for p in message.parts if p.kind == "tool_result" and p.call_id]:
        plain["tool_call_id"] = ids[0]
    return plain
