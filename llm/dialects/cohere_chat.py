"""Cohere's chat, version 2 (https://docs.cohere.com/reference/chat), and its typed events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llm import cohere_parts, loose, openai_parts, preview
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading

_EVENTS: Final = frozenset({
    "message-start", "content-start", "content-delta", "content-end", "tool-plan-delta", "tool-call-start",
    "tool-call-delta", "tool-call-end", "citation-start", "citation-end", "message-end", "debug",
})
_CONTENTS: Final = ("content-delta", "content-start")
_JOINED: Final = ("text", "thinking")
_SETTINGS: Final = (
    "temperature", "p", "k", "max_tokens", "seed", "stop_sequences", "frequency_penalty", "presence_penalty",
    "response_format", "safety_mode", "citation_options", "tool_choice", "strict_tools", "logprobs", "thinking",
    "priority", "stream",
)
TOLD_BY: Final = frozenset({"type"})


def score(call: Call) -> int:
    sample = call.sample
    kind = sample.get("type")
    if isinstance(kind, str) and kind in _EVENTS and kind != "debug":
        return 100
    if isinstance(sample.get("message"), dict) and "finish_reason" in sample and "choices" not in sample:
        return 92
    return 85 if call.path.endswith("/v2/chat") else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been: contents and tool calls by index, pieces joined."""
    growing = _Growing()
    contents: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        if type(event) is not dict:
            continue
        if event.get("type") not in _CONTENTS:
            growing.take(event)
            continue
        index, delta = event.get("index"), event.get("delta")
        message = delta.get("message") if type(delta) is dict else None
        content = message.get("content") if type(message) is dict else None
        number = index if type(index) is int else 0
        if number not in contents:
            contents[number] = []
        if type(content) is dict:
            contents[number].append(content)
        if "logprobs" in event and isinstance(event["logprobs"], dict):
            growing.logprobs.append(event["logprobs"])
    return growing.whole([_content(contents[number]) for number in sorted(contents)])


class _Growing:
    """A reply but for its contents, while its events come in."""

    def __init__(self) -> None:
        self.body: dict[str, Any] = {}
        self.message: dict[str, Any] = {}
        self.calls: dict[int, dict[str, Any]] = {}
        self.arguments: dict[int, list[str]] = {}
        self.plan: list[str] = []
        self.citations: list[Any] = []
        self.logprobs: list[Any] = []

    def take(self, event: Mapping[str, Any]) -> None:
        kind, delta = event.get("type"), loose.mapping(event.get("delta"))
        message, index = loose.mapping(delta.get("message")), event.get("index")
        number = index if type(index) is int else 0
        if kind == "tool-plan-delta":
            self.plan.append(loose.text(message.get("tool_plan")))
        elif kind in ("tool-call-start", "tool-call-delta"):
            self._call(number, loose.mapping(message.get("tool_calls")))
        elif kind == "citation-start":
            found = message.get("citations")
            self.citations += found if isinstance(found, list) else [found]
        else:
            self._other(event, delta, message)

    def _call(self, number: int, call: Mapping[str, Any]) -> None:
        known = self.calls.setdefault(number, {"function": {}})
        function = loose.mapping(call.get("function"))
        self.arguments.setdefault(number, []).append(loose.text(function.get("arguments")))
        known["function"].update({key: value for key, value in function.items() if key != "arguments"})
        known.update({key: value for key, value in call.items() if key != "function"})

    def _other(self, event: Mapping[str, Any], delta: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        """message-start, message-end, errors and what is not known: facts."""
        self.body.update({key: value for key, value in event.items() if key not in ("type", "delta", "index")})
        self.body.update({key: value for key, value in delta.items() if key != "message" and value is not None})
        self.message.update({key: value for key, value in message.items() if value})

    def whole(self, contents: list[dict[str, Any]]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", **self.message}
        if contents:
            message["content"] = contents
        if plan := "".join(self.plan):
            message["tool_plan"] = plan
        if self.calls:
            message["tool_calls"] = [self._whole_call(number) for number in sorted(self.calls)]
        if self.citations:
            message["citations"] = self.citations
        extra = {"logprobs": self.logprobs} if self.logprobs else {}
        return {**self.body, "message": message, **extra}

    def _whole_call(self, number: int) -> dict[str, Any]:
        call = self.calls[number]
        return {**call, "function": {**call["function"], "arguments": "".join(self.arguments[number])}}


def _content(pieces: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One content of a reply from its pieces."""
    fields: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    for piece in pieces:
        for key, value in piece.items():
            if key in texts and type(value) is str:
                texts[key].append(value)
            elif key in _JOINED and type(value) is str:
                texts[key] = [value]
            elif value is not None:
                fields[key] = value
    content = {**fields, **{key: "".join(said) for key, said in texts.items()}}
    return {"type": "thinking" if "thinking" in content else "text", **content}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return body.get("finish_reason") is not None


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    message = loose.mapping(body.get("message"))
    called = openai_parts.tool_calls(message)
    return Reading(
        kind="llm" if call.method == "POST" else "other",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=cohere_parts.read(body),
        finish_reason=loose.name(body.get("finish_reason")),
        provider_response_id=loose.name(body.get("id")),
        request_preview=preview.line(openai_parts.last_user_text(loose.listing(request.get("messages")))),
        response_preview=_response_preview(message, called),
        tool_calls=tuple(name for name, _ in called),
    )


def _response_preview(message: Mapping[str, Any], called: list[tuple[str, str]]) -> str:
    if said := openai_parts.content_text(message.get("content")):
        return preview.line(said)
    return preview.tool_call(*called[0]) if called else preview.line(loose.text(message.get("tool_plan")))


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    documents = cohere_parts.documents(request.get("documents"))
    asked = [_message(item) for item in loose.mappings(request.get("messages"))]
    answered = body.get("message")
    reply = _message({"role": "assistant", **answered}) if isinstance(answered, dict) else Message("assistant", ())
    finish_reason = loose.text(body.get("finish_reason"))
    return Conversation(
        messages=(*([Message("documents", tuple(documents))] if documents else []), *asked),
        reply=(Message(reply.role, reply.parts, reply.name, finish_reason),) if reply.parts or finish_reason else (),
        tools=openai_parts.tools(request),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _message(item: Mapping[str, Any]) -> Message:
    message = openai_parts.message(item)
    plan = loose.text(item.get("tool_plan"))
    before = [Part("reasoning", text=plan)] if plan else []
    after = cohere_parts.citations(item.get("citations"))
    return Message(message.role, (*before, *message.parts, *after), message.name)
