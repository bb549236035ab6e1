"""What a body is, told by its content and never by a flag: JSON, an event stream (or AWS's), JSON lines, HTML, text.

    bytes ──decode──▶ plain bytes ──unwrap──▶ Payload (one JSON value, or the JSON values of a stream)
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

import orjson
import zstandard

from llm import eventstream, loose, sse
from llm.exchange import Body, Problem

Shape = Literal["empty", "json", "sse", "lines", "eventstream", "html", "text", "binary"]

MAX_DECODED = 256 * 2**20
"""Bytes a compressed body may grow to; the rest is not read."""
_CHUNK_TYPES = ("message_", "content_block_", "response.", "message-", "content-", "tool-call-", "tool-plan-")
_EVENT_TYPES = ("interaction.", "content.", "step.")
_HTML = re.compile(rb"\s*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE)
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Payload(NamedTuple):
    """A body understood as far as its frames go."""

    shape: Shape
    value: Any = None
    """The JSON value of shape `json`."""
    events: tuple[Any, ...] = ()
    """The JSON values of a stream, in order; an event that is no JSON stands as {"event": name, "data": text}."""
    is_done: bool = False
    """The stream said [DONE]."""
    noise: str = ""
    """Text found around JSON lines, or the whole of a body of shape `text`."""
    problems: tuple[Problem, ...] = ()


EMPTY = Payload("empty")


def unwrap(body: Body) -> Payload:
    """Decode and take apart one side of an exchange. Never raises for what the bytes are."""
    if not body.data:
        return EMPTY
    problems: list[Problem] = []
    data = decode(body.data, body.content_encoding, problems) if body.content_encoding else body.data
    payload = _payload(data, is_cut=body.state == "truncated")
    if not problems:
        return payload
    return payload._replace(problems=(*problems, *payload.problems))


def _payload(data: bytes, *, is_cut: bool) -> Payload:
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"{", b"[", b'"'):
        try:
            return _document(loose.loads(data.removeprefix(b"\xef\xbb\xbf")))
        except orjson.JSONDecodeError:
            return _broken(data, is_cut=is_cut)
    if start == b"\x00" and eventstream.looks_like(data):
        return _aws_stream(data, is_cut=is_cut)
    if start == b"<" and _HTML.match(data):
        return Payload("html", noise=_text(data), problems=(Problem("html_response"),))
    if sse.looks_like(data):
        return _stream(data)
    return _loose_text(data)


def _document(value: Any) -> Payload:
    """One JSON value, unless it is what a stream sent: a lone chunk, or an array of them."""
    if isinstance(value, dict):
        value = _without_envelope(value)
        return Payload("lines", events=(value,)) if _is_chunk(value) else Payload("json", value)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value) and _is_stream(value):
        return Payload("lines", events=tuple(value))
    return Payload("json", value)


def _without_envelope(value: dict[str, Any]) -> dict[str, Any]:
    """What Cloudflare's REST API puts around every good answer is taken off."""
    if value.get("success") is True and "errors" in value and isinstance(inner := value.get("result"), dict):
        return inner
    return value


def _is_stream(value: list[dict[str, Any]]) -> bool:
    """Whether an array is a stream: of chunks, or what Google answers without `alt=sse`."""
    return _is_chunk(value[0]) or any("candidates" in item or "promptFeedback" in item for item in value[:2])


def _is_chunk(value: dict[str, Any]) -> bool:
    """Whether an object is a piece of a stream and no whole reply."""
    kind, name = value.get("type"), value.get("object")
    if isinstance(name, str) and name.endswith(".chunk"):
        return True
    if isinstance(kind, str):
        return kind.startswith(_CHUNK_TYPES)
    if value.get("done") is False and "created_at" in value:
        return True
    if isinstance(event := value.get("event_type"), str):
        return "is_finished" in value or event.startswith(_EVENT_TYPES)
    return name is None and _is_candidate(value)


def _is_candidate(value: dict[str, Any]) -> bool:
    """Whether it is a piece of Gemini's that neither counts nor ends; pieces that count stand in arrays."""
    candidates = value.get("candidates")
    if not isinstance(candidates, list) or "usageMetadata" in value:
        return False
    return not any("finishReason" in item for item in candidates if isinstance(item, dict))


def _is_piece(value: Any) -> bool:
    return isinstance(value, dict) and _is_chunk(value)


def _broken(data: bytes, *, is_cut: bool) -> Payload:
    """A body that starts like JSON and is not one document: JSON lines, or a document with a part missing."""
    if data.lstrip()[:1] == b"[" and (found := _array_so_far(data)) and _is_stream(found):
        return Payload("lines", events=tuple(found), problems=(Problem("body_cut"),) if is_cut else ())
    payload = _lines(data)
    if len(payload.events) > 1 or (payload.events and (not payload.problems or _is_piece(payload.events[0]))):
        return payload
    value = salvage(data)
    problem = Problem("body_cut" if is_cut else "response_not_json", "the JSON document is not whole")
    if value:
        return Payload("json", value, problems=(problem,))
    return Payload("text", noise=_text(data), problems=(problem,))


