"""A stored exchange as the conversation it was."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from llm import dialects, frames, loose, multipart
from llm.call import Call, Dialect
from llm.conversation import Conversation, Message, Part
from llm.dialects import otlp_span
from llm.exchange import Body


def conversation(*, dialect: str, request: bytes, response: bytes) -> Conversation:
    """What was said, from both bodies as stored (decoded; the reply folded or a stream). Never raises.

    An unknown dialect, or bodies it cannot show, give the JSON or text there is.
    """
    try:
        return shown(dialect=dialect, request=request, response=response)
    except Exception:  # what strangers sent must never take a page down
        return _as_data(multipart.unwrap(Body(data=request)), frames.unwrap(Body(data=response)))


def shown(*, dialect: str, request: bytes, response: bytes) -> Conversation:
    """The same; raises where a dialect trips over what was said."""
    sent, came = multipart.unwrap(Body(data=request)), frames.unwrap(Body(data=response))
    asked: Mapping[str, Any] = sent.value if isinstance(sent.value, dict) else {}
    chosen = dialects.by_name(dialect) or _guess(asked, came)
    if chosen is None:
        return _as_data(sent, came)
    answer = chosen.fold(came.events) if came.events else came.value
    found = chosen.converse(asked, answer)
    if chosen is otlp_span and asked:
        return found  # what it does not tell nobody said: the document around it is ours
    rest = _as_data(sent, came)
    return Conversation(found.messages or rest.messages, found.reply or rest.reply, found.tools, found.settings)


def bodies(*, dialect: str, request: bytes, response: bytes) -> tuple[Any, Any]:
    """Both sides as an API gives them: JSON values, else texts, else None. Never raises.

    Of a span, which is one document, the request and the reply its call would have had.
    """
    if dialect == "otlp_span" and request:
        with suppress(Exception):  # what strangers sent is then given as it is
            if isinstance(document := loose.loads(request), dict):
                return otlp_span.bodies(document)
    return _value(request), _value(response)


def _value(data: bytes) -> Any:
    try:
        return loose.loads(data) if data else None
    except orjson.JSONDecodeError:
        return data.decode("utf-8", "replace")


def _guess(asked: Mapping[str, Any], came: frames.Payload) -> Dialect | None:
    chosen = dialects.choose(Call(request=asked, response=came.value, events=came.events))
    return chosen[1] if chosen else None


def _as_data(sent: frames.Payload, came: frames.Payload) -> Conversation:
    return Conversation(_shown("user", sent), _shown("assistant", came))


def _shown(role: str, payload: frames.Payload) -> tuple[Message, ...]:
    if payload.noise:
        return (Message(role, (Part("text", text=payload.noise),)),)
    value = list(payload.events) if payload.events else payload.value
    return (Message(role, (Part("data", text=loose.pretty(value)),)),) if value not in (None, {}, []) else ()
