"""OTLP's protobuf, read by Google's library where it is whole, and field by field where it is not.

One string that is no UTF-8 makes the library refuse a whole export; the good spans beside it are then found by
walking the wire format: a message is a sequence of (field number, wire type, value), and what is inside a span is
again one.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from ingest_app.otlp_document import MAX_ATTRIBUTES, MAX_DEPTH, TOO_DEEP

Values = dict[str, Any]
Found = tuple[Values, Values, Values]
"""(resource attributes, scope, span): the span by OTLP/JSON's names, attributes read already."""

# ValueError
#   └ Unreadable   not even the frames of the message can be told apart


class Unreadable(ValueError):
    """The bytes are no protobuf message."""


@cache
def _library() -> tuple[Any, type[Exception]]:
    """(message class, its error), loaded with the first export: who sends none does not pay 9 MB for it."""
    service = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    return service.ExportTraceServiceRequest, import_module("google.protobuf.message").DecodeError


def spans(data: bytes) -> Iterator[Found]:
    """Every span of an ExportTraceServiceRequest (TracesData is spelt the same). Raises Unreadable."""
    message, refused = _library()
    try:
        request = message.FromString(data)
    except refused:
        yield from _walked(data)
        return
    for resource_spans in request.resource_spans:
        resource = attributes(resource_spans.resource.attributes)[0]
        for scope_spans in resource_spans.scope_spans:
            scope = _scope(scope_spans.scope)
            for span in scope_spans.spans:
                yield resource, scope, _span(span)


def attributes(pairs: Any) -> tuple[Values, int]:
    """(values by key, how many were left out)."""
    number = len(pairs)
    if number > MAX_ATTRIBUTES:
        pairs = pairs[:MAX_ATTRIBUTES]
    return {pair.key: _value(pair.value) for pair in pairs}, max(0, number - MAX_ATTRIBUTES)


def _scope(scope: Any) -> Values:
    found = {"name": scope.name, "version": scope.version, "attributes": attributes(scope.attributes)[0]}
    return {key: value for key, value in found.items() if value}


def _span(span: Any) -> Values:
    return {
        "traceId": span.trace_id, "spanId": span.span_id, "parentSpanId": span.parent_span_id, "name": span.name,
        "kind": span.kind or None, "startTimeUnixNano": span.start_time_unix_nano or None,
        "endTimeUnixNano": span.end_time_unix_nano or None, "traceState": span.trace_state,
        "status": {"code": span.status.code or None, "message": span.status.message},
        "attributes": attributes(span.attributes),
        "events": [
            {"name": e.name, "timeUnixNano": e.time_unix_nano or None, "attributes": attributes(e.attributes)}
            for e in span.events
        ],
        "links": [
            {"traceId": e.trace_id, "spanId": e.span_id, "attributes": attributes(e.attributes)} for e in span.links
        ],
        "droppedAttributesCount": span.dropped_attributes_count, "droppedEventsCount": span.dropped_events_count,
        "droppedLinksCount": span.dropped_links_count,
    }  # fmt: skip


def _value(value: Any, depth: int = 0) -> Any:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind is None:
        return None
    if kind in _NESTED:
        return TOO_DEEP if depth >= MAX_DEPTH else _NESTED[kind](value, depth + 1)
    found = getattr(value, kind)
    return _scalar(found) if kind in ("double_value", "bytes_value") else found


_NESTED: Final[Mapping[str, Callable[[Any, int], Any]]] = {
    "array_value": lambda value, depth: [_value(item, depth) for item in value.array_value.values],
    "kvlist_value": lambda value, depth: {
        item.key: _value(item.value, depth) for item in value.kvlist_value.values
    },
}  # fmt: skip


def _scalar(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if math.isfinite(value) else str(value)


# --- the wire format itself -------------------------------------------------------------------------------------------

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) one after the other. Raises Unreadable where a frame is broken."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _LENGTH:
            length, position = _varint(data, position)
        if length is None or position + length > len(data):
            raise Unreadable("the protobuf message ends too early or is none")
        piece = data[position : position + length]
        yield tag >> 3, piece if wire == _LENGTH else int.from_bytes(piece, "little")
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
    raise Unreadable("the protobuf message ends too early or is none")


