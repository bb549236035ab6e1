"""The OpenTelemetry doors whole: exports of every SDK into rows, log events into steps, metrics answered."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection as django_connection
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway_app import routes
from gateway_app.routes import Whose
from ingest_app import doors, otlp
from ingest_app.doors import DoorReply, DoorRequest, Doorway
from tests.ingest_app.postings import KEY, NOW, KnownKeys, Shelf, post
from tests.ingest_app.test_logs_become_rows import House
from tests.ingest_app.test_otlp import GOOD, PARENT, SPAN, TRACE, as_json, export_of
from tests.ingest_app.test_otlp import field as frame

START = int(NOW.timestamp() - 3600) * 10**9
RAW = Path(settings.CORPUS_DIR) / "otlp_raw"
EXPORTS = [
    row for row in map(json.loads, (RAW / "index.jsonl").read_text().splitlines()) if row["path"] in otlp.PATHS
] if RAW.is_dir() else []  # fmt: skip


@pytest.fixture
def house(tmp_path: Path, transactional_db: None) -> Iterator[House]:
    yield House(tmp_path)
    with django_connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE llm_request, llm_request_body, session, request_alias, pending_amendment, usage_delta, "
            "facet_delta, trace, span_watch"
        )


# --- what SDKs really sent --------------------------------------------------------------------------------------------


def ids_of(body: bytes, content_type: str) -> set[str]:
    """`trace:span` of every span, read by Google's own classes or plain JSON."""
    if "json" in content_type:
        export = json.loads(body)
        return {
            f"{span['traceId']}:{span['spanId']}"
            for r in export["resourceSpans"] for s in r["scopeSpans"] for span in s["spans"]
        }  # fmt: skip
    request = ExportTraceServiceRequest.FromString(body)
    return {
        f"{span.trace_id.hex()}:{span.span_id.hex()}"
        for r in request.resource_spans for s in r.scope_spans for span in s.spans
    }  # fmt: skip


@pytest.mark.skipif(not EXPORTS, reason="the corpus of recorded exports is not here")
def test_every_recorded_export_is_taken_and_each_of_its_spans_is_a_row(house):
    expected: set[str] = set()
    for row in EXPORTS:
        body = (RAW / row["file"]).read_bytes()
        encoding = {"content_encoding": row["content_encoding"]} if row["content_encoding"] else {}
        for _ in range(2):  # an SDK whose answer got lost sends it again
            [reply] = house.post(body, path=row["path"], content_type=row["content_type"], **encoding)
            assert (reply.status, reply.body) in ((200, b""), (200, b'{"partialSuccess":{}}')), row["file"]
        if row["path"] in otlp.METRIC_PATHS:
            continue
        plain = gzip.decompress(body) if row["content_encoding"] == "gzip" else body
        found = ids_of(plain, row["content_type"])
        assert len(found) == row["spans"], row["file"]
        expected |= found
    rows = house.rows("trace_id || ':' || span_id, kind, coalesce(problems, '{}')")
    assert sorted(row[0] for row in rows) == sorted(expected)
    assert not [row for row in rows if any("unstorable" in problem for problem in row[2])]


def test_cyclic_parents_and_a_span_that_is_its_own_parent_become_rows(house):
    a, b, c = "aa" * 8, "bb" * 8, "cc" * 8
    spans = [
        {"traceId": TRACE, "spanId": one, "parentSpanId": above, "name": "x", "startTimeUnixNano": str(START),
         "endTimeUnixNano": str(START + 10**9), "attributes": [
             {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
             {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "5"}}]}
        for one, above in ((a, b), (b, a), (c, c))
    ]  # fmt: skip
    for one in spans:
        house.post(as_json(one), path="/v1/traces", content_type="application/json")
    assert len(house.rows("id")) == 3


# --- log events -------------------------------------------------------------------------------------------------------


