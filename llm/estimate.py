"""Token counts where nobody told any, guessed from the text. A guess stands apart and is in no sum.

A guess needs no tokenizer and no vendor: every script has its usual characters per token, a message costs a few
tokens of framing, tools are JSON, and an image whose size is known costs its area / 750. Of prose it is right to
about a fifth; what a provider adds out of sight (instructions for its tools, pages it searched) it cannot know.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final

from lib.frozen import replace
from llm import loose, render
from llm.conversation import Conversation, Message, Part, ToolSpec
from llm.exchange import (
    STATUS_CANCELLED,
    STATUS_INTERRUPTED,
    STATUS_TIMEOUT,
    Body,
    Estimate,
    Exchange,
    Reading,
)
from llm.frames import decoded

KINDS: Final = frozenset({"llm", "embedding"})
"""Kinds whose tokens come of text."""
PER_TOKEN: Final = {"latin": 4.0, "wide": 1.3, "other": 2.5}
"""Characters per token: letters of Europe's west, ideographs with kana and hangul, every other script."""
MEASURED: Final = 20_000
"""Characters whose scripts are looked at."""
MESSAGE_TOKENS: Final = 4
PIXELS_PER_TOKEN, MOST_IMAGE_TOKENS = 750, 1600
_BROKEN_OFF: Final = frozenset({STATUS_CANCELLED, STATUS_INTERRUPTED, STATUS_TIMEOUT})
_WIDE: Final = re.compile("[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"
                          "\U00020000-\U0003ffff]+")
_LATIN: Final = re.compile("[\u0000-\u024f\u1e00-\u1eff\u2000-\u206f]+")
_SCRIPTS: Final = "characters by script / 4 latin, 1.3 CJK, 2.5 other"


def beside(exchange: Exchange, reading: Reading) -> Reading:
    """`reading`, with a guess where its usage is missing and the call is one that would be charged."""
    told = reading.usage
    if not reading.dialect or reading.kind not in KINDS or not _went_through(exchange, reading):
        return reading
    is_silent = told.input_tokens is None or (told.output_tokens is None and reading.kind == "llm")
    if not is_silent:
        return reading
    guess = _guess(exchange, reading)
    return reading if guess is None else replace(reading, estimate=guess)


def _went_through(exchange: Exchange, reading: Reading) -> bool:
    if 200 <= exchange.status < 300:
        return not reading.error_type and not reading.error_message
    return exchange.status in _BROKEN_OFF


def _guess(exchange: Exchange, reading: Reading) -> Estimate | None:
    sent, came = _plain(exchange.request), reading.folded_response or _plain(exchange.response)
    said = render.conversation(dialect=reading.dialect, request=sent, response=came)
    wanted, unseen = input_tokens(said), _unmeasured(said)
    input_guess = wanted if sent and exchange.request.state != "truncated" else None
    is_answer_whole = came and exchange.response.state != "truncated" and reading.kind == "llm"
    output_guess = sum(map(_spoken, said.reply)) if is_answer_whole else None
    told = reading.usage
    guess = Estimate(
        input_guess if told.input_tokens is None else None,
        output_guess if told.output_tokens is None else None,
        _SCRIPTS + (f"; {unseen} image or audio left out: its size is not known" if unseen else ""),
    )
    return None if guess.input_tokens is None and guess.output_tokens is None else guess


def _plain(body: Body) -> bytes:
    return decoded(body.data, body.content_encoding) if body.content_encoding and body.data else body.data


# --- counting ---------------------------------------------------------------------------------------------------------


def text_tokens(text: str) -> int:
    """Tokens of a text by its scripts; at least 1 for any text. The start of a long one stands for all of it."""
    if not text:
        return 0
    if text.isascii():
        return max(1, round(len(text) / PER_TOKEN["latin"]))
    head = text[:MEASURED]
    latin, wide = _length(_LATIN.findall(head)), _length(_WIDE.findall(head))
    other = len(head) - latin - wide
    tokens = latin / PER_TOKEN["latin"] + wide / PER_TOKEN["wide"] + other / PER_TOKEN["other"]
    return max(1, round(tokens * len(text) / len(head)))


def _length(pieces: Iterable[str]) -> int:
    return sum(map(len, pieces))


def input_tokens(said: Conversation) -> int:
    return sum(MESSAGE_TOKENS + _spoken(message) for message in said.messages) + sum(map(_offered, said.tools))


def _offered(tool: ToolSpec) -> int:
    schema = loose.compact(tool.schema) if tool.schema else ""
    return MESSAGE_TOKENS + text_tokens(tool.name + tool.description) + text_tokens(schema)


def _spoken(message: Message) -> int:
    return sum(map(_part, message.parts))


def _part(part: Part) -> int:
    if part.kind == "image":
        return _image(part.url) or 0
    return 0 if part.kind in ("audio", "file") else text_tokens(part.name) + text_tokens(part.text)


def _unmeasured(said: Conversation) -> int:
    """Parts that cost tokens nobody can guess."""
    parts = (part for message in said.messages for part in message.parts)
    return sum(part.kind in ("audio", "file") or (part.kind == "image" and _image(part.url) is None) for part in parts)


# --- pictures ---------------------------------------------------------------------------------------------------------

_PNG, _GIF = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a")
_HEADER: Final = 64
"""Characters of base64 that hold the size of a PNG or GIF."""


def _image(url: str) -> int | None:
    """Tokens of a picture that is there and says its size (PNG, GIF)."""
    scheme, _, data = url[: 200 + _HEADER].partition(";base64,")
    if not scheme.startswith("data:") or not data:
        return None
    try:
        head = base64.b64decode(data[:_HEADER], validate=True)
    except (binascii.Error, ValueError):
        return None
    size = _size(head)
    return None if size is None else min(MOST_IMAGE_TOKENS, max(1, size[0] * size[1] // PIXELS_PER_TOKEN))


def _size(head: bytes) -> tuple[int, int] | None:
    if head.startswith(_PNG) and len(head) >= 24:
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    if head.startswith(_GIF) and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    return None
