"""AWS event streams (application/vnd.amazon.eventstream), as Bedrock and SageMaker answer with them.

    message = total length u32 · headers length u32 · CRC of both u32 · headers · payload · CRC of all before u32

A message is read whether or not its checksum fits (redacted bodies have none that does); a start that is none is
searched past, so that a stream whose middle or end is missing keeps what is whole.
"""

from __future__ import annotations

import re
import zlib
from binascii import a2b_base64
from functools import lru_cache
from struct import Struct, error
from typing import Any, Final

import orjson

from lib.frozen import dataclass
from llm import loose

MAX_MESSAGE: Final = 24 * 2**20
"""AWS allows 16 MB of payload."""
_PRELUDE: Final = Struct(">III")
_SHORTEST: Final = _PRELUDE.size + 4
_SIZES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type; 6 (bytes) and 7 (text) say theirs in two bytes."""
_START: Final = re.compile(rb"\x00.{11}[\x0b-\x0f]:(?:event-type|message-type|exception-type|content-type)", re.DOTALL)


Message = tuple[dict[str, str], bytes, str]
"""(headers, payload, name of the event where it is nothing but one); of the headers only those of type text: AWS sends
no other."""


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
    values = _values([payload for _, payload, _ in whole])
    events: list[Any] = []
    pieces: list[bytes] = []
    unread = len(messages) - len(whole)
    own_events = _vendors_own(values) if b'"bytes"' in data else [_NONE_WITHIN] * len(values)
    for (headers, payload, name), value, own in zip(whole, values, own_events, strict=True):
        if name and own is _NONE_WITHIN and value is not None:
            events.append({name: value})  # nearly all messages of Converse
        elif headers.get(":event-type") == "PayloadPart":
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
    position, size, prelude = 0, len(data), _prelude(data, 0)
    while position < size:
        total, head, _ = prelude
        end, body = position + total, position + head + _PRELUDE.size
        if _SHORTEST + head <= total <= MAX_MESSAGE and end <= size:
            prelude = _PRELUDE.unpack_from(data, end) if end + _SHORTEST <= size else _NO_PRELUDE
            if end == size or zlib.crc32(data[end : end + 8]) == prelude[2] or _is_sound(data, position, end):
                block = data[position + _PRELUDE.size : body]
                headers, name = _known(block) if head <= _USUAL else _told(block)
                found.append((headers, data[body : end - 4], name))
                position = end
                continue
        found.append(None)
        start = _next_start(data, position + 1)
        if start is None:
            break
        position, prelude = start, _prelude(data, start)
    return found


_NO_PRELUDE: Final = (0, 0, 0)


def _prelude(data: bytes, position: int) -> tuple[int, int, int]:
    """(bytes of the message, bytes of its headers, checksum of both); zeros where too little is left for one."""
    try:
        return _PRELUDE.unpack_from(data, position)
    except error:
        return _NO_PRELUDE


def _is_sound(data: bytes, position: int, end: int) -> bool:
    """Whether the message's own checksum fits. Else it is whole if another (or nothing) stands right behind it."""
    return zlib.crc32(memoryview(data)[position : end - 4]) == int.from_bytes(data[end - 4 : end], "big")


def _is_start(data: bytes, position: int) -> bool:
    return zlib.crc32(data[position : position + 8]) == int.from_bytes(data[position + 8 : position + 12], "big")


def _lengths(data: bytes, position: int) -> tuple[int, int] | None:
    """(bytes of the message, bytes of its headers), if they can be."""
    total, head, _ = _prelude(data, position)
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


def _told(block: bytes) -> tuple[dict[str, str], str]:
    """(headers, name of the event where it is nothing but one)."""
    headers = _headers(block)
    name = headers.get(":event-type", "")
    return headers, name if headers.get(":message-type") == "event" and name != "PayloadPart" else ""


_USUAL: Final = 256
"""Bytes of headers: those of all streams are a few, and kept."""
_known: Final = lru_cache(maxsize=256)(_told)


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
    encoded = [value.get("bytes") if type(value) is dict else None for value in values]
    texts = [text for text in encoded if type(text) is str]
    try:
        decoded = list(map(a2b_base64, texts))
    except ValueError:
        decoded = [_decoded(text) for text in texts]
    events = iter(_values(decoded))
    return [next(events) if type(text) is str else _NONE_WITHIN for text in encoded]


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
