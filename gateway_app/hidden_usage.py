"""Token counts we asked of a stream, kept from a client who did not: its one chunk without choices.

    data: {"id": …, "choices": [], "usage": {…}}

The record and the cache have the stream as it came. All else passes as it is, as soon as its line is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import orjson

from gateway_app.connection import Headers
from gateway_app.headers import read
from gateway_app.shaping import Shaping

_DATA: Final = b"data:"
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
        self.begun = b""
        """A line whose end has not come."""

    def pass_on(self, chunk: bytes, *, is_last: bool) -> bytes:
        """What of it, and of what was held back, the client gets."""
        came = self.begun + chunk
        end = len(came) if is_last else came.rfind(b"\n") + 1
        self.begun = came[end:]
        return _without(came[:end])


def _without(lines: bytes) -> bytes:
    """An empty list is looked for, not each line read: it is rare, and usage stands in every chunk as null."""
    kept, start, at = [], 0, lines.find(_EMPTY)
    while at >= 0:
        begin, end = lines.rfind(b"\n", 0, at) + 1, lines.find(b"\n", at) + 1 or len(lines)
        if lines.startswith(_DATA, begin) and _tells_only_usage(lines[begin + len(_DATA) : end]):
            kept.append(lines[start:begin])
            end += next((len(blank) for blank in (b"\r\n", b"\n") if lines.startswith(blank, end)), 0)
            start = end
        at = lines.find(_EMPTY, end)
    return b"".join((*kept, lines[start:])) if kept else lines


def _tells_only_usage(data: bytes) -> bool:
    if b'"usage"' not in data:
        return False
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)
