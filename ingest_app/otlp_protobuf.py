"""OTLP's protobuf. The frames around spans are walked here, one span at a time is read by Google's library.

So one string that is no UTF-8 costs itself and not the export, and ten million empty messages never become ten million
objects: a span that is large, or that the library refuses, is walked too, and everything walked is counted first. A
message is a sequence of (field number, wire type, value). https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import base64
import math
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from ingest_app.otlp_document import MAX_ATTRIBUTES, MAX_DEPTH, MAX_EVENTS, MAX_LINKS, TOO_DEEP, shared

Values = dict[str, Any]
Found = tuple[Values, Values, Values]
"""(resource attributes, scope, span or log record): the last by OTLP/JSON's names, attributes read already."""
Refused = str
"""Why something inside an export was not read."""

MAX_PARTS: Final = 2_000_000
"""Fields of one export that are looked at: a second's work. SDKs send some twenty thousand."""
MAX_PARTS_OF_ONE: Final = 1_200_000
"""Of these, one span's; what comes behind is not read, and the next span is."""
MAX_FOR_LIBRARY: Final = 32 * 1024
"""Bytes of a span up to which even one of nothing but empty messages is small as objects."""
UNREADABLE: Final = "its protobuf is broken"
TOO_MANY: Final = f"the export has more than {MAX_PARTS} fields: send smaller batches"

# ValueError
#   └ Unreadable   the frames of a message can no longer be told apart
#       └ TooMany  more of them than are looked at


class Unreadable(ValueError):
    """The bytes are no protobuf message."""


class TooMany(Unreadable):
    """The allowance is used up."""


@cache
def _library() -> tuple[Any, type[Exception]]:
    """(message class, its error), loaded with the first export: who sends none does not pay 9 MB for it."""
    trace = import_module("opentelemetry.proto.trace.v1.trace_pb2")
    return trace.Span, import_module("google.protobuf.message").DecodeError


def spans(data: bytes) -> Iterator[Found | Refused]:
    """Every span of an ExportTraceServiceRequest (TracesData is spelt the same). Raises Unreadable if it is none."""
    return _inside(Wire(data), _span)


def log_records(data: bytes) -> Iterator[Found | Refused]:
    """Every record of an ExportLogsServiceRequest. Raises Unreadable if it is none."""
    return _inside(Wire(data), _walked_record)


# --- one span, by the library -----------------------------------------------------------------------------------------


def _span(wire: Wire, at: int, end: int) -> Values:
    if end - at <= MAX_FOR_LIBRARY:
        message, refused = _library()
        try:
            return _read(message.FromString(wire.data[at:end]))
        except refused:
            pass
    return _walked_span(wire, at, end)


def _read(span: Any) -> Values:
    return {
        "traceId": span.trace_id, "spanId": span.span_id, "parentSpanId": span.parent_span_id, "name": span.name,
        "kind": span.kind or None, "startTimeUnixNano": span.start_time_unix_nano or None,
        "endTimeUnixNano": span.end_time_unix_nano or None, "traceState": span.trace_state,
        "status": {"code": span.status.code or None, "message": span.status.message},
        "attributes": _attributes(span.attributes),
        "events": [
            {"name": e.name, "timeUnixNano": e.time_unix_nano or None, "attributes": _attributes(e.attributes)}
            for e in _some(span.events, MAX_EVENTS)
        ],
        "links": [
            {"traceId": e.trace_id, "spanId": e.span_id, "attributes": _attributes(e.attributes)}
            for e in _some(span.links, MAX_LINKS)
        ],
        "droppedAttributesCount": span.dropped_attributes_count,
        "droppedEventsCount": span.dropped_events_count + max(0, len(span.events) - MAX_EVENTS),
        "droppedLinksCount": span.dropped_links_count + max(0, len(span.links) - MAX_LINKS),
    }  # fmt: skip


def _some(messages: Any, most: int) -> Any:
    return messages[:most] if len(messages) > most else messages


def _attributes(pairs: Any) -> tuple[Values, int]:
    """(values by key, how many were left out)."""
    found = {pair.key: _value(pair.value) for pair in _some(pairs, MAX_ATTRIBUTES)}
    return found, max(0, len(pairs) - MAX_ATTRIBUTES)


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
_WIDTHS: Final = {_FIXED64: 8, _FIXED32: 4}
_NUMBER: Final = -1
Field = tuple[int, int, int]
"""(field number, value, -1), or (field number, start, end) of what has a length."""


