"""The words of a live call that are worth screening: what the model is told since it last spoke, and what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from llm import dialects, frames, loose, multipart
from llm.call import Call
from llm.conversation import Message, Part
from llm.exchange import Body

SAID: Final = frozenset({"text", "tool_result", "file"})
MEDIA: Final = frozenset({"image", "audio", "file"})
_MODEL: Final = frozenset({"assistant", "model", "ai", "chatbot"})
_USER: Final = frozenset({"user", "human"})
LONGEST: Final = 200_000
"""Characters that are looked at; of a longer text both ends."""


class Words(NamedTuple):
    """`user`: the last message, where it is a user's. `all`: what came since the model's last turn, tools' too."""

    user: str = ""
    all: str = ""
    user_media: tuple[Part, ...] = ()
    """What of the last message is no text: images, audio, files."""
    media: tuple[Part, ...] = ()
    """The same of all."""


def asked(body: bytes, *, url: str, content_type: str = "", content_encoding: str = "") -> Words:
    """What a request says. Never raises; empty where nothing is said in words."""
    try:
        sent = multipart.unwrap(Body(body, content_type, content_encoding, len(body)))
        request = sent.value if isinstance(sent.value, dict) else {}
        chosen = dialects.choose(Call(path=loose.path(url).lower(), request=request))
        messages = chosen[1].converse(request, {}).messages if chosen and request else ()
    except Exception:  # a stranger's bytes: what cannot be read says nothing
        return Words()
    new = _since_reply(messages)
    last = new[-1] if new and new[-1].role.lower() in _USER else None
    of_user = [last] if last else []
    return Words(_text(of_user), _text(new), _media(of_user), _media(new))


def replied(
    request: bytes, response: bytes, *, url: str, status: int, content_type: str = "", content_encoding: str = ""
) -> str:
    """What a reply says, streamed or not. Never raises."""
    try:
        came = frames.unwrap(Body(response, content_type, content_encoding, len(response)))
        sent = loose.loads(request) if request else {}
        asked_for = sent if isinstance(sent, dict) else {}
        call = Call(
            path=loose.path(url).lower(), status=status, request=asked_for, response=came.value, events=came.events
        )
        chosen = dialects.choose(call)
        if chosen is None:
            return came.noise[:LONGEST]
        answer = chosen[1].fold(came.events) if came.events else came.value
        return _text(chosen[1].converse(asked_for, answer).reply)
    except Exception:  # as above
        return ""


def _since_reply(messages: Iterable[Message]) -> list[Message]:
    new: list[Message] = []
    for message in messages:
        if message.role.lower() in _MODEL:
            new = []
        elif message.role.lower() not in ("system", "developer"):
            new.append(message)
    return new


def _media(messages: Iterable[Message]) -> tuple[Part, ...]:
    return tuple(part for message in messages for part in message.parts if part.kind in MEDIA and not part.text)


def counted(parts: Iterable[Part]) -> str:
    """`2 images, 1 audio`."""
    kinds = Counter(part.kind for part in parts)
    return ", ".join(f"{times} {kind}{'s' if times > 1 and kind != 'audio' else ''}" for kind, times in kinds.items())


def _text(messages: Iterable[Message]) -> str:
    words = [part.text for message in messages for part in message.parts if part.kind in SAID and part.text]
    whole = "\n".join(words)
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST // 2]}\n{whole[-LONGEST // 2 :]}"
