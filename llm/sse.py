"""Server-sent events (WHATWG HTML §9.2) as language-model providers really send them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

DONE = b"[DONE]"


class Event(NamedTuple):
    name: bytes
    data: bytes
    """Its data lines, joined with a line feed."""


def looks_like(data: bytes) -> bool:
    """Whether `data` is an event stream, told by its first lines and not by its content type."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    while head.startswith(b":"):
        head = head.partition(b"\n")[2].lstrip()
    return head.startswith((b"data:", b"event:", b"id:", b"retry:")) or b"\ndata:" in data[:65536]


def events(data: bytes) -> Iterator[Event]:
    """The events of a stream. Comments are dropped; a last event without its empty line still counts."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for block in data.removeprefix(b"\xef\xbb\xbf").split(b"\n\n"):
        if block.startswith(b"data:") and b"\n" not in block:
            yield Event(b"", block[5:].strip(b" "))
        elif event := _event(block):
            yield event


def _event(block: bytes) -> Event | None:
    name, lines = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            lines.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.strip()
    return Event(name, b"\n".join(lines)) if lines else None
