"""Server-sent events (WHATWG HTML §9.2) as language-model providers really send them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

DONE = b"[DONE]"


class Event(NamedTuple):
    name: bytes
    data: bytes
    """Its data lines, joined with a line feed."""


def looks_like(data: bytes) -> bool:
    """Whether `data` is an event stream, told by its first lines and not by its content type."""
    head = data[:65536].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith((b"data:", b"event:", b"id:", b"retry:")) or b"\ndata:" in head or b"\rdata:" in head


_DATA_LINE: Final = re.compile(rb"\ndata:(.+)")


def data_lines(data: bytes) -> list[bytes]:
    """The data lines of a stream, fast and untrimmed: its events wherever each event has one data line."""
    return _DATA_LINE.findall(b"\n" + data.removeprefix(b"\xef\xbb\xbf"))


def events(data: bytes) -> Iterator[Event]:
    """The events of a stream. Comments are dropped; a last event without its empty line still counts."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for block in data.removeprefix(b"\xef\xbb\xbf").split(b"\n\n"):
        lines = block.split(b"\n")
        last = lines[-1]
        if last.startswith(b"data:") and len(lines) == 1:
            yield Event(b"", last[5:].strip(b" "))
        elif last.startswith(b"data:") and len(lines) == 2 and lines[0].startswith(b"event:"):
            yield Event(lines[0][6:].strip(), last[5:].strip(b" "))
        elif event := _event(lines):
            yield event


def _event(block: list[bytes]) -> Event | None:
    name, lines = b"", []
    for line in block:
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip()
    return Event(name, b"\n".join(lines)) if lines else None
