"""A span as one JSON document, whatever encoding it came in: what is kept of it, and what every reader gets.

    {"v": 1, "trace_id", "span_id", "parent_span_id", "name", "kind": int, "start_ns": int, "end_ns": int,
     "status": {"code": 0 | 1 | 2, "message"}, "attributes": {key: value}, "scope": {"name", "version", "attributes"},
     "resource": {key: value}, "events": [{"name", "time_ns", "attributes"}],
     "links": [{"trace_id", "span_id", "attributes"}], "trace_state", "dropped": {what: how many}}

Ids are lower-case hex; what is empty is left out. Values are JSON's own, bytes stand as base64 text.
https://github.com/open-telemetry/opentelemetry-proto (opentelemetry/proto/trace/v1/trace.proto)
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

import orjson

VERSION: Final = 1
CONTENT_TYPE: Final = "application/vnd.otlp.span+json"
MAX_DEPTH: Final = 32
MAX_ATTRIBUTES, MAX_EVENTS, MAX_LINKS = 4096, 1024, 1024
"""Eight times what the SDKs themselves keep; the rest is counted under `dropped`."""
MAX_SHARED_BYTES: Final = 32 * 1024
"""Of a resource or scope, which every one of its spans repeats."""
TOO_DEEP: Final = "[nested too deeply]"

Document = dict[str, Any]
Values = Mapping[str, Any]

_KINDS: Final = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_CODES: Final = ("UNSET", "OK", "ERROR")
_HEX: Final = re.compile(r"[0-9a-fA-F]+")


def document(
    span: Values, *, resource: Values, scope: Values, attributes: Callable[[Any], tuple[dict[str, Any], int]]
) -> Document:
    """The document of one span whose fields go by OTLP/JSON's names; `attributes` reads a list of key-values."""
    dropped: dict[str, int] = {}
    found: Document = {
        "v": VERSION,
        "trace_id": identifier(span.get("traceId"), 16), "span_id": identifier(span.get("spanId"), 8),
        "parent_span_id": identifier(span.get("parentSpanId"), 8),
        "name": text(span.get("name")), "kind": _enumerated(span.get("kind"), "SPAN_KIND_", _KINDS),
        "start_ns": whole(span.get("startTimeUnixNano")), "end_ns": whole(span.get("endTimeUnixNano")),
        "status": _status(span.get("status")),
        "attributes": _counted(attributes(span.get("attributes")), "attributes", dropped),
        "events": _listed(span.get("events"), MAX_EVENTS, "events", dropped, lambda e: {
            "name": text(e.get("name")), "time_ns": whole(e.get("timeUnixNano")),
            "attributes": attributes(e.get("attributes"))[0],
        }),
        "links": _listed(span.get("links"), MAX_LINKS, "links", dropped, lambda e: {
            "trace_id": identifier(e.get("traceId"), 16), "span_id": identifier(e.get("spanId"), 8),
            "attributes": attributes(e.get("attributes"))[0],
        }),
        "scope": scope, "resource": resource, "trace_state": text(span.get("traceState")),
    }  # fmt: skip
    for what in ("Attributes", "Events", "Links"):
        _count(dropped, what.lower(), whole(span.get(f"dropped{what}Count")) or 0)
    _count(dropped, "unread", whole(span.get("unread")) or 0)
    return slim({**found, "dropped": dropped})


def shared(values: Values) -> dict[str, Any]:
    """A resource or scope as far as it is short enough to stand in each of its spans: in order, whole values only."""
    found: dict[str, Any] = {}
    room = MAX_SHARED_BYTES
    for key, value in values.items():
        room -= len(key) + (len(value) if isinstance(value, str) else len(_dumped(value)))
        if room < 0:
            found["(more)"] = f"{len(values) - len(found)} left out: longer than {MAX_SHARED_BYTES} bytes"
            break
        found[key] = value
    return found


def _dumped(value: Any) -> bytes:
    return orjson.dumps(value, default=str)


def slim(value: Values) -> Document:
    """The mapping without what says nothing; 0 and false do say something."""
    return {key: one for key, one in value.items() if one is not None and one != "" and one != {} and one != []}


def _counted(read: tuple[dict[str, Any], int], what: str, dropped: dict[str, int]) -> dict[str, Any]:
    _count(dropped, what, read[1])
    return read[0]


def _count(dropped: dict[str, int], what: str, number: int) -> None:
    if number > 0:
        dropped[what] = dropped.get(what, 0) + number