def attributes(said: dict[str, Any]) -> list[dict[str, Any]]:
    def value(one: Any) -> dict[str, Any]:
        return {"intValue": str(one)} if isinstance(one, int) else {"stringValue": one}

    return [{"key": key, "value": value(one)} for key, one in said.items()]


def record(name: str = "", *, seconds: float = 0, body: Any = None, ids: dict[str, str] | None = None, **said: Any):
    told = {key.replace("__", "."): one for key, one in said.items()}
    found = {"timeUnixNano": str(START + int(seconds * 1e9)), "attributes": attributes(told), **(ids or {})}
    return {**found, **({"eventName": name} if name else {}), **({"body": body} if body else {})}


def logs(*records: dict[str, Any], scope: str = "s") -> bytes:
    inner = {"scope": {"name": scope}, "logRecords": records}
    return json.dumps({"resourceLogs": [{"resource": {}, "scopeLogs": [inner]}]}).encode()


def send_logs(house: House, *bodies: bytes) -> None:
    for reply in house.post(*bodies, path="/v1/logs", content_type="application/json"):
        assert (reply.status, reply.body) == (200, b'{"partialSuccess":{}}')


CLAUDE = "com.anthropic.claude_code.events"


def test_claude_codes_events_are_the_steps_of_a_prompt(house):
    of_prompt = {"session__id": "s-1", "user__email": "ada@example.com", "prompt__id": "p-1"}
    body = logs(
        record(event__name="user_prompt", prompt="Why?", prompt_length="4", **of_prompt),
        record(event__name="api_request", seconds=9, model="claude-sonnet-4-5", input_tokens=10, output_tokens=20,
               cache_read_tokens=300, cache_creation_tokens=4, duration_ms=2500, **of_prompt),
        record(event__name="tool_result", seconds=12, tool_name="Bash", success="false", error="no", duration_ms=5,
               **of_prompt),
        record(event__name="api_error", seconds=13, model="claude-sonnet-4-5", error="Overloaded", **of_prompt),
        scope=CLAUDE,
    )  # fmt: skip
    send_logs(house, body, body)
    columns = "name, kind, input_tokens, output_tokens, cache_read_tokens, duration_ms, status, session_id, end_user_id"
    rows = {row[0]: row[1:] for row in house.rows(columns)}
    assert rows["claude_code.api_request"] == ("llm", 314, 20, 300, 2500, 200, "s-1", "ada@example.com")
    assert [row[5] for row in rows.values()].count(500) == 2
    assert {row[6] for row in rows.values()} == {"s-1"}
    assert len(rows) == len(house.rows("id")) == 4
    assert len({row[0] for row in house.rows("trace_id")}) == 1


def test_codexs_events_are_steps_and_the_pieces_of_its_streams_are_not(house):
    said = {"conversation__id": "c-1", "model": "gpt-5-codex"}
    send_logs(house, logs(
        record("codex.conversation_starts", **said),
        record("codex.user_prompt", seconds=1, prompt="Fix it", **said),
        *[record("codex.sse_event", seconds=2 + n, event__kind="response.output_text.delta", **said) for n in range(9)],
        record("codex.sse_event", seconds=20, event__kind="response.completed", input_token_count=50,
               output_token_count=7, cached_token_count=40, **said),
        record("codex.tool_result", seconds=21, tool_name="shell", call_id="x", arguments="{}", duration_ms=12,
               success="true", output="ok", **said),
    ))  # fmt: skip
    rows = house.rows("name, kind, input_tokens, output_tokens, session_id")
    assert len(rows) == 4 and {row[4] for row in rows} == {"c-1"}
    assert [row[2:4] for row in rows if row[1] == "llm"] == [(50, 7)]