_DECODER = json.JSONDecoder()
_NEXT_ITEM = re.compile(rb"\}\s*,\s*\{")
_LOOKED_AT, _TRIED = 65536, 6
_BETWEEN = re.compile(r"[\s,\[\]]*")


def _array_so_far(data: bytes) -> list[dict[str, Any]]:
    """The whole objects at the start of an array that breaks off."""
    start = max(0, len(data) - _LOOKED_AT)
    ends = [start + found.start() + 1 for found in _NEXT_ITEM.finditer(data[start:])]
    for end in (len(data.rstrip(b" \t\r\n,")), *ends[: -_TRIED - 1 : -1]):
        value = _value(data[:end] + b"]")
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return value
    return _array_step_by_step(data)


def _array_step_by_step(data: bytes) -> list[dict[str, Any]]:
    text, found, position = data.decode(errors="replace"), [], 0
    while (position := _end(_BETWEEN, text, position)) < len(text):
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        if not isinstance(value, dict):
            break
        found.append(value)
    return found


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _loose_text(data: bytes) -> Payload:
    """Plain text, perhaps with JSON lines below it (a manual logger's traceback, then the reply's chunks)."""
    if b"\n{" in data:
        payload = _lines(data)
        if len(payload.events) == 1 and not payload.problems and not _is_chunk(payload.events[0]):
            return Payload("json", payload.events[0], noise="" if _is_comment(payload.noise) else payload.noise)
        if payload.events:
            return payload
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return Payload("binary", problems=(Problem("response_not_json"),))
    return Payload("text", noise=text, problems=(Problem("response_not_json"),) if text.strip() else ())


def _is_comment(noise: str) -> bool:
    """Whether text above a reply is only what event streams send to keep a connection open."""
    return all(line.startswith(":") for line in noise.splitlines())


def _text(data: bytes) -> str:
    return data[:65536].decode(errors="replace")


_TELLING_NAMES = frozenset({b"output", b"logs", b"done"})
"""Events whose name says what their data is, though it may happen to be JSON: Replicate's text comes as it is."""
_TELLING_NAME = re.compile(rb"\nevent: ?(?:output|logs)\r?$", re.MULTILINE)


# --- streams ----------------------------------------------------------------------------------------------------------


def _stream(data: bytes) -> Payload:
    lines = sse.data_lines(data)
    is_done = bool(lines) and lines[-1].strip() == sse.DONE
    values = None if _TELLING_NAME.search(b"\n" + data[:4096]) else _at_once(lines[:-1] if is_done else lines)
    return _one_by_one(sse.events(data)) if values is None else Payload("sse", events=values, is_done=is_done)


def _at_once(datas: list[bytes]) -> tuple[Any, ...] | None:
    """The values of data lines, read as one array (a third of the time); None unless each line is one document."""
    try:
        values = loose.loads(b"[" + b",".join(datas) + b"]")
    except orjson.JSONDecodeError:
        return None
    return tuple(values) if values and len(values) == len(datas) else None


def _one_by_one(events: Iterable[sse.Event]) -> Payload:
    values: list[Any] = []
    unread, is_done = 0, False
    for event in events:
        try:
            value = loose.loads(event.data)
            values.append(_named(event) if event.name in _TELLING_NAMES else value)
        except orjson.JSONDecodeError:
            if event.data.strip() == sse.DONE:
                is_done = True
            else:
                found = _odd_event(event)
                is_done |= event.data.rstrip().endswith(sse.DONE)
                values += found
                unread += not found and bool(event.data.strip())
    return Payload("sse", events=tuple(values), is_done=is_done, problems=_unread(unread))


def _odd_event(event: sse.Event) -> list[Any]:
    """The values of an event whose data is not one JSON document: several data lines of one each, or named text."""
    if event.name in _TELLING_NAMES:
        return [_named(event)]
    values = [value for line in event.data.split(b"\n") if (value := _value(line)) is not None]
    return [_named(event)] if not values and event.name else values


def _named(event: sse.Event) -> dict[str, str]:
    return {"event": event.name.decode(errors="replace"), "data": event.data.decode(errors="replace")}


def _aws_stream(data: bytes, *, is_cut: bool) -> Payload:
    """Of AWS's own frames; where they carry raw parts of a container's answer, that answer."""
    taken = eventstream.take(data)
    if taken.pieces and not taken.events:
        return _payload(taken.pieces, is_cut=is_cut or bool(taken.unread))
    cut = (Problem("body_cut"),) if is_cut else ()
    return Payload("eventstream", events=taken.events, problems=(*cut, *_unread(taken.unread)))


_COMPOSED: Final = frozenset({dict, list})


def _plain_lines(data: bytes) -> tuple[Any, ...] | None:
    """The values of JSON lines with nothing between them, read as one array; None where a line is something else."""
    lines = [*filter(bytes.strip, data.split(b"\n"))]
    if len(lines) < 2 or not lines[-1].rstrip().endswith((b"}", b"]")):
        return None
    values = _at_once(lines)
    return values if values and {*map(type, values)} <= _COMPOSED else None


