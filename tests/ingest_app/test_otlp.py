"""An export in any encoding becomes the same documents, and a bad span costs no good one."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest_app import otlp, otlp_document, otlp_protobuf
from ingest_app.posting import NotAccepted, Posting

TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
START = 1_795_225_832_285_192_031


def posting(body: bytes, content_type: str = otlp.PROTOBUF) -> Posting:
    return Posting("/v1/traces", {"content-type": content_type}, body, 1, 2, datetime(2026, 11, 21, tzinfo=UTC))


def read(body: bytes) -> list[dict[str, Any]]:
    return list(otlp.read(posting(body)).spans)


def as_json(*spans: dict[str, Any], **resource: Any) -> bytes:
    export = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "s"}, "spans": spans}]}]}
    return json.dumps(export).encode()


def as_protobuf(*spans: Span) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    return request


def span(name: str = "chat", **values: Any) -> Span:
    ids = {"trace_id": bytes.fromhex(TRACE), "span_id": bytes.fromhex(SPAN)}
    return Span(**ids, name=name, start_time_unix_nano=START, **values)


values = st.recursive(
    st.one_of(
        st.text().map(lambda v: AnyValue(string_value=v)),
        st.booleans().map(lambda v: AnyValue(bool_value=v)),
        st.integers(-(2**63), 2**63 - 1).map(lambda v: AnyValue(int_value=v)),
        st.floats(allow_nan=False).map(lambda v: AnyValue(double_value=v)),
        st.binary().map(lambda v: AnyValue(bytes_value=v)),
    ),
    lambda inner: st.lists(inner, max_size=3).map(lambda found: AnyValue(array_value={"values": found})),  # type: ignore[arg-type]
    max_leaves=6,
)
attributes = st.lists(st.builds(lambda key, value: KeyValue(key=key, value=value), st.text(), values), max_size=4)


@given(attributes, st.text(), st.integers(0, 5), st.integers(0, 2))
def test_the_wire_format_walked_by_hand_says_what_the_library_says(found, name, kind, code):
    one = span(name, kind=kind, attributes=found, status={"code": code})
    one.events.add(name="e", time_unix_nano=START, attributes=found)
    data = as_protobuf(one).SerializeToString()
    walked = [
        otlp_document.document(s, resource=r, scope=c, attributes=otlp._as_read)
        for r, c, s in otlp_protobuf._walked(data)
    ]
    assert walked == read(data)


def test_text_that_is_no_utf8_costs_neither_its_span_nor_the_one_beside_it():
    data = as_protobuf(span("good"), span("broken")).SerializeToString().replace(b"broken", b"br\xff\xfeen")
    assert [one["name"] for one in read(data)] == ["good", "br\ufffd\ufffden"]


@given(st.binary(max_size=200))
def test_any_bytes_are_an_export_or_not_accepted(data):
    for one in (data, as_protobuf(span()).SerializeToString() + data):
        try:
            read(one)
        except NotAccepted as error:
            assert str(error)


@pytest.mark.parametrize("deep", [50, 5000])
def test_nesting_is_kept_to_a_depth_and_never_takes_the_door_down(deep):
    value: Any = {"stringValue": "bottom"}
    for _ in range(deep):
        value = {"arrayValue": {"values": [value]}}
    text = json.dumps({"stringValue": "x"})
    body = as_json({"spanId": SPAN, "attributes": [{"key": "k", "value": 0}]}).replace(b'"value": 0', b'"value": ' + (
        b'{"arrayValue": {"values": [' * deep + text.encode() + b"]}}" * deep))
    try:
        assert otlp_document.TOO_DEEP in json.dumps(read(body))
    except NotAccepted as error:
        assert "nested too deeply" in str(error)


def test_json_and_protobuf_are_the_same_document():
    status = {"code": 2, "message": "no"}
    one = span(kind=3, end_time_unix_nano=START + 10**9, parent_span_id=bytes.fromhex(PARENT), status=status)
    one.attributes.add(key="gen_ai.usage.input_tokens", value=AnyValue(int_value=17))
    one.links.add(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(PARENT))
    said = {
        "traceId": TRACE, "spanId": SPAN.upper(), "parentSpanId": base64.b64encode(bytes.fromhex(PARENT)).decode(),
        "name": "chat", "kind": "SPAN_KIND_CLIENT", "startTimeUnixNano": str(START),
        "endTimeUnixNano": START + 10**9, "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
        "attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "17"}}],
        "links": [{"traceId": TRACE, "spanId": PARENT}],
    }  # fmt: skip
    [ours], [theirs] = read(as_json(said)), read(as_protobuf(one).SerializeToString())
    assert {**ours, "scope": {}} == {**theirs, "scope": {}}
    snake = {"trace_id": TRACE, "span_id": SPAN, "start_time_unix_nano": str(START), "name": "chat"}
    assert read(as_json(snake))[0]["start_ns"] == START


def test_a_span_is_an_exchange_with_its_place_in_the_trace():
    [found] = read(as_protobuf(span(end_time_unix_nano=START + 1_500_000_000, status={"code": 2})).SerializeToString())
    exchange = otlp.exchange(found, posting(b""))
    assert (exchange.trace_id, exchange.span_id, exchange.parent_span_id) == (TRACE, SPAN, None)
    assert (exchange.status, exchange.duration_ms, exchange.door) == (500, 1500, "otlp")
    assert exchange.requested_at == datetime.fromtimestamp(START // 10**9, UTC).replace(microsecond=285_192)
    assert json.loads(exchange.request.data) == found


def test_a_span_without_ids_or_time_is_kept_with_its_problem_named():
    [found] = read(as_json({"name": "orphan"}))
    exchange = otlp.exchange(found, posting(b""))
    assert {problem.code for problem in exchange.problems} == {"time_missing", "span_id_missing"}
    assert len(exchange.trace_id or "") == 32 and exchange.requested_at == posting(b"").arrived_at


def test_what_cannot_be_read_is_told_as_partial_success_in_the_clients_encoding():
    export = otlp.read(posting(as_json({"traceId": TRACE, "spanId": SPAN}, {}, "no span")))  # type: ignore[arg-type]
    assert (len(export.spans), export.rejected) == (1, 2)
    answer = ExportTraceServiceResponse.FromString(otlp.answer(export, is_protobuf=True))
    assert (answer.partial_success.rejected_spans, bool(answer.partial_success.error_message)) == (2, True)
    assert json.loads(otlp.answer(export, is_protobuf=False))["partialSuccess"]["rejectedSpans"] == "2"
    whole = otlp.Export((), 0)
    assert otlp.answer(whole, is_protobuf=True) == b""
    assert otlp.answer(whole, is_protobuf=False) == b'{"partialSuccess":{}}'
