"""Ollama's native API (https://docs.ollama.com/api): /api/chat, /api/generate, /api/embed; streams are JSON lines.

`prompt_eval_count` is left out where the prompt was still cached: then the input is unknown, not 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_COUNTS: Final = (
    "prompt_eval_count", "eval_count", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration",
)
_JOINED: Final = ("response", "thinking")
_SETTINGS: Final = ("options", "format", "keep_alive", "stream", "think", "raw", "template", "dimensions", "truncate")
_NO_CALL: Final = frozenset({"load", "unload"})
"""Ends of requests without a prompt: a model was only brought into memory, or put out of it."""
TOLD_BY: Final = frozenset({"done"})


def score(call: Call) -> int:
    sample = call.sample
    if isinstance(sample.get("done"), bool) and ("message" in sample or "response" in sample) and "model" in sample:
        return 100
    if call.path.endswith(("/api/chat", "/api/generate", "/api/embed", "/api/embeddings")):
        return 72
    return 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been: texts joined, the last line's counts."""
    latest: dict[str, Any] = {}
    said: dict[str, list[str]] = {}
    message: dict[str, Any] = {}
    for event in events:
        if type(event) is dict:
            latest.update(event)
            if type(piece := event.get("message")) is dict:
                _take(piece, message, said)
    body = {key: told for key, value in latest.items() if (told := _told(key, value, events)) is not None}
    if message or said:
        body["message"] = {**message, **{key: "".join(pieces) for key, pieces in said.items()}}
    return body


def _told(key: str, latest: Any, events: Sequence[Any]) -> Any:
    """What a stream says under a key: a text from its pieces, else the latest that is no null."""
    if latest is not None and key not in _JOINED:
        return latest
    told = [event[key] for event in events if isinstance(event, dict) and event.get(key) is not None]
    if key in _JOINED and (pieces := [piece for piece in told if isinstance(piece, str)]):
        return "".join(pieces)
    return told[-1] if told else None


def _take(piece: Mapping[str, Any], message: dict[str, Any], said: dict[str, list[str]]) -> None:
    for key, value in piece.items():
        if key in said and type(value) is str:
            said[key].append(value)
        elif key in ("content", "thinking") and isinstance(value, str):
            said[key] = [value]
        elif isinstance(value, list):
            message[key] = [*loose.listing(message.get(key)), *value]
        elif value is not None:
            message[key] = value


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return body.get("done") is True


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    message = loose.mapping(body.get("message"))
    calls = _calls(message)
    return Reading(
        kind=_kind(call, body),
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=_usage(body),
        finish_reason=loose.name(body.get("done_reason")),
        request_preview=preview.line(_last_asked(request)),
        response_preview=_response_preview(body, message, calls),
        tool_calls=tuple(name for name, _ in calls if name),
    )


def _kind(call: Call, body: Mapping[str, Any]) -> str:
    if "embedding" in body or "embeddings" in body or call.path.endswith(("/api/embed", "/api/embeddings")):
        return "embedding"
    return "other" if loose.text(body.get("done_reason")) in _NO_CALL else "llm"


def _usage(body: Mapping[str, Any]) -> Usage:
    sent = {key: body[key] for key in _COUNTS if body.get(key) is not None}
    if "prompt_eval_count" not in sent and "eval_count" not in sent:
        return Usage()
    return usage.openai(sent)


def _calls(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, arguments as JSON text) of each tool the reply calls."""
    functions = [loose.mapping(item.get("function")) for item in loose.mappings(message.get("tool_calls"))]
    return [(loose.text(each.get("name")), _as_text(each.get("arguments", {}))) for each in functions]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else loose.compact(value)


def _last_asked(request: Mapping[str, Any]) -> str:
    if isinstance(messages := request.get("messages"), list):
        return openai_parts.last_user_text(messages)
    return next(iter(_prompts(request)), "")


def _prompts(request: Mapping[str, Any]) -> list[str]:
    value = request.get("prompt", request.get("input"))
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text]


def _response_preview(body: Mapping[str, Any], message: Mapping[str, Any], calls: list[tuple[str, str]]) -> str:
    if said := loose.text(message.get("content")) or loose.text(body.get("response")):
        return preview.line(said)
    return preview.tool_call(*calls[0]) if calls else _vectors(body)


def _vectors(body: Mapping[str, Any]) -> str:
    number = len(loose.listing(body.get("embeddings"))) or ("embedding" in body)
    return f"{int(number)} vector{'s' if number > 1 else ''}" if number else ""


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    return Conversation(
        messages=tuple(_messages(request)),
        reply=tuple(_reply(body)),
        tools=openai_parts.tools(request),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _messages(request: Mapping[str, Any]) -> list[Message]:
    if isinstance(messages := request.get("messages"), list):
        return [_message(item) for item in messages if isinstance(item, dict)]
    system = loose.text(request.get("system"))
    pictures = tuple(_picture(item) for item in loose.listing(request.get("images")))
    asked = [Message("user", (Part("text", text=text),)) for text in _prompts(request)]
    if asked and pictures:
        asked[-1] = Message("user", (*asked[-1].parts, *pictures))
    return [*([Message("system", (Part("text", text=system),))] if system else []), *asked]


def _message(item: Mapping[str, Any]) -> Message:
    role = loose.text(item.get("role")) or "unknown"
    content = loose.text(item.get("content"))
    if role == "tool":
        name = loose.text(item.get("tool_name")) or loose.text(item.get("name"))
        return Message(role, (Part("tool_result", text=content, name=name),))
    return Message(role, (*_said(item.get("thinking"), content), *_tools(item), *_pictures(item)))


def _said(thinking: Any, content: str) -> tuple[Part, ...]:
    thought = loose.text(thinking)
    return (
        *((Part("reasoning", text=thought),) if thought else ()),
        *((Part("text", text=content),) if content else ()),
    )


def _tools(message: Mapping[str, Any]) -> tuple[Part, ...]:
    return tuple(Part("tool_call", text=arguments, name=name) for name, arguments in _calls(message))


def _pictures(message: Mapping[str, Any]) -> tuple[Part, ...]:
    return tuple(_picture(item) for item in loose.listing(message.get("images")))


def _picture(encoded: Any) -> Part:
    """Ollama takes pictures as bare base64 and finds out what they are."""
    kind = "image/png" if loose.text(encoded).startswith("iVBOR") else "image/jpeg"
    return Part("image", url=f"data:{kind};base64,{loose.text(encoded)}", media_type=kind)


def _reply(body: Mapping[str, Any]) -> list[Message]:
    finish = loose.text(body.get("done_reason"))
    message = loose.mapping(body.get("message"))
    if message:
        said = _message({"role": "assistant", **message})
        return [Message(said.role, said.parts, finish_reason=finish)]
    parts = _said(body.get("thinking"), loose.text(body.get("response")))
    if not parts and (vectors := _vectors(body)):
        parts = (Part("data", text=vectors, name="embedding"),)
    return [Message("assistant", parts, finish_reason=finish)] if parts or finish else []
