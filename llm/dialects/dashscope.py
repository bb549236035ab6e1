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
_JOINED: Final = ("content", "reasoning_content")
_UNFINISHED: Final = "null"
"""A text, where others send nothing."""
TOLD_BY: Final = frozenset({"request_id"})


def score(call: Call) -> int:
    output = loose.mapping(call.sample.get("output"))
    if "request_id" in call.sample and ("choices" in output or "text" in output):
        return 97
    return 70 if _PATH in call.path and call.path.endswith("generation") else 0


# --- folding ----------------------------------------------------------------------------------------------------------


def fold(events: Sequence[Any]) -> dict[str, Any]:
    """The reply a stream would have been."""
    body: dict[str, Any] = {}
    texts: list[Any] = []
    choices: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        if type(event) is dict:
            body.update(event)
            output = event.get("output")
            if type(output) is dict:
                if "text" in output:
                    texts.append(output["text"])
                listed = output.get("choices")
                for number, piece in enumerate(listed if type(listed) is list else ()):
                    if type(piece) is dict:
                        choices.setdefault(number, []).append(piece)
    output = dict(loose.mapping(body.get("output")))
    if text := openai_parts.joined(texts):
        output["text"] = text
    if choices:
        output["choices"] = [_whole(choices[number]) for number in sorted(choices)]
    return {**body, "output": output}


def _whole(pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    choice: dict[str, Any] = {}
    for piece in pieces:
        choice.update(piece)
    messages = [message for piece in pieces if type(message := piece.get("message")) is dict]
    texts = {key: [message[key] for message in messages if key in message] for key in _JOINED}
    said = {key: openai_parts.joined(map(openai_parts.content_text, values)) for key, values in texts.items() if values}
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
