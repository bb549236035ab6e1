"""A span as the conversation it was, and as the bodies its model call would have had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lib.frozen import dataclass
from llm import loose, semconv, spans
from llm.conversation import Conversation, Message, Part
from llm.exchange import MODEL_KINDS, Reading
from llm.spans import facts, wire
from llm.spans.messages import messages, tools
from llm.spans.span import Span
from llm.spans.wire import Wire

_MODEL_KEYS: Final = (*semconv.REQUEST_MODEL, "gen_ai.response.model", "llm.model_name", "embedding.model_name")


@dataclass(frozen=True, slots=True)
class View:
    """A span with what every reader of it needs once."""

    span: Span
    kind: str
    wire: Wire | None

    @property
    def is_call(self) -> bool:
        return self.kind in MODEL_KINDS


def view(span: Span) -> View:
    kind = kind_of(span)
    return View(span, kind, _wire(span) if kind in MODEL_KINDS else None)


def kind_of(span: Span) -> str:
    """What the step is: as its SDK says, else a model call where it names a model, else just a span."""
    for dialect in spans.of(span):
        if (kind := dialect.kind(span)) is not None:
            return kind
    return "llm" if span.first(_MODEL_KEYS) is not None else "span"


def _wire(span: Span) -> Wire | None:
    for dialect in spans.of(span):
        if (bodies := dialect.bodies(span)) is not None:
            return wire.of(*bodies, facts.provider(span))
    return None


def name(seen: View) -> str:
    """Nicer than the span's own, for steps that call no model."""
    return (seen.span.name if seen.is_call else seen.span.text(semconv.NAME)) or seen.span.name


# --- the conversation -------------------------------------------------------------------------------------------------


def conversation(document: Mapping[str, Any]) -> Conversation:
    seen = view(Span(document))
    said = _said(seen)
    packed = seen.wire.conversation() if seen.wire else Conversation()
    return Conversation(
        said.messages, said.reply, tools(_tools(seen.span)) or packed.tools, _settings(seen.span) or packed.settings
    )


def ends(seen: View) -> Conversation:
    """The last message sent, and the reply: what a list shows."""
    return _said(seen, only_ends=True)


def _said(seen: View, *, only_ends: bool = False) -> Conversation:
    span = seen.span
    asked, answered = _asked(span), _answered(span)
    if seen.kind == "tool":
        return _tool(name(seen), asked, answered, is_error=span.is_failed)
    if seen.kind == "retriever":
        return Conversation(messages(_query(asked), "user"), _documents(answered))
    packed = seen.wire.conversation() if seen.wire and _is_packed(seen.wire, asked, answered) else Conversation()
    if only_ends and isinstance(asked, list) and asked and isinstance(asked[-1], dict):
        asked = asked[-1:]
    return Conversation(packed.messages or messages(asked, "user"), packed.reply or messages(answered, "assistant"))


def _is_packed(packed: Wire, asked: Any, answered: Any) -> bool:
    """Whether a side would be shown from the packed body anyway, so that its own dialect shows it better."""
    return any(isinstance(side, dict) and not side.keys() <= {"system", "messages"} for side in (asked, answered))


def _tool(called: str, asked: Any, answered: Any, *, is_error: bool) -> Conversation:
    call = Message("user", (Part("tool_call", text=_shown(asked), name=called),))
    result = Message("tool", (Part("tool_result", text=_shown(answered), name=called, is_error=is_error),))
    return Conversation((call,) if asked is not None else (), (result,) if answered is not None else ())


def _query(asked: Any) -> Any:
    """The text looked for, where it is packed with its settings."""
    if isinstance(asked, dict):
        return next((asked[key] for key in ("query", "input", "question") if isinstance(asked.get(key), str)), asked)
    return asked


def _documents(answered: Any) -> tuple[Message, ...]:
    """Each document found as a part of its own, with its id and score."""
    found = answered.get("documents") if isinstance(answered, dict) else answered
    if not isinstance(found, list) or not found:
        return messages(answered, "tool")
    return (Message("tool", tuple(_document(item) for item in found)),)


def _document(item: Any) -> Part:
    inner = item.get("document", item) if isinstance(item, dict) else item
    if not isinstance(inner, dict):
        return Part("text", text=inner) if isinstance(inner, str) else Part("data", text=loose.pretty(inner))
    text = next((inner[key] for key in ("content", "page_content", "text") if isinstance(inner.get(key), str)), None)
    told = [str(inner[key])[:100] for key in ("id", "score") if inner.get(key) not in (None, "")]
    if text is None:
        return Part("data", text=loose.pretty(inner))
    return Part("tool_result", text=text, name=" · ".join(told))


