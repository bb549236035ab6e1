"""How the events of a streamed reply are put on the wire."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import orjson

from helicone_site.demo.provider.reply import Event


@dataclass(frozen=True, slots=True)
class Framing:
    """A content type, and one event's bytes at a time."""

    content_type: str
    write: Callable[[Iterable[Event]], Iterator[bytes]]


def _server_sent(events: Iterable[Event]) -> Iterator[bytes]:
    for name, event in events:
        yield (f"event: {name}\n" if name else "").encode() + b"data: " + orjson.dumps(event) + b"\n\n"


def _server_sent_and_done(events: Iterable[Event]) -> Iterator[bytes]:
    yield from _server_sent(events)
    yield b"data: [DONE]\n\n"


def _lines(events: Iterable[Event]) -> Iterator[bytes]:
    for _, event in events:
        yield orjson.dumps(event) + b"\n"


def _array(events: Iterable[Event]) -> Iterator[bytes]:
    """One JSON array, an element at a time, as Google streams without `alt=sse`."""
    between = b"["
    for _, event in events:
        yield between + orjson.dumps(event)
        between = b",\r\n"
    yield b"]"


def _amazon(events: Iterable[Event]) -> Iterator[bytes]:
    """Messages of AWS's event stream: lengths, headers, payload, each part with its CRC-32."""
    for name, event in events:
        yield message({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, event)


def _amazon_chunks(events: Iterable[Event]) -> Iterator[bytes]:
    """The same around a model's own events, as InvokeModelWithResponseStream has it."""
    return _amazon(("chunk", {"bytes": base64.b64encode(orjson.dumps(event)).decode()}) for _, event in events)


def message(headers: dict[str, str], body: object) -> bytes:
    """One message of AWS's event stream; header values are strings (type 7)."""
    coded = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    payload = orjson.dumps(body)
    prelude = struct.pack("!II", 16 + len(coded) + len(payload), len(coded))
    whole = prelude + struct.pack("!I", zlib.crc32(prelude)) + coded + payload
    return whole + struct.pack("!I", zlib.crc32(whole))


SSE = Framing("text/event-stream; charset=utf-8", _server_sent)
SSE_AND_DONE = Framing("text/event-stream; charset=utf-8", _server_sent_and_done)
LINES = Framing("application/x-ndjson", _lines)
ARRAY = Framing("application/json; charset=UTF-8", _array)
AMAZON = Framing("application/vnd.amazon.eventstream", _amazon)
AMAZON_CHUNKS = Framing("application/vnd.amazon.eventstream", _amazon_chunks)