def _listed(
    value: Any, limit: int, what: str, dropped: dict[str, int], read: Callable[[Values], Document]
) -> list[Document]:
    if not isinstance(value, list):
        return []
    _count(dropped, what, len(value) - limit)
    return [slim(read(item)) for item in value[:limit] if isinstance(item, Mapping)]


def _status(value: Any) -> Document:
    if not isinstance(value, Mapping):
        return {}
    return slim({"code": _enumerated(value.get("code"), "STATUS_CODE_", _CODES), "message": text(value.get("message"))})


def _enumerated(value: Any, prefix: str, names: tuple[str, ...]) -> int | None:
    if isinstance(value, str) and (name := value.upper().removeprefix(prefix)) in names:
        return names.index(name)
    number = whole(value)
    return number if number is not None and 0 <= number < len(names) else None


# --- values -----------------------------------------------------------------------------------------------------------


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def whole(value: Any) -> int | None:
    """A whole number that 64 bits hold; JSON sends them as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value) if not isinstance(value, str) else int(value[:24])
    except (ValueError, OverflowError):
        return None
    return number if -(2**63) <= number < 2**64 else None


def identifier(value: Any, size: int) -> str:
    """An id as lower-case hex; '' for none, zeroes, or what is no id. JSON libraries also send base64."""
    if isinstance(value, bytes):
        found = value.hex() if len(value) == size else ""
    elif not isinstance(value, str):
        return ""
    elif len(value) == size * 2 and _HEX.fullmatch(value):
        found = value.lower()
    else:
        found = _of_base64(value, size)
    return "" if found.strip("0") == "" else found


def _of_base64(value: str, size: int) -> str:
    if len(value) > size * 2:
        return ""
    try:
        raw = base64.b64decode(value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if len(raw) == size else ""


# --- attributes as OTLP/JSON sends them -------------------------------------------------------------------------------


def json_attributes(value: Any) -> tuple[dict[str, Any], int]:
    """(values by key, how many were left out) of a list of key-values, or of an object some exporters send."""
    left_out = max(0, len(value) - MAX_ATTRIBUTES) if isinstance(value, Mapping | list) else 0
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in islice(value.items(), MAX_ATTRIBUTES)}, left_out
    if not isinstance(value, list):
        return {}, 0
    return {
        item["key"]: any_value(item.get("value"))
        for item in islice(value, MAX_ATTRIBUTES)
        if isinstance(item, Mapping) and isinstance(item.get("key"), str)
    }, left_out


def any_value(value: Any, depth: int = 0) -> Any:
    """An AnyValue as a JSON value; what is no AnyValue stands for itself."""
    if not isinstance(value, Mapping):
        return plain(value, depth)
    if depth >= MAX_DEPTH:
        return TOO_DEEP
    for name, read in _READERS.items():
        if name in value:
            return read(value[name], depth + 1)
    return plain(value, depth) if value else None


def plain(value: Any, depth: int = 0) -> Any:
    """A JSON value no deeper than is kept."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if not isinstance(value, Mapping | list):
        return value
    if depth >= MAX_DEPTH:
        return TOO_DEEP
    if isinstance(value, list):
        return [plain(item, depth + 1) for item in value]
    return {str(key): plain(item, depth + 1) for key, item in value.items()}


def _array(value: Any, depth: int) -> list[Any]:
    items = value.get("values") if isinstance(value, Mapping) else value
    return [any_value(item, depth) for item in items] if isinstance(items, list) else []


def _fields(value: Any, depth: int) -> dict[str, Any]:
    items = value.get("values") if isinstance(value, Mapping) else value
    if not isinstance(items, list):
        return {}
    return {
        item["key"]: any_value(item.get("value"), depth)
        for item in items
        if isinstance(item, Mapping) and isinstance(item.get("key"), str)
    }


def _integer(value: Any, depth: int) -> Any:
    number = whole(value)
    return plain(value, depth) if number is None else number


def _double(value: Any, depth: int) -> Any:
    """JSON has no infinities: they are sent as text, and stay text."""
    try:
        return plain(float(value), depth) if isinstance(value, str) else plain(value, depth)
    except ValueError:
        return value


_READERS: Final[Mapping[str, Callable[[Any, int], Any]]] = {
    "stringValue": plain, "string_value": plain, "intValue": _integer, "int_value": _integer,
    "doubleValue": _double, "double_value": _double, "boolValue": plain, "bool_value": plain,
    "arrayValue": _array, "array_value": _array, "kvlistValue": _fields, "kvlist_value": _fields,
    "bytesValue": plain, "bytes_value": plain,
}  # fmt: skip