def _asked(span: Span) -> Any:
    return next((said for d in spans.of(span) if (said := d.asked(span)) not in (None, "", [], {})), None)


def _answered(span: Span) -> Any:
    return next((said for d in spans.of(span) if (said := d.answered(span)) not in (None, "", [], {})), None)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else loose.pretty(value)


def _tools(span: Span) -> Any:
    return (
        span.value("gen_ai.tool.definitions", "ai.prompt.tools", "mlflow.chat.tools")
        or span.family("llm.tools") or span.family("llm.request.functions")
    )  # fmt: skip


_SETTINGS: Final = ("gen_ai.request.", "ai.settings.", "llm.request.")
_NOT_SETTINGS: Final = ("gen_ai.request.model", "llm.request.type", "llm.request.model_name", "llm.request.functions",
                        "ai.settings.context")  # fmt: skip


def _settings(span: Span) -> dict[str, Any]:
    found = {
        key[len(prefix) :]: span.attributes[key]
        for key, prefix in span.shape.under(_SETTINGS) if not key.startswith(_NOT_SETTINGS)
    }  # fmt: skip
    packed = span.value("llm.invocation_parameters", "langfuse.observation.model.parameters")
    return {**loose.mapping(packed), **found}


# --- bodies -----------------------------------------------------------------------------------------------------------


def bodies(document: Mapping[str, Any], reading: Reading) -> tuple[dict[str, Any], dict[str, Any]]:
    """(request, reply) as a model call in OpenAI's shape would have had them; of other steps what went in and out."""
    seen = view(Span(document))
    if not seen.is_call:
        return {"name": name(seen), "input": _asked(seen.span)}, _outcome(seen, reading)
    said = conversation(document)
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
    reply = {
        "id": reading.provider_response_id, "model": reading.response_model or reading.request_model,
        "choices": choices, "usage": _counts(reading), "error": _error(reading),
    }  # fmt: skip
    return request, {key: value for key, value in reply.items() if value is not None}


def _outcome(seen: View, reading: Reading) -> dict[str, Any]:
    found = {"output": _answered(seen.span), "error": _error(reading)}
    return {key: value for key, value in found.items() if value is not None or key == "output"}


def _error(reading: Reading) -> dict[str, Any] | None:
    if reading.error_type is None and reading.error_message is None:
        return None
    return {"type": reading.error_type, "message": reading.error_message}


def _counts(reading: Reading) -> dict[str, Any] | None:
    told = reading.usage
    if told.input_tokens is None and told.output_tokens is None:
        return None
    return {
        "prompt_tokens": told.input_tokens, "completion_tokens": told.output_tokens,
        "total_tokens": (told.input_tokens or 0) + (told.output_tokens or 0),
        "prompt_tokens_details": {
            "cached_tokens": told.cache_read_tokens, "cache_write_tokens": told.cache_write_tokens,
            "audio_tokens": told.input_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": told.reasoning_tokens, "audio_tokens": told.output_audio_tokens,
        },
    }  # fmt: skip


def _plain(message: Message) -> dict[str, Any]:
    content = [_piece(part) for part in message.parts if part.kind not in ("tool_call", "reasoning")]
    texts = [piece["text"] for piece in content if piece["type"] == "text"]
    plain: dict[str, Any] = {"role": message.role}
    plain["content"] = ("\n".join(texts) if texts else None) if len(texts) == len(content) else content
    if thoughts := [part.text for part in message.parts if part.kind == "reasoning" and part.text]:
        plain["reasoning_content"] = "\n".join(thoughts)
    calls = [
        {"id": p.call_id, "type": "function", "function": {"name": p.name, "arguments": p.text}}
        for p in message.parts if p.kind == "tool_call"
    ]  # fmt: skip
    if calls:
        plain["tool_calls"] = calls
    if ids := [p.call_id for p in message.parts if p.kind == "tool_result" and p.call_id]:
        plain["tool_call_id"] = ids[0]
    return plain


def _piece(part: Part) -> dict[str, Any]:
    if part.kind == "image" and part.url:
        return {"type": "image_url", "image_url": {"url": part.url}}
    if part.kind in ("audio", "file") and (part.url or not part.text):
        return {"type": "file", "file": {"filename": part.name, "file_data": part.url}}
    return {"type": "text", "text": part.text}