def _lines(data: bytes) -> Payload:
    """JSON lines, with text allowed around them."""
    if (plain := _plain_lines(data)) is not None:
        return Payload("lines", events=_flat(plain))
    values: list[Any] = []
    others: list[bytes] = []
    for line in data.splitlines():
        value = _value(line)
        if isinstance(value, dict | list):
            values.append(value)
        else:
            others.append(line)
    broken = sum(line.lstrip().startswith((b"{", b"[")) for line in others)
    noise = b"\n".join(line for line in others if not line.lstrip().startswith(b"{")).decode(errors="replace")
    return Payload("lines", events=_flat(values), noise=noise, problems=_unread(broken))


def _flat(values: Sequence[Any]) -> tuple[Any, ...]:
    if list not in {*map(type, values)}:
        return tuple(values)
    return tuple(item for value in values for item in (value if isinstance(value, list) else (value,)))


def _value(line: bytes) -> Any:
    try:
        return loose.loads(line)
    except orjson.JSONDecodeError:
        return None


def _unread(number: int) -> tuple[Problem, ...]:
    return (Problem("event_unreadable", f"{number} skipped"),) if number else ()


# --- documents with a part missing ------------------------------------------------------------------------------------

_SALVAGED = (
    b"usage", b"model", b"service_tier", b"stop_reason", b"finish_reason", b"id", b"usageMetadata", b"modelVersion",
    b"responseId", b"promptFeedback",
)
_TELLING = frozenset({"usage", "model", "usageMetadata", "modelVersion"})


_DECODER = json.JSONDecoder()


def salvage(data: bytes) -> dict[str, Any]:
    """The facts of a JSON document whose middle or end is missing: usage, model, tier, as far as they stand whole."""
    found: dict[str, Any] = {}
    for key in _SALVAGED:
        position = data.rfind(b'"' + key + b'"') if key != b"id" else data.find(b'"id"')
        if position >= 0 and (value := _value_after(data, position + len(key) + 2)) is not None:
            found[key.decode()] = value
    return found if _TELLING & found.keys() else {}


def _value_after(data: bytes, position: int) -> Any:
    """The string, or the whole object, that follows a key."""
    rest = data[position : position + 16384].lstrip(b" \t\r\n:")
    if not rest.startswith((b'"', b"{")):
        return None
    try:
        text = rest.decode(errors="replace")
        return _value(text[: _DECODER.raw_decode(text)[1]].encode())
    except (ValueError, RecursionError):
        return None


# --- content encodings ------------------------------------------------------------------------------------------------


def decoded(data: bytes, encoding: str) -> bytes:
    """`data` without its content codings as far as they can be undone, for keeping and showing."""
    return decode(data, encoding, []) if encoding else data


def decode(data: bytes, encoding: str, problems: list[Problem]) -> bytes:
    """`data` without its content codings, outermost first; what cannot be undone is left and named."""
    for coding in reversed([part.strip().lower() for part in encoding.split(",")]):
        if coding in ("", "identity", "aws-chunked"):
            continue
        data = _decode_one(data, coding, problems)
    return data


def _decode_one(data: bytes, coding: str, problems: list[Problem]) -> bytes:
    if coding in ("gzip", "x-gzip"):
        return _inflate(data, 31, problems) if data.startswith(_GZIP) else data
    if coding == "deflate":
        return _deflate(data, problems)
    if coding == "zstd":
        return _unzstd(data, problems) if data.startswith(_ZSTD) else data
    if data.lstrip()[:1] not in (b"{", b"[") and not sse.looks_like(data):
        problems.append(Problem("encoding_unknown", coding[:40]))
    return data


def _deflate(data: bytes, problems: list[Problem]) -> bytes:
    if data[:1] in (b"{", b"[") or sse.looks_like(data):
        return data
    is_wrapped = len(data) > 1 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
    return _inflate(data, 15 if is_wrapped else -15, problems)


def _inflate(data: bytes, window: int, problems: list[Problem]) -> bytes:
    out, left = bytearray(), data
    while left and len(out) < MAX_DECODED:
        inflater = zlib.decompressobj(window)
        try:
            out += inflater.decompress(left, MAX_DECODED - len(out))
        except zlib.error as error:
            problems.append(Problem("encoding_broken", str(error)[:100]))
            break
        if not inflater.eof:
            problems.append(Problem("body_too_large" if inflater.unconsumed_tail else "encoding_broken"))
            break
        left = inflater.unused_data if inflater.unused_data.startswith(_GZIP) else b""
    return bytes(out)


def _unzstd(data: bytes, problems: list[Problem]) -> bytes:
    out = bytearray()
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    try:
        while len(out) < MAX_DECODED and (piece := reader.read(1 << 20)):
            out += piece
    except zstandard.ZstdError as error:
        problems.append(Problem("encoding_broken", str(error)[:100]))
    if len(out) >= MAX_DECODED:
        problems.append(Problem("body_too_large"))
    return bytes(out)