class Wire:
    """The bytes of an export, and how many fields of it may still be looked at."""

    __slots__ = ("data", "left")

    def __init__(self, data: bytes, left: int = MAX_PARTS) -> None:
        self.data, self.left = data, left

    def fields(self, at: int, end: int) -> Iterator[Field]:
        """One after the other. Raises Unreadable where a frame is broken, TooMany where the allowance ends."""
        while at < end:
            if self.left <= 0:
                raise TooMany(TOO_MANY)
            self.left -= 1
            tag, at = self._varint(at, end)
            wire = tag & 7
            if wire == _VARINT:
                value, at = self._varint(at, end)
                yield tag >> 3, value, _NUMBER
                continue
            size = _WIDTHS.get(wire)
            if wire == _LENGTH:
                size, at = self._varint(at, end)
            if size is None or at + size > end:
                raise Unreadable("the protobuf message ends too early or is none")
            stop = at + size
            if wire == _LENGTH:
                yield tag >> 3, at, stop
            else:
                yield tag >> 3, int.from_bytes(self.data[at:stop], "little"), _NUMBER
            at = stop

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        data = self.data
        if at < end and data[at] < 0x80:
            return data[at], at + 1
        value = shift = 0
        while at < end and shift < 70:
            byte = data[at]
            value |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                return value, at
            shift += 7
        raise Unreadable("the protobuf message ends too early or is none")

    def some(self, at: int, end: int) -> Iterator[Field]:
        """The fields as far as they can be told apart and the allowance goes."""
        try:
            yield from self.fields(at, end)
        except Unreadable:
            return

    def text(self, at: int, end: int) -> str:
        return self.data[at:end].decode("utf-8", "replace")


def _inside(wire: Wire, read: Callable[[Wire, int, int], Values]) -> Iterator[Found | Refused]:
    """Every span or record: {1: {1: resource, 2: {1: scope, 2: span}}}, the outer three repeated."""
    count = 0
    try:
        for number, at, end in wire.fields(0, len(wire.data)):
            if number == 1 and end != _NUMBER:
                for found in _in_resource(wire, (at, end), read):
                    count += 1
                    yield found
    except Unreadable as error:
        if not count and not isinstance(error, TooMany):
            raise
        yield _reason(error)


def _in_resource(
    wire: Wire, place: tuple[int, int], read: Callable[[Wire, int, int], Values]
) -> Iterator[Found | Refused]:
    resource = shared(_of(wire, _first(wire, place), 1))
    for scope_spans in _each(wire, place):
        if isinstance(scope_spans, Refused):
            yield scope_spans
            continue
        scope = shared(_scope(wire, _first(wire, scope_spans)))
        for place_of_one in _each(wire, scope_spans):
            yield place_of_one if isinstance(place_of_one, Refused) else _one(wire, place_of_one, read, resource, scope)


def _one(
    wire: Wire, place: tuple[int, int], read: Callable[[Wire, int, int], Values], resource: Values, scope: Values
) -> Found | Refused:
    """Read within its own allowance: what one uses beyond it is not the others'."""
    kept = max(0, wire.left - MAX_PARTS_OF_ONE)
    wire.left -= kept
    found = read(wire, *place)
    is_over = wire.left <= 0
    wire.left += kept
    if is_over and found:
        found["unread"] = 1
    return resource, scope, found


def _first(wire: Wire, place: tuple[int, int]) -> tuple[int, int]:
    """Of field 1, wherever it stands; an empty place where it does not."""
    found = (0, 0)
    for number, at, end in wire.some(*place):
        if number == 1 and end != _NUMBER:
            found = (at, end)
    return found


def _each(wire: Wire, place: tuple[int, int]) -> Iterator[tuple[int, int] | Refused]:
    """The places of field 2; in the end why there may be more, where one of them is broken."""
    try:
        for number, at, end in wire.fields(*place):
            if number == 2 and end != _NUMBER:
                yield at, end
    except TooMany:
        raise
    except Unreadable as error:
        yield _reason(error)


def _reason(error: Unreadable) -> Refused:
    return TOO_MANY if isinstance(error, TooMany) else UNREADABLE


def _scope(wire: Wire, place: tuple[int, int]) -> Values:
    fields = list(wire.some(*place))
    texts = {number: wire.text(at, end) for number, at, end in fields if number in (1, 2) and end != _NUMBER}
    found = {"name": texts.get(1, ""), "version": texts.get(2, ""), "attributes": _pairs(wire, fields, 3)[0]}
    return {key: value for key, value in found.items() if value}


# --- one span or record, walked ---------------------------------------------------------------------------------------

