"""An export in any encoding becomes the same documents, and a bad span costs no good one."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
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


def read(body: bytes, account: otlp.Account | None = None) -> list[dict[str, Any]]:
    return list(otlp.documents(posting(body), account or otlp.Account()))


def as_json(*spans: dict[str, Any], **resource: Any) -> bytes:
    export = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "s"}, "spans": spans}]}]}
    return json.dumps(export).encode()


def as_protobuf(*spans: Span) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.extend(spans)
    return request


def span(name: str = "chat", **values: Any) -> Span:
    ids: dict[str, Any] = {"trace_id": bytes.fromhex(TRACE), "span_id": bytes.fromhex(SPAN)}
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
    expected = read(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(otlp_protobuf, "MAX_FOR_LIBRARY", -1)
        assert read(data) == expected


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
    account = otlp.Account()
    found = read(as_json({"traceId": TRACE, "spanId": SPAN}, {}, "no span"), account)
    assert (len(found), account.refused.total(), account.dropped) == (1, 2, {"span_refused": 2})
    answer = ExportTraceServiceResponse.FromString(otlp.answer(account, "/v1/traces", is_protobuf=True))
    assert (answer.partial_success.rejected_spans, bool(answer.partial_success.error_message)) == (2, True)
    assert json.loads(otlp.answer(account, "/v1/traces", is_protobuf=False))["partialSuccess"]["rejectedSpans"] == "2"
    assert otlp.answer(otlp.Account(), "/v1/traces", is_protobuf=True) == b""
    assert otlp.answer(otlp.Account(), "/v1/traces", is_protobuf=False) == b'{"partialSuccess":{}}'


# --- hostile ----------------------------------------------------------------------------------------------------------


def length(size: int) -> bytes:
    out = bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*out, size))


def field(number: int, data: bytes) -> bytes:
    return length(number << 3 | 2) + length(len(data)) + data


def export_of(*spans: bytes, resource: bytes = b"") -> bytes:
    scope_spans = b"".join(field(2, one) for one in spans)
    return field(1, (field(1, resource) if resource else b"") + field(2, scope_spans))


GOOD = span("good").SerializeToString()
NESTED = b"\x0a\x00"
for _ in range(400):
    NESTED = field(5, field(1, NESTED))

HOSTILE = {
    "a million events": GOOD + b"\x5a\x00" * 1_000_000,
    "half a million empty attributes": GOOD + b"\x4a\x00" * 500_000,
    "a list of a million": GOOD + field(9, field(1, b"k") + field(2, field(5, b"\x0a\x00" * 1_000_000))),
    "nesting": GOOD + field(9, field(1, b"k") + field(2, NESTED)),
    "an attribute of a megabyte": GOOD + field(9, field(1, b"k" * 10**6) + field(2, field(1, b"v" * 10**6))),
    "ids of another length": field(1, b"x" * 99) + field(2, b"") + field(5, b"bad"),
    "no utf-8": field(5, b"\xff\xfe") + field(9, field(1, b"\xc3") + field(2, field(1, b"\xed\xa0\x80"))),
    "a frame that ends nowhere": GOOD + b"\x4a\xff\xff\xff\x7f",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_span_costs_no_good_one_beside_it(what):
    account = otlp.Account()
    found = read(export_of(GOOD, HOSTILE[what], GOOD), account)
    names = [one["name"] for one in found]
    assert names[0] == names[-1] == "good"
    assert len(names) + account.refused.total() == 3
    assert all(len(json.dumps(one)) < 7_000_000 and len(one.get("events", ())) <= 1024 for one in found)
    if what == "a million events":
        assert found[1]["dropped"] == {"events": 1_000_000 - 1024}


def test_an_export_of_nothing_but_empty_messages_is_looked_at_for_so_long_and_no_longer():
    account = otlp.Account()
    evil = GOOD + b"\x5a\x00" * 3_000_000
    [first, second, *_] = read(export_of(GOOD, evil), account)
    assert (first["name"], second["name"], second["dropped"]["unread"]) == ("good", "good", 1)
    assert list(read(export_of(*[b""] * 10), account)) == []
    read(field(1, b"") * 3_000_000, account)
    assert account.refused[otlp_protobuf.TOO_MANY] == 1


def test_a_long_resource_is_not_repeated_whole_in_every_span():
    long = b"".join(field(1, field(1, b"k%d" % n) + field(2, field(1, b"v" * 10_000))) for n in range(50))
    found = read(export_of(*[GOOD] * 20, resource=long))
    assert len(found) == 20
    assert all(len(json.dumps(one)) < 40_000 and "(more)" in one["resource"] for one in found)


def test_json_with_numbers_no_row_can_hold_and_halves_of_characters_is_read():
    body = as_json({"spanId": SPAN, "name": "x", "attributes": [{"key": "n", "value": {"intValue": 1}}]})
    [found] = read(body.replace(b'"intValue": 1', b'"kvlistValue": NaN, "x": 99999999999999999999999'))
    otlp.exchange(found, posting(b""))
    [found] = read(body.replace(b'"intValue": 1', b'"stringValue": "\\ud83d", "y": NaN'))
    assert json.loads(otlp.exchange(found, posting(b"")).request.data)["attributes"] == {"n": "\ufffd"}


def test_more_json_values_than_fit_in_memory_are_not_accepted():
    with pytest.raises(NotAccepted, match="smaller batches"):
        read(b'{"resourceSpans":[' + b"{}," * 2_000_000 + b"{}]}")


@given(st.binary(max_size=60), st.integers(0, 400))
def test_an_export_spoiled_anywhere_is_read_or_not_accepted(noise, place):
    whole = export_of(GOOD, GOOD, resource=field(1, field(1, b"k") + field(2, field(1, b"v"))))
    spoiled = whole[: place % len(whole)] + noise + whole[place % len(whole) + len(noise) // 2 :]
    for path in ("/v1/traces", "/v1/logs"):
        try:
            for one in otlp.documents(replace(posting(spoiled), path=path), otlp.Account()):
                otlp.exchange(one, posting(b""))
        except NotAccepted as error:
            assert str(error)
