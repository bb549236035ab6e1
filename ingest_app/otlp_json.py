"""OTLP/JSON taken apart: what `ingest_app/otlp_protobuf.py` answers, for the other encoding.

Ids may be hex or base64, names may be protobuf's own, lists may be missing or of another kind: exporters differ.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from ingest_app.otlp_document import Document, any_value, json_attributes, shared, slim
from lib import loose_json

MAX_VALUES: Final = 3_000_000
"""Values of one export, by its commas and brackets: as objects they take some 250 MB."""
Values = Mapping[str, Any]
Found = tuple[Document, Document, Values]
"""(resource attributes, scope, span or log record by OTLP/JSON's names)."""


class Unreadable(ValueError):
    """The body is no OTLP export. The text says why."""


def spans(body: bytes) -> Iterator[Found]:
    """Every span of an ExportTraceServiceRequest. Raises Unreadable."""
    return _inside(body, ("resourceSpans", "scopeSpans", "spans"))


def log_records(body: bytes) -> Iterator[Found]:
    """Every record of an ExportLogsServiceRequest, its body a JSON value. Raises Unreadable."""
    for resource, scope, record in _inside(body, ("resourceLogs", "scopeLogs", "logRecords")):
        yield resource, scope, {**record, "body": any_value(record.get("body"))}


def _inside(body: bytes, names: tuple[str, str, str]) -> Iterator[Found]:
    outer, middle, inner = names
    lists = _either(_mapping(_loaded(body)), outer)
    if not isinstance(lists, list):
        raise Unreadable(f"it has no {outer}")
    for outermost in map(_mapping, lists):
        resource = shared(json_attributes(_mapping(outermost.get("resource")).get("attributes"))[0])
        for around in map(_mapping, _list(_either(outermost, middle, "instrumentationLibrarySpans"))):
            scope = shared(_scope(around.get("scope", around.get("instrumentationLibrary"))))
            for one in _list(_either(around, inner)):
                yield resource, scope, _camel(_mapping(one))


def _loaded(body: bytes) -> Any:
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise Unreadable(f"it has more than {MAX_VALUES} values: send smaller batches")
    try:
        return loose_json.loads(body)[0]
    except ValueError as error:
        raise Unreadable(f"it is not valid JSON: {error}") from None


def _either(value: Values, *names: str) -> Any:
    """What stands under one of the names, or under its spelling in protobuf."""
    for name in names:
        for spelling in (name, _snaked(name)):
            if spelling in value:
                return value[spelling]
    return None


@cache
def _snaked(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _scope(value: Any) -> Document:
    scope = _mapping(value)
    return slim({
        "name": any_value(scope.get("name")), "version": any_value(scope.get("version")),
        "attributes": json_attributes(scope.get("attributes"))[0],
    })


def _camel(value: Values) -> Values:
    """The span by OTLP/JSON's names; some libraries write protobuf's own."""
    if not any("_" in key for key in value):
        return value
    return {_camelled(key): one for key, one in value.items()}


def _camelled(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(word.title() for word in others)


def _mapping(value: Any) -> Values:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
