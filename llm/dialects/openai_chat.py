"""OpenAI chat completions, and everybody who speaks like them.

https://platform.openai.com/docs/api-reference/chat — what vendors add (reasoning under three names, content as
parts, citations, `x_groq`, cumulative `message` beside `delta`) is kept where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_OBJECTS: Final = frozenset({"chat.completion", "chat.completion.chunk"})
_SETTINGS: Final = (
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "stop", "seed", "presence_penalty",
    "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "tool_choice",
    "parallel_tool_calls", "reasoning_effort", "reasoning", "service_tier", "stream", "modalities", "verbosity",
    "store",
)
TOLD_BY: Final = frozenset({"object"})


def score(call: Call) -> int:
    sample = call.sample
    if loose.text(sample.get("object")) in _OBJECTS:
        return 100
    if isinstance(sample.get("choices"), list):
        return 90
    if call.path.endswith("/chat/completions"):
        return 70
    if "messages" in call.request and "model" in call.request:
        return 20
    return 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The completion a stream of chunks would have been: all choices, usage overlaid and never added."""
    latest: dict[str, Any] = {}
    choices: dict[int, list[dict[str, Any]]] = {}
    for chunk in events:
        if type(chunk) is dict:
            latest.update(chunk)
            listed = chunk.get("choices")
            for piece in listed if type(listed) is list else ():
                if type(piece) is dict:
                    index = piece.get("index")
                    choices.setdefault(index if type(index) is int else 0, []).append(piece)
    body = openai_parts.tops(latest, events)
    if body.get("object") == "chat.completion.chunk":
        body["object"] = "chat.completion"
    body["choices"] = [_Choice().whole(index, choices[index]) for index in sorted(choices)]
    return body


class _Choice:
    """One choice, put together from its pieces."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.text: list[str] = []
        self.final: Mapping[str, Any] = {}
        self.logprobs: dict[str, Any] = {}

    def whole(self, index: int, pieces: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        growing = openai_parts.Growing()
        for piece in pieces:
            if type(delta := piece.get("delta")) is dict:
                growing.take(delta)
            said = len(piece) - [*piece.values()].count(None)
            if said > 2 or type(delta) is not dict or piece.get("index") is None:
                self._facts(piece)  # few pieces say more than an index and a delta
        choice = {"index": index, **self.fields}
        if self.text:
            choice["text"] = "".join(self.text)
        else:
            message = growing.whole()
            choice["message"] = {**self.final, **message} if message.get("content") else {**message, **self.final}
        if self.logprobs:
            choice["logprobs"] = self.logprobs
        choice.setdefault("finish_reason", None)
        return choice

    def _facts(self, piece: Mapping[str, Any]) -> None:
        for key, value in piece.items():
            if value is None or key in ("index", "delta"):
                continue
            if key == "text":
                self.text.append(loose.text(value))
            elif key == "message":
                self.final = loose.mapping(value)
            elif key == "logprobs":
                openai_parts.extend_lists(self.logprobs, loose.mapping(value))
            else:
                self.fields[key] = value


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return any(choice.get("finish_reason") is not None for choice in loose.mappings(body.get("choices")))


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    choice = loose.first(body.get("choices"))
    message = loose.mapping(choice.get("message"))
    calls = openai_parts.tool_calls(message)
    sent = usage.told_by(body)
    return Reading(
        kind=_kind(call),
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=usage.openai(sent) if sent is not None else Usage(),
        finish_reason=_finish_reason(choice),
        provider_response_id=loose.name(body.get("id")),
        service_tier=loose.name(body.get("service_tier")),
        provider_cost_nano_usd=usage.declared_cost(sent) if sent is not None else None,
        end_user_id=loose.name(request.get("user")),
        request_preview=_request_preview(request),
        response_preview=_response_preview(choice, message, calls),
        tool_calls=tuple(name for name, _ in calls),
    )


def _kind(call: Call) -> str:
    """Stored completions can be looked up and given other metadata; no model runs then."""
    return "retrieve" if call.method != "POST" or "/chat/completions/" in call.path else "llm"


def _finish_reason(choice: Mapping[str, Any]) -> str | None:
    return loose.name(choice.get("finish_reason"))


def _request_preview(request: Mapping[str, Any]) -> str:
    messages = request.get("messages")
    if isinstance(messages, list):
        return preview.line(openai_parts.last_user_text(messages))
    prompt = request.get("prompt")
    prompts = [prompt] if isinstance(prompt, str) else loose.listing(prompt)
    return preview.line(next(filter(None, map(loose.text, prompts)), ""))


def _response_preview(choice: Mapping[str, Any], message: Mapping[str, Any], calls: list[tuple[str, str]]) -> str:
    said = openai_parts.content_text(message.get("content")) or loose.text(choice.get("text"))
    if said:
        return preview.line(said)
    if calls:
        return preview.tool_call(*calls[0])
    audio = loose.mapping(message.get("audio"))
    return preview.line(loose.text(message.get("refusal")) or loose.text(audio.get("transcript")))


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    body = loose.mapping(response)
    return Conversation(
        messages=tuple(_messages(request)),
        reply=tuple(_reply(choice) for choice in loose.mappings(body.get("choices"))),
        tools=openai_parts.tools(request),
        settings={key: request[key] for key in _SETTINGS if key in request},
    )


def _messages(request: Mapping[str, Any]) -> list[Message]:
    if isinstance(messages := request.get("messages"), list):
        return [openai_parts.message(item) for item in messages if isinstance(item, dict)]
    prompts = request.get("prompt")
    texts = prompts if isinstance(prompts, list) else [prompts]
    return [Message("user", (Part("text", text=text),)) for text in texts if isinstance(text, str) and text]


def _reply(choice: Mapping[str, Any]) -> Message:
    finish = _finish_reason(choice) or ""
    if isinstance(text := choice.get("text"), str):
        return Message("assistant", (Part("text", text=text),), finish_reason=finish)
    message = openai_parts.message({"role": "assistant", **loose.mapping(choice.get("message"))})
    return Message(message.role, message.parts, message.name, finish)
