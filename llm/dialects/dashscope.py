"""Alibaba's DashScope (https://help.aliyun.com/zh/model-studio/qwen-api-reference): Qwen's models in its own words.

Its OpenAI-shaped door is read as such. In `output` stand choices of messages or one `text`; a stream tells either the
pieces or, without `incremental_output`, all that has come so far each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llm import loose, openai_parts, preview, usage
from llm.call import Call
from llm.conversation import Conversation, Message, Part
from llm.exchange import Reading, Usage

_PATH: Final = "/api/v1/services/"
_UNFINISHED: Final = "null"
"""A text, where others send nothing."""


def score(call: Call) -> int:
    output = loose.mapping(call.sample.get("output"))
    if "request_id" in call.sample and ("choices" in output or "text" in output):
        return 97
    return 70 if _PATH in call.path and call.path.endswith("generation") else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been."""
    body: dict[str, Any] = {}
    text, choices = _Text(), dict[int, tuple[dict[str, Any], dict[str, _Text]]]()
    for event in events:
        if not isinstance(event, dict):
            continue
        body.update(event)
        output = loose.mapping(event.get("output"))
        text.take(output.get("text"))
        for number, choice in enumerate(loose.mappings(output.get("choices"))):
            known, texts = choices.setdefault(number, ({}, {}))
            known.update(choice)
            for key, value in loose.mapping(choice.get("message")).items():
                if key in ("content", "reasoning_content"):
                    texts.setdefault(key, _Text()).take(openai_parts.content_text(value))
    output = dict(loose.mapping(body.get("output")))
    if text.pieces:
        output["text"] = text.whole()
    if choices:
        output["choices"] = [_whole(*choices[number]) for number in sorted(choices)]
    return {**body, "output": output}


class _Text:
    """A text while it comes in, by pieces or whole each time."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._is_restated = True

    def take(self, piece: Any) -> None:
        if isinstance(piece, str) and piece:
            self._is_restated = self._is_restated and (not self.pieces or piece.startswith(self.pieces[-1]))
            self.pieces.append(piece)

    def whole(self) -> str:
        return self.pieces[-1] if self._is_restated and self.pieces else "".join(self.pieces)


def _whole(choice: Mapping[str, Any], texts: Mapping[str, _Text]) -> dict[str, Any]:
    said = {key: text.whole() for key, text in texts.items()}
    return {**choice, "message": {**loose.mapping(choice.get("message")), **said}}


def is_complete(events: Sequence[Any], body: Mapping[str, Any]) -> bool:
    return _finish(body) is not None


# --- reading ----------------------------------------------------------------------------------------------------------


def read(call: Call) -> Reading:
    request, body = call.request, loose.mapping(call.response)
    message = _message(body)
    calls = openai_parts.tool_calls(message)
    sent = body.get("usage")
    failed = loose.name(body.get("code"))
    return Reading(
        kind="llm" if call.method == "POST" else "retrieve",
        request_model=loose.name(request.get("model")),
        response_model=loose.name(body.get("model")),
        usage=usage.openai(sent) if isinstance(sent, dict) and sent else Usage(),
        finish_reason=_finish(body),
        provider_response_id=loose.name(body.get("request_id")),
        error_type=failed,
        error_message=loose.name(body.get("message")) if failed else None,
        request_preview=preview.line(_asked(request)),
        response_preview=preview.line(openai_parts.content_text(message.get("content"))) or (
            preview.tool_call(*calls[0]) if calls else ""),
        tool_calls=tuple(name for name, _ in calls),
    )


def _choices(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As OpenAI has them; one text is one choice."""
    output = loose.mapping(body.get("output"))
    if isinstance(text := output.get("text"), str):
        return [{"message": {"content": text}, "finish_reason": output.get("finish_reason")}]
    return loose.mappings(output.get("choices"))


def _message(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return loose.mapping(loose.first(_choices(body)).get("message"))


def _reason(choice: Mapping[str, Any]) -> str:
    said = loose.text(choice.get("finish_reason"))
    return "" if said == _UNFINISHED else said


def _finish(body: Mapping[str, Any]) -> str | None:
    return _reason(loose.first(_choices(body))) or None


def _asked(request: Mapping[str, Any]) -> str:
    told = loose.mapping(request.get("input"))
    return loose.text(told.get("prompt")) or openai_parts.last_user_text(loose.listing(told.get("messages")))


# --- for people -------------------------------------------------------------------------------------------------------


def converse(request: Mapping[str, Any], response: Any) -> Conversation:
    told, parameters = loose.mapping(request.get("input")), loose.mapping(request.get("parameters"))
    messages = [openai_parts.message(item) for item in loose.mappings(told.get("messages"))]
    if prompt := loose.text(told.get("prompt")):
        messages.append(Message("user", (Part("text", text=prompt),)))
    return Conversation(
        messages=tuple(messages),
        reply=tuple(map(_reply, _choices(loose.mapping(response)))),
        tools=openai_parts.tools(parameters),
        settings={key: value for key, value in parameters.items() if key != "tools"},
    )


def _reply(choice: Mapping[str, Any]) -> Message:
    message = openai_parts.message({"role": "assistant", **loose.mapping(choice.get("message"))})
    return Message(message.role, message.parts, message.name, _reason(choice))
