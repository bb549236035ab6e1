"""One line of a message, for lists."""

from __future__ import annotations

from llm.exchange import PREVIEW_LENGTH

_LOOKED_AT = 4 * PREVIEW_LENGTH


def line(text: str) -> str:
    """`text` on one line, whitespace collapsed, at most PREVIEW_LENGTH characters."""
    short = " ".join(text.lstrip()[:_LOOKED_AT].split()).replace("\x00", "")
    return short if len(short) <= PREVIEW_LENGTH else short[: PREVIEW_LENGTH - 1] + "…"


def tool_call(name: str, arguments: str) -> str:
    return line(f"⚒ {name}({arguments[:_LOOKED_AT]})")
