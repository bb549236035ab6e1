"""One line of a message, for lists."""

from __future__ import annotations

from llm.exchange import PREVIEW_LENGTH

_MOSTLY_ENOUGH = PREVIEW_LENGTH + 50
_LOOKED_AT = 4 * PREVIEW_LENGTH


def line(text: str) -> str:
    """`text` on one line, whitespace collapsed, at most PREVIEW_LENGTH characters."""
    text = text.lstrip()
    short = ""
    for looked_at in (_MOSTLY_ENOUGH, _LOOKED_AT):
        short = " ".join(text[:looked_at].split()).replace("\x00", "")
        if len(short) > PREVIEW_LENGTH:
            return short[: PREVIEW_LENGTH - 1] + "…"
        if len(text) <= looked_at:
            break
    return short


def tool_call(name: str, arguments: str) -> str:
    return line(f"⚒ {name}({arguments[:_LOOKED_AT]})")