def test_a_call_gemini_cli_tells_three_times_is_one(house):
    said = {"session__id": "s-2", "prompt_id": "p########1", "model": "gemini-2.5-pro"}
    send_logs(house, logs(
        record("gemini_cli.user_prompt", prompt="Fix it", **said),
        record("gemini_cli.api_request", seconds=1, request_text="Fix it", **said),
        record("gemini_cli.api_response", seconds=3, input_token_count=50, output_token_count=7,
               thoughts_token_count=5, duration_ms=1500, **said),
        record("gen_ai.client.inference.operation.details", seconds=3, gen_ai__request__model="gemini-2.5-pro",
               gen_ai__usage__input_tokens=50, **said),
        record("gemini_cli.tool_call", seconds=4, function_name="edit", function_args="{}", success="false", **said),
        scope="gemini_cli",
    ))  # fmt: skip
    assert house.rows("name, kind, input_tokens, output_tokens, duration_ms, session_id, status") == [
        ("gemini_cli.user_prompt", "event", None, None, 0, "s-2", 200),
        ("gemini_cli.api_response", "llm", 50, 12, 1500, "s-2", 200),
        ("edit", "tool", None, None, 0, "s-2", 500),
    ]


def test_a_message_event_belongs_to_the_span_it_names_whichever_comes_first(house):
    ids = {"traceId": TRACE, "spanId": SPAN}
    times = {"startTimeUnixNano": str(START), "endTimeUnixNano": str(START + 10**9)}
    span = as_json({**ids, **times, "name": "chat gpt-4o",
                    "attributes": attributes({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o",
                                              "gen_ai.usage.input_tokens": 9})})  # fmt: skip
    question = {"kvlistValue": {"values": attributes({"content": "Why is the sky blue?"})}}
    asked = logs(record("gen_ai.user.message", ids=ids, body=question))
    message = {"kvlistValue": {"values": attributes({"content": "Rayleigh.", "role": "assistant"})}}
    answer = {"kvlistValue": {"values": [{"key": "message", "value": message}, *attributes({"finish_reason": "stop"})]}}
    answered = logs(record("", ids=ids, seconds=1, event__name="gen_ai.choice", body=answer))
    send_logs(house, asked)
    house.post(span, path="/v1/traces", content_type="application/json")
    send_logs(house, answered, answered)
    columns = "name, kind, input_tokens, duration_ms, coalesce(problems, '{}'), request_preview, response_preview"
    assert house.rows(columns) == [("chat gpt-4o", "llm", 9, 1000, [], "Why is the sky blue?", "Rayleigh.")]


def test_an_applications_own_log_is_not_kept_and_counted():
    body = logs(record("", body={"stringValue": "started"}), record("app.event"), record("gen_ai.evaluation.result"))
    doorway, reply = told("/v1/logs", body)
    assert reply.status == 200 and doorway.drops == {"log_record_not_kept": 2}
    assert len(doorway.spool.records) == 1


def test_logs_in_protobuf_are_what_they_are_in_json(house):
    value = frame(1, b"claude-sonnet-4-5")
    pair = frame(6, frame(1, b"model") + frame(2, value))
    one = b"\x09" + START.to_bytes(8, "little") + pair + frame(12, b"claude_code.api_request")
    body = frame(1, frame(2, frame(2, one)))
    [reply] = house.post(body, path="/api/public/otel/v1/logs", content_type=otlp.PROTOBUF)
    assert (reply.status, reply.body) == (200, b"")
    assert house.rows("name, kind, model") == [("claude_code.api_request", "llm", "claude-sonnet-4-5")]


# --- metrics, limits, who may ----------------------------------------------------------------------------------------


