"""OTLP: an export taken apart into spans, each an exchange whose request is the span's document.

What of an export cannot be read is refused span by span (`partialSuccess`), never the good ones beside it.
https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Final

import orjson

from ingest_app import otlp_json, otlp_logs, otlp_protobuf
from ingest_app.otlp_document import CONTENT_TYPE, Document, document, json_attributes
from ingest_app.otlp_secrets import without_secrets
from ingest_app.posting import NotAccepted, Posting
from lib.clock import from_microseconds, uuid7
from lib.frozen import dataclass, replace
from llm.exchange import Attribution, Body, Exchange, Problem

PROTOBUF, JSON = "application/x-protobuf", "application/json"
TRACE_PATHS: Final = ("/v1/traces", "/v1/trace/log", "/v1/trace/log-python", "/api/public/otel/v1/traces")
LOG_PATHS: Final = ("/v1/logs", "/api/public/otel/v1/logs")
METRIC_PATHS: Final = ("/v1/metrics", "/api/public/otel/v1/metrics")
PATHS: Final = (*TRACE_PATHS, *LOG_PATHS, *METRIC_PATHS)
LONGEST_MS: Final = 2**31 - 1
SAYS_NOTHING: Final = "a span needs a name, an id or a time, and has none"
SPAN_REFUSED: Final = "span_refused"
METRICS_NOT_KEPT: Final = "metrics_not_kept"
"""Drop reasons, beside `otlp_logs.NOT_KEPT`."""


@dataclass(slots=True)
class Account:
    """What of an export is not kept."""

    refused: Counter[str] = field(default_factory=Counter)
    """Spans by why; their client is told."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Everything by drop reason, what nobody asked us to keep among it."""

    def refuse(self, reason: str) -> None:
        self.refused[reason] += 1
        self.dropped[SPAN_REFUSED] += 1


def is_protobuf(headers: Mapping[str, str]) -> bool:
    return "protobuf" in headers.get("content-type", "")


def documents(posting: Posting, account: Account) -> Iterator[Document]:
    """The spans of an export in either encoding, one after the other. Raises NotAccepted before the first."""
    is_log = posting.path in LOG_PATHS
    try:
        for one in _json(posting.body, is_log=is_log) if _is_json(posting) else _protobuf(posting.body, is_log=is_log):
            if isinstance(one, str):
                account.refuse(one)
            elif one is None:
                account.dropped[otlp_logs.NOT_KEPT] += 1
            elif one.keys() & {"trace_id", "span_id", "name", "start_ns", "attributes"}:
                yield one
            else:
                account.refuse(SAYS_NOTHING)
    except (otlp_json.Unreadable, otlp_protobuf.Unreadable) as error:
        name = "ExportLogsServiceRequest" if is_log else "ExportTraceServiceRequest"
        raise NotAccepted(f"The body is no OTLP export: {error}. Post {name} as protobuf or JSON.") from None


def _is_json(posting: Posting) -> bool:
    """By its content unless the client says protobuf: a resource of 123 bytes begins as an object does, with "\\n{"."""
    return posting.body.lstrip()[:1] == b"{" and (posting.body[:1] == b"{" or not is_protobuf(posting.headers))


def _json(body: bytes, *, is_log: bool) -> Iterator[Document | None]:
    found, read = (otlp_json.log_records, otlp_logs.document) if is_log else (otlp_json.spans, document)
    for resource, scope, one in found(body):
        yield read(one, resource=resource, scope=scope, attributes=json_attributes)


def _protobuf(body: bytes, *, is_log: bool) -> Iterator[Document | str | None]:
    """A text stands for what could not be read, and says why."""
    found, read = (otlp_protobuf.log_records, otlp_logs.document) if is_log else (otlp_protobuf.spans, document)
    for said in found(body):
        if isinstance(said, str):
            yield said
        else:
            yield read(said[2], resource=said[0], scope=said[1], attributes=_as_read)


def _as_read(value: Any) -> tuple[dict[str, Any], int]:
    return value or ({}, 0)


# --- from documents to exchanges --------------------------------------------------------------------------------------


def exchange(found: Document, posting: Posting) -> Exchange:
    """The span as a row will hold it. Its time is as told; the door clamps it."""
    problems: list[Problem] = []
    requested_at = _moment(found.get("start_ns") or found.get("end_ns"))
    if requested_at is None:
        requested_at = _moment(next((event.get("time_ns") for event in found.get("events", ())), None))
    if requested_at is None:
        problems.append(Problem("time_missing", "the span tells no start; it stands where it arrived"))
    at = requested_at or posting.arrived_at
    data = without_secrets(orjson.dumps(_identified(found, problems), default=str))
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


def answer(account: Account, path: str, *, is_protobuf: bool) -> bytes:
    """The service's response in the client's encoding; empty where everything was taken."""
    refused = account.refused.total()
    message = "; ".join(f"{count} refused: {reason}" for reason, count in account.refused.most_common(5))
    if not is_protobuf:
        name = "rejectedLogRecords" if path in LOG_PATHS else "rejectedSpans"
        return orjson.dumps({"partialSuccess": {name: str(refused), "errorMessage": message} if refused else {}})
    if not refused:
        return b""
    said = message.encode()
    partial_bytes = b"\x08" + _varint(refused) + b"\x12" + _varint(len(said)) + said
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