_SPAN: Final = {
    1: "traceId", 2: "spanId", 3: "traceState", 4: "parentSpanId", 5: "name", 6: "kind", 7: "startTimeUnixNano",
    8: "endTimeUnixNano", 9: "attributes", 10: "droppedAttributesCount", 11: "events", 12: "droppedEventsCount",
    13: "links", 14: "droppedLinksCount", 15: "status",
}  # fmt: skip
_EVENT: Final = {1: "timeUnixNano", 2: "name", 3: "attributes"}
_LINK: Final = {1: "traceId", 2: "spanId", 4: "attributes"}
_STATUS: Final = {2: "message", 3: "code"}
_RECORD: Final = {
    1: "timeUnixNano", 5: "body", 6: "attributes", 9: "traceId", 10: "spanId", 11: "observedTimeUnixNano",
    12: "eventName",
}  # fmt: skip
_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId"})
_TEXTS: Final = frozenset({"traceState", "name", "message", "eventName"})


def _walked_span(wire: Wire, at: int, end: int) -> Values:
    found = _message(wire, (at, end), _SPAN)
    if not found:
        return {}
    if status := found.get("status"):
        found["status"] = _message(wire, status[0], _STATUS)
    for name, names, most in (("events", _EVENT, MAX_EVENTS), ("links", _LINK, MAX_LINKS)):
        places, left_out = found.get(name, []), found.pop(f"more {name}", 0)
        found[name] = [_message(wire, place, names) for place in places[:most]]
        if left_out:
            counter = f"dropped{name.title()}Count"
            found[counter] = found.get(counter, 0) + left_out
    return found


def _walked_record(wire: Wire, at: int, end: int) -> Values:
    return _message(wire, (at, end), _RECORD)


_MOST: Final = {"events": MAX_EVENTS, "links": MAX_LINKS, "attributes": MAX_ATTRIBUTES, "status": 1}


def _message(wire: Wire, place: tuple[int, int], names: Mapping[int, str]) -> Values:
    """A message's fields by name: of repeated ones the places, and under "more <name>" how many were passed over."""
    found: Values = {}
    for number, at, end in wire.some(*place):
        name = names.get(number)
        if name is None:
            continue
        if name in _MOST:
            if end != _NUMBER:
                _collect(found, name, (at, end))
        elif end == _NUMBER:
            if name not in _TEXTS and name not in _IDS:
                found[name] = at or None
        elif name in _TEXTS:
            found[name] = wire.text(at, end)
        else:
            found[name] = wire.data[at:end] if name in _IDS else _walked_value(wire, (at, end), 0)
    if "attributes" in found:
        pairs: Values = {}
        for pair in found["attributes"]:
            _add_pair(wire, pair, 0, pairs)
        found["attributes"] = (pairs, found.pop("more attributes", 0))
    return found


def _collect(found: Values, name: str, place: tuple[int, int]) -> None:
    places = found.setdefault(name, [])
    if name == "status":
        places[:] = [place]
    elif len(places) < _MOST[name]:
        places.append(place)
    else:
        found[f"more {name}"] = found.get(f"more {name}", 0) + 1


def _of(wire: Wire, place: tuple[int, int], number: int) -> Values:
    return _pairs(wire, wire.some(*place), number)[0]


def _pairs(wire: Wire, fields: Iterable[Field], wanted: int) -> tuple[Values, int]:
    found: Values = {}
    count = 0
    for number, at, end in fields:
        if number == wanted and end != _NUMBER:
            count += 1
            if count <= MAX_ATTRIBUTES:
                _add_pair(wire, (at, end), 0, found)
    return found, max(0, count - MAX_ATTRIBUTES)


def _add_pair(wire: Wire, place: tuple[int, int], depth: int, found: Values) -> None:
    key, value = "", None
    for number, at, end in wire.some(*place):
        if end != _NUMBER and number == 1:
            key = wire.text(at, end)
        elif end != _NUMBER and number == 2:
            value = _walked_value(wire, (at, end), depth)
    found[key] = value


def _walked_value(wire: Wire, place: tuple[int, int], depth: int) -> Any:
    """AnyValue: 1 text, 2 bool, 3 int, 4 double, 5 array, 6 key-values, 7 bytes."""
    last = deque(wire.some(*place), maxlen=1)
    if not last:
        return None
    number, at, end = last[0]
    if end == _NUMBER:
        return _walked_number(number, at)
    if number == 7:
        return base64.b64encode(wire.data[at:end]).decode()
    if number not in (5, 6):
        return wire.text(at, end)
    if depth >= MAX_DEPTH:
        return TOO_DEEP
    items = (item[1:] for item in wire.some(at, end) if item[0] == 1 and item[2] != _NUMBER)
    if number == 5:
        return [_walked_value(wire, item, depth + 1) for item in items]
    inner: Values = {}
    for item in items:
        _add_pair(wire, item, depth + 1, inner)
    return inner


def _walked_number(number: int, value: int) -> Any:
    if number == 2:
        return bool(value)
    if number == 4:
        return _scalar(struct.unpack("<d", (value & (2**64 - 1)).to_bytes(8, "little"))[0])
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value
