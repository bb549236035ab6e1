"""Token counts we asked of a stream, kept from a client who did not: its one chunk without choices.

    data: {"id": …, "choices": [], "usage": {…}}

The record and the cache have the stream as it came. All else passes as it is, as soon as its line is whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import orjson

from gateway_app.connection import Headers
from gateway_app.headers import read
from gateway_app.shaping import Shaping

_LINE: Final = re.compile(rb'^data:([^\r\n]*"usage"\s*:\s*\{[^\r\n]*)(?:(?:\r\n|\n){1,2}|\Z)', re.MULTILINE)
_EMPTY: Final = b"[]"


def of(plan: Shaping | None, status: int, headers: Headers) -> HiddenUsage | None:
    """Of an answer with that head; None where all of it is the client's."""
    return HiddenUsage() if plan is not None and plan.hides_usage and _can_hide(status, headers) else None


def pairs(pieces: Iterable[bytes], hiding: HiddenUsage | None) -> Iterator[tuple[bytes, bytes]]:
    """Each piece of an answer, and what the client gets of it."""
    for piece in pieces:
        yield piece, piece if hiding is None else hiding.pass_on(piece, is_last=False)
    if hiding is not None:
        yield b"", hiding.pass_on(b"", is_last=True)


def _can_hide(status: int, headers: Headers) -> bool:
    """Whether a part may be left out: of a stream of events, in plain text, of no told length."""
    if status != 200:
        return False
    found = read(headers)
    is_plain = found.get("content-encoding", "identity") == "identity" and "content-length" not in found
    return is_plain and found.get("content-type", "").startswith("text/event-stream")


class HiddenUsage:
    """Of one stream. `pass_on` chunk by chunk, the last one told so."""

    def __init__(self) -> None:
        self._begun = b""
        """A line whose end has not come."""

    def pass_on(self, chunk: bytes, *, is_last: bool) -> bytes:
        """What of it, and of what was held back, the client gets."""
        if not self._begun and chunk.endswith(b"\n") and _EMPTY not in chunk:
            return chunk  # as nearly always
        came = self._begun + chunk
        end = len(came) if is_last else came.rfind(b"\n") + 1
        self._begun = came[end:]
        lines = came[:end]
        return _LINE.sub(_shown, lines) if _EMPTY in lines else lines


def _shown(line: re.Match[bytes]) -> bytes:
    return b"" if _tells_only_usage(line[1]) else line[0]


def _tells_only_usage(data: bytes) -> bool:
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)