def told(path: str, body: bytes, *, shelf: Shelf | None = None, most: int = 2**20, **headers: str):
    doorway = Doorway(KnownKeys(), shelf or Shelf(), 2**20, timedelta(days=400), lambda: NOW, max_export_bytes=most)
    said = {"authorization": f"Bearer {KEY}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return doorway, asyncio.run(doors.handle(DoorRequest("POST", path, said, body), doorway))


def test_metrics_are_answered_not_kept_and_counted_and_the_rest_api_beside_them_is_not_touched():
    doorway, reply = told("/v1/metrics", b"\x0a\x00", content_type=otlp.PROTOBUF)
    assert (reply.status, reply.body, doorway.drops) == (200, b"", {"metrics_not_kept": 1})
    assert routes.resolve("/v1/metrics", headers={}).whose is Whose.LOG
    assert routes.resolve("/v1/metrics/totalCost", headers={}).whose is Whose.WEB


@pytest.mark.parametrize("path", otlp.PATHS)
def test_a_full_spool_is_told_as_503_with_a_time_to_come_back(path):
    if path in otlp.METRIC_PATHS:
        return
    body = export_of(GOOD) if path in otlp.TRACE_PATHS else logs(record("gen_ai.x"))
    _, reply = told(path, body, shelf=Shelf(is_full=True), content_type="application/x-protobuf")
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert reply.headers["content-type"] == "application/x-protobuf" and reply.body.startswith(b"\x08\x0e\x12")


def test_an_export_has_a_limit_of_its_own_also_for_what_its_spans_become():
    doorway, reply = told("/v1/traces", b"x" * 2000, most=1000)
    assert reply.status == 413 and b"OTLP_MAX_BYTES" in reply.body
    assert doors.too_large(DoorRequest("POST", "/v1/traces", {}, b""), doorway).body == reply.body
    doorway, reply = told("/v1/traces", gzip.compress(b"\0" * 10**6), most=1000, content_encoding="gzip")
    assert reply.status == 413
    resource = frame(1, frame(1, b"k") + frame(2, frame(1, b"v" * 20_000)))
    doorway, reply = told("/v1/traces", export_of(*[GOOD] * 200, resource=resource), most=50_000)
    kept = len(doorway.spool.records)
    assert reply.status == 200 and 0 < kept < 200 and doorway.drops == {"span_refused": 200 - kept}


@pytest.mark.parametrize("authorization", [
    f"Bearer {KEY}", f"Basic {base64.b64encode(f'pk-lf-1:{KEY}'.encode()).decode()}",
    f"Basic {base64.b64encode(f'{KEY}:'.encode()).decode()}",
])  # fmt: skip
def test_a_key_is_taken_as_bearer_or_as_half_of_a_basic_pair(authorization):
    body = export_of(GOOD)
    assert post(body, path="/api/public/otel/v1/traces", key=None, authorization=authorization).status == 200
    assert post(body, path="/v1/traces", key=None, x_api_key=KEY).status == 200
    assert post(body, path="/v1/traces", key=None, content_type=otlp.PROTOBUF).status == 401


def test_more_large_exports_than_may_wait_are_asked_to_come_back(monkeypatch):
    monkeypatch.setattr(doors, "MAX_READ_INLINE", 10)
    monkeypatch.setattr(doors, "MAX_WAITING", 3)

    @dataclass
    class Slow(Shelf):
        may_go: asyncio.Event = field(default_factory=asyncio.Event)

        async def put_all_durably(self, records):
            await self.may_go.wait()

    async def crowd() -> list[DoorReply]:
        shelf = Slow()
        doorway = Doorway(KnownKeys(), shelf, 2**20, timedelta(days=400), lambda: NOW)
        request = DoorRequest("POST", "/v1/traces", {"authorization": f"Bearer {KEY}"}, export_of(GOOD))
        asked = [asyncio.create_task(doors.handle(request, doorway)) for _ in range(5)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        shelf.may_go.set()
        replies = await asyncio.gather(*asked)
        assert doorway.waiting == []
        return replies

    assert sorted(reply.status for reply in asyncio.run(crowd())) == [200, 200, 200, 503, 503]


def test_the_parent_named_by_a_log_event_is_the_span_it_was_told_in(house):
    told_in = {"traceId": TRACE, "spanId": PARENT}
    send_logs(house, logs(record(event__name="tool_result", tool_name="Read", ids=told_in), scope=CLAUDE))
    assert house.rows("trace_id, parent_span_id, kind") == [(TRACE, PARENT, "tool")]