def _walked(data: bytes) -> Iterator[Found]:
    """As `spans`, for a message the library refuses. A span whose frames are broken is given as {}."""
    for number, resource_spans in list(fields(data)):
        if number != 1 or not isinstance(resource_spans, bytes):
            continue
        parts = _parts(resource_spans)
        resource = _pairs(_submessages(_parts(_last(parts, 1)), 1))[0]
        for scope_spans in _submessages(parts, 2):
            inside = _parts(scope_spans)
            scope = _walked_scope(_parts(_last(inside, 1)))
            for span in _submessages(inside, 2):
                yield resource, scope, _walked_span(span)


Parts = dict[int, list[int | bytes]]


def _parts(data: bytes) -> Parts:
    """The fields as far as they can be told apart."""
    found: Parts = {}
    try:
        for number, value in fields(data):
            found.setdefault(number, []).append(value)
    except Unreadable:
        pass
    return found


def _submessages(parts: Parts, number: int) -> list[bytes]:
    return [value for value in parts.get(number, ()) if isinstance(value, bytes)]


def _last(parts: Parts, number: int) -> bytes:
    return (_submessages(parts, number) or [b""])[-1]


def _text(parts: Parts, number: int) -> str:
    return _last(parts, number).decode("utf-8", "replace")


def _number(parts: Parts, number: int) -> int | None:
    return next((value for value in reversed(parts.get(number, ())) if isinstance(value, int) and value), None)


def _walked_scope(parts: Parts) -> Values:
    found = {"name": _text(parts, 1), "version": _text(parts, 2), "attributes": _pairs(_submessages(parts, 3))[0]}
    return {key: value for key, value in found.items() if value}


def _walked_span(data: bytes) -> Values:
    parts = _parts(data)
    status = _parts(_last(parts, 15))
    return {
        "traceId": _last(parts, 1), "spanId": _last(parts, 2), "traceState": _text(parts, 3),
        "parentSpanId": _last(parts, 4), "name": _text(parts, 5), "kind": _number(parts, 6),
        "startTimeUnixNano": _number(parts, 7), "endTimeUnixNano": _number(parts, 8),
        "attributes": _pairs(_submessages(parts, 9)), "droppedAttributesCount": _number(parts, 10),
        "events": [
            {"timeUnixNano": _number(e, 1), "name": _text(e, 2), "attributes": _pairs(_submessages(e, 3))}
            for e in map(_parts, _submessages(parts, 11))
        ],
        "droppedEventsCount": _number(parts, 12),
        "links": [
            {"traceId": _last(e, 1), "spanId": _last(e, 2), "attributes": _pairs(_submessages(e, 4))}
            for e in map(_parts, _submessages(parts, 13))
        ],
        "droppedLinksCount": _number(parts, 14),
        "status": {"message": _text(status, 2), "code": _number(status, 3)} if status else None,
    } if parts else {}  # fmt: skip


def _pairs(messages: list[bytes]) -> tuple[Values, int]:
    found = {}
    for message in messages[:MAX_ATTRIBUTES]:
        parts = _parts(message)
        found[_text(parts, 1)] = _walked_value(_last(parts, 2), 0)
    return found, max(0, len(messages) - MAX_ATTRIBUTES)


def _walked_value(data: bytes, depth: int) -> Any:
    """AnyValue: 1 text, 2 bool, 3 int, 4 double, 5 array, 6 key-values, 7 bytes."""
    parts = _parts(data)
    if not parts:
        return None
    number = max(parts)
    value = parts[number][-1]
    if isinstance(value, int):
        return _walked_number(number, value)
    if number == 7:
        return base64.b64encode(value).decode()
    if number not in (5, 6):
        return value.decode("utf-8", "replace")
    if depth >= MAX_DEPTH:
        return TOO_DEEP
    items = _submessages(_parts(value), 1)
    if number == 5:
        return [_walked_value(item, depth + 1) for item in items]
    pairs = map(_parts, items)
    return {_text(pair, 1): _walked_value(_last(pair, 2), depth + 1) for pair in pairs}


def _walked_number(number: int, value: int) -> Any:
    if number == 2:
        return bool(value)
    if number == 4:
        return _scalar(struct.unpack("<d", value.to_bytes(8, "little"))[0])
    return value - 2**64 if value >= 2**63 else value
