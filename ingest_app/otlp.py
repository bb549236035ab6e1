"""OTLP traces: an export taken apart into spans, each an exchange whose request is the span's document.

What of an export cannot be read is refused span by span (`partialSuccess`), never the good ones beside it.
https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from ingest_app import otlp_protobuf
from ingest_app.otlp_document import CONTENT_TYPE, Document, any_value, document, json_attributes, slim
from ingest_app.posting import NotAccepted, Posting
from lib import loose_json
from lib.clock import from_microseconds, uuid7
from llm.exchange import Attribution, Body, Exchange, Problem

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PATHS: Final = ("/v1/traces", "/v1/trace/log", "/v1/trace/log-python", "/api/public/otel/v1/traces")
LONGEST_MS: Final = 2**31 - 1
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Export:
    """What was in one post."""

    spans: tuple[Document, ...]
    rejected: int
    """Spans of which nothing could be read."""

    @property
    def reason(self) -> str:
        return "A span needs a name, an id or a time; these have none." if self.rejected else ""


def is_protobuf(headers: Mapping[str, str]) -> bool:
    return "protobuf" in headers.get("content-type", "")


def read(posting: Posting) -> Export:
    """The spans of an export in either encoding. Raises NotAccepted."""
    spans, rejected = [], 0
    for one in _json(posting.body) if _is_json(posting) else _protobuf(posting.body):
        if one.keys() & {"trace_id", "span_id", "name", "start_ns", "attributes"}:
            spans.append(one)
        else:
            rejected += 1
    return Export(tuple(spans), rejected)


def _is_json(posting: Posting) -> bool:
    """By its content unless the client says protobuf: a resource of 123 bytes begins as an object does, with "\\n{"."""
    return posting.body.lstrip()[:1] == b"{" and (posting.body[:1] == b"{" or not is_protobuf(posting.headers))


def _protobuf(body: bytes) -> Iterator[Document]:
    try:
        for resource, scope, span in otlp_protobuf.spans(body):
            yield document(span, resource=resource, scope=scope, attributes=_as_read)
    except otlp_protobuf.Unreadable as error:
        raise NotAccepted(
            f"The body is no OTLP export: {error}. Post ExportTraceServiceRequest as protobuf or JSON."
        ) from None


def _as_read(value: Any) -> tuple[dict[str, Any], int]:
    return value or ({}, 0)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json(body: bytes) -> Iterator[Document]:
    try:
        export, _ = loose_json.loads(body)
    except ValueError as error:
        raise NotAccepted(f"The body is not valid JSON: {error}. Post ExportTraceServiceRequest.") from None
    lists = export.get("resourceSpans", export.get("resource_spans"))
    if not isinstance(lists, list):
        raise NotAccepted("The body has no resourceSpans. Post ExportTraceServiceRequest.")
    for resource_spans in map(_mapping, lists):
        resource = json_attributes(_mapping(resource_spans.get("resource")).get("attributes"))[0]
        for scope_spans in map(_mapping, _scopes(resource_spans)):
            scope = _scope(scope_spans.get("scope", scope_spans.get("instrumentationLibrary")))
            for span in _list(scope_spans.get("spans")):
                yield document(_camel(_mapping(span)), resource=resource, scope=scope, attributes=json_attributes)


def _scopes(resource_spans: Values) -> list[Any]:
    names = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans")
    return next((value for name in names if isinstance(value := resource_spans.get(name), list)), [])


def _scope(value: Any) -> Document:
    scope = _mapping(value)
    return slim({
        "name": any_value(scope.get("name")), "version": any_value(scope.get("version")),
        "attributes": json_attributes(scope.get("attributes"))[0],
    })


def _camel(span: Values) -> Values:
    """The span by OTLP/JSON's names; some libraries write protobuf's own."""
    if not any("_" in key for key in span):
        return span
    return {_camelled(key): value for key, value in span.items()}


def _camelled(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(word.title() for word in others)


def _mapping(value: Any) -> Values:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# --- from documents to exchanges --------------------------------------------------------------------------------------


def exchange(found: Document, posting: Posting) -> Exchange:
    """The span as a row will hold it. Its time is as told; the door clamps it."""
    problems: list[Problem] = []
    requested_at = _moment(found.get("start_ns") or found.get("end_ns"))
    if requested_at is None:
        problems.append(Problem("time_missing", "the span tells no start; it stands where it arrived"))
    at = requested_at or posting.arrived_at
    data = orjson.dumps(_identified(found, problems), default=str)
    return Exchange(
        id=uuid7(at), organization_id=posting.organization_id, api_key_id=posting.api_key_id, requested_at=at,
        door="otlp", provider="", status=_status(found), method="", duration_ms=_duration_ms(found),
        request=Body(data, CONTENT_TYPE, "", len(data)), attribution=Attribution(),
        trace_id=found["trace_id"], span_id=found["span_id"], parent_span_id=found.get("parent_span_id"),
        problems=tuple(problems),
    )  # fmt: skip


def retold(exchange: Exchange, found: Document) -> Exchange:
    """The exchange with length, status and parent as a merged document tells them."""
    return replace(
        exchange, status=_status(found), duration_ms=_duration_ms(found), parent_span_id=found.get("parent_span_id")
    )


def _identified(found: Document, problems: list[Problem]) -> Document:
    """A span without an id is kept all the same, as one nobody can point at."""
    for name, size in (("trace_id", 16), ("span_id", 8)):
        if not found.get(name):
            problems.append(Problem("span_id_missing", name))
            found[name] = os.urandom(size).hex()
    return found


def _moment(nanoseconds: int | None) -> datetime | None:
    if not nanoseconds or nanoseconds < 0:
        return None
    try:
        return from_microseconds(nanoseconds // 1000)
    except OverflowError:
        return None


def _duration_ms(found: Document) -> int | None:
    start, end = found.get("start_ns"), found.get("end_ns")
    if start is None or end is None or end < start:
        return None
    return int(min(round((end - start) / 1e6), LONGEST_MS))


_STATUS_KEYS: Final = ("http.response.status_code", "http.status_code", "error.type")
_ERROR: Final = 2


def _status(found: Document) -> int:
    """HTTP's where the span tells it; else 500 for a failed span and 200 for any other."""
    attributes = found.get("attributes", {})
    is_failed = found.get("status", {}).get("code") == _ERROR
    for key in _STATUS_KEYS:
        code = str(attributes.get(key, ""))
        if len(code) == 3 and code.isdigit() and 100 <= int(code) < 600 and (is_failed or int(code) < 400):
            return int(code)
    return 500 if is_failed else 200


# --- answers ----------------------------------------------------------------------------------------------------------


def answer(export: Export, *, is_protobuf: bool) -> bytes:
    """ExportTraceServiceResponse in the client's encoding; empty where everything was taken."""
    if not is_protobuf:
        partial = {"rejectedSpans": str(export.rejected), "errorMessage": export.reason} if export.rejected else {}
        return orjson.dumps({"partialSuccess": partial})
    if not export.rejected:
        return b""
    message = export.reason.encode()
    partial_bytes = b"\x08" + _varint(export.rejected) + b"\x12" + _varint(len(message)) + message
    return b"\x0a" + _varint(len(partial_bytes)) + partial_bytes


_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 415: 3, 503: 14}
"""google.rpc's codes for HTTP's."""


def status(http_status: int, sentence: str) -> bytes:
    """An error as google.rpc.Status, which is what OTLP's clients read: {1: code, 2: message}."""
    message = sentence.encode()
    return b"\x08" + _varint(_CODES.get(http_status, 2)) + b"\x12" + _varint(len(message)) + message


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
