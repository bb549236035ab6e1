"""AWS event streams (application/vnd.amazon.eventstream), as Bedrock and SageMaker answer with them.

    message = total length u32 · headers length u32 · CRC of both u32 · headers · payload · CRC of all before u32

A message is read whether or not its checksum fits (redacted bodies have none that does); a start that is none is
searched past, so that a stream whose middle or end is missing keeps what is whole.
"""

from __future__ import annotations

import re
import zlib
from binascii import a2b_base64
from dataclasses import dataclass
from struct import Struct, error
from typing import Any, Final

import orjson

from llm import loose

MAX_MESSAGE: Final = 24 * 2**20
"""AWS allows 16 MB of payload."""
_PRELUDE: Final = Struct(">III")
_SUM: Final = Struct(">I")
_SHORTEST: Final = _PRELUDE.size + 4
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type; 6 (bytes) and 7 (text) say theirs in two bytes."""
_START: Final = re.compile(rb"\x00.{11}[\x0b-\x0f]:(?:event-type|message-type|exception-type|content-type)", re.DOTALL)


Message = tuple[dict[str, str], bytes]
"""(headers, payload); of the headers only those of type text: AWS sends no other."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A stream taken apart."""

    events: tuple[Any, ...]
    """JSON values: `{"contentBlockDelta": …}` of Converse, a vendor's own event of Invoke, `{"type": "error", …}`."""
    pieces: bytes = b""
    """The bytes of raw parts joined: SageMaker streams its container's answer so, in that one's own frames."""
    unread: int = 0
    """Stretches that are no message, and messages that say nothing that can be read."""


def looks_like(data: bytes) -> bool:
    """Whether `data` starts with a message, told by its lengths and header names."""
    return data[:1] == b"\x00" and _START.match(data) is not None and _lengths(data, 0) is not None


def take(data: bytes) -> Taken:
    """Never raises for what the bytes are."""
    messages = _messages(data)
    whole = [message for message in messages if message is not None]
    values = _values([payload for _, payload in whole])
    events: list[Any] = []
    pieces: list[bytes] = []
    unread = len(messages) - len(whole)
    for (headers, payload), value, own in zip(whole, values, _vendors_own(values), strict=True):
        if headers.get(":event-type") == "PayloadPart":
            pieces.append(payload)
        elif (event := _event(headers, payload, value) if own is _NONE_WITHIN else own) is not None:
            events.append(event)
        else:
            unread += 1
    return Taken(tuple(events), b"".join(pieces), unread)


def _values(payloads: list[bytes]) -> list[Any]:
    """The JSON value of each payload, None for one that is none; read as one array where they let themselves."""
    try:
        values = loose.loads(b"[" + b",".join(payloads) + b"]")
    except orjson.JSONDecodeError:
        values = []
    return values if len(values) == len(payloads) else [_json(payload) for payload in payloads]


def _messages(data: bytes) -> list[Message | None]:
    """The messages in order; None for a stretch that is none."""
    found: list[Message | None] = []
    known: dict[bytes, dict[str, str]] = {}
    position, view = 0, memoryview(data)
    while position < len(data):
        lengths = _whole_at(data, view, position)
        if lengths is None:
            found.append(None)
            start = _next_start(data, position + 1)
            if start is None:
                break
            position = start
            continue
        body, end = position + lengths[1], position + lengths[0]
        block = data[position + _PRELUDE.size : body]
        if (headers := known.get(block)) is None:
            headers = known[block] = _headers(block)
        found.append((headers, data[body : end - 4]))
        position = end
    return found


def _whole_at(data: bytes, view: memoryview, position: int) -> tuple[int, int] | None:
    """(bytes of the message, bytes before its payload) if it is all there.

    That is told by its checksum, else by another message (or nothing) standing right behind it.
    """
    try:
        total, head, _ = _PRELUDE.unpack_from(data, position)
    except error:
        return None
    end = position + total
    if not _SHORTEST + head <= total <= MAX_MESSAGE or end > len(data):
        return None
    is_sound = zlib.crc32(view[position : end - 4]) == _SUM.unpack_from(data, end - 4)[0]
    return (total, head + _PRELUDE.size) if is_sound or end == len(data) or _is_start(data, end) else None


def _is_start(data: bytes, position: int) -> bool:
    return zlib.crc32(data[position : position + 8]) == int.from_bytes(data[position + 8 : position + 12], "big")


def _lengths(data: bytes, position: int) -> tuple[int, int] | None:
    """(bytes of the message, bytes of its headers), if they can be."""
    try:
        total, head, _ = _PRELUDE.unpack_from(data, position)
    except error:
        return None
    return (total, head) if _SHORTEST + head <= total <= MAX_MESSAGE else None


def _next_start(data: bytes, position: int) -> int | None:
    """Where the next message begins: behind a hole nothing else tells."""
    for found in _START.finditer(data, position):
        if _is_start(data, found.start()):
            return found.start()
    return None


def _headers(block: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    place = 0
    while place < len(block):
        name_end = place + 1 + block[place]
        name, kind = block[place + 1 : name_end], block[name_end : name_end + 1]
        place = name_end + 1
        size = _SIZES.get(kind[0]) if kind else None
        if kind in (b"\x06", b"\x07"):
            size = int.from_bytes(block[place : place + 2], "big")
            place += 2
        if size is None:
            break
        if kind == b"\x07":
            found[name.decode(errors="replace")] = block[place : place + size].decode(errors="replace")
        place += size
    return found


def _event(headers: dict[str, str], payload: bytes, value: Any) -> Any:
    """What a message of this JSON value says; None where that is nothing."""
    if headers.get(":message-type") != "event":
        kind = headers.get(":exception-type") or headers.get(":error-code")
        if kind or headers.get(":message-type"):
            said = loose.text(loose.mapping(value).get("message")) or headers.get(":error-message", "")
            return {"type": "error", "error": {"type": kind or "error", "message": said or _text(payload)}}
    if value is None:
        return None
    name = headers.get(":event-type")
    return {name: value} if name else value


_NONE_WITHIN: Final = object()


def _vendors_own(values: list[Any]) -> list[Any]:
    """The event that Invoke wraps in each value's `bytes`, None where it cannot be read; else _NONE_WITHIN."""
    places = [place for place, value in enumerate(values) if type(value) is dict and type(value.get("bytes")) is str]
    found: list[Any] = [_NONE_WITHIN] * len(values)
    encoded = [values[place]["bytes"] for place in places]
    try:
        decoded = list(map(a2b_base64, encoded))
    except ValueError:
        decoded = [_decoded(text) for text in encoded]
    for place, event in zip(places, _values(decoded), strict=True):
        found[place] = event
    return found


def _decoded(encoded: str) -> bytes:
    try:
        return a2b_base64(encoded)
    except ValueError:
        return b""


def _json(payload: bytes) -> Any:
    try:
        return loose.loads(payload)
    except orjson.JSONDecodeError:
        return None


def _text(payload: bytes) -> str:
    return payload[:2000].decode(errors="replace")
