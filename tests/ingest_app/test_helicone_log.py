"""Helicone's async log: what it says, in all the ways it is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from llm.exchange import STATUS_UNKNOWN
from llm.parse import parse
from tests.ingest_app.postings import NOW, Shelf, log, logged, post, without

START = datetime(2026, 11, 18, 11, 59, 50, 250000, tzinfo=UTC)


def codes(exchange):
    return [problem.code for problem in exchange.problems]


def test_a_log_becomes_the_exchange_it_tells():
    exchange = logged(log(), path="/oai/v1/log")
    assert (exchange.organization_id, exchange.api_key_id, exchange.door) == (7, 70, "log")
    assert (exchange.provider, exchange.status) == ("openai", 200)
    assert exchange.url == "https://api.openai.com/v1/chat/completions"
    assert (exchange.requested_at, exchange.duration_ms) == (START, 750)
    assert exchange.time_to_first_token_ms is None
    assert orjson.loads(exchange.request.data) == log()["providerRequest"]["json"]
    assert orjson.loads(exchange.response.data) == log()["providerResponse"]["json"]
    assert exchange.response_headers == {"x-request-id": "req_1"}
    assert exchange.problems == ()


def test_http_headers_win_over_meta_and_meta_over_the_replys_headers():
    body = log(
        request__meta={"Helicone-User-Id": "meta", "Helicone-Session-Id": "meta"},
        response__headers={
            "Helicone-User-Id": "reply",
            "Helicone-Session-Id": "reply",
            "Helicone-Session-Name": "reply",
        },
    )
    said = logged(body, helicone_user_id="http").attribution
    assert (said.end_user_id, said.session_id, said.session_name) == ("http", "meta", "reply")


def test_meta_may_hold_scalars_and_what_is_more_is_left_out():
    meta = {
        "Helicone-Property-N": 7, "Helicone-Property-F": 1.0, "Helicone-Property-B": True, "Helicone-Property-X": None,
        "Helicone-Property-Y": {"a": 1}, "Helicone-Property-Z": [1], "helicone_property_Tier": "gold",
        "hidden_params": {}, "Helicone-Omit-Request": False, "héllo\n": "x",
    }  # fmt: skip
    exchange = logged(log(request__meta=meta))
    assert exchange.attribution.properties == {"n": "7", "f": "1", "b": "true", "tier": "gold"}
    assert exchange.problems == ()


def test_meta_and_headers_may_be_missing():
    body = without(without(without(log(), "providerRequest", "meta"), "providerResponse", "headers"), "timing")
    exchange = logged(body)
    assert (exchange.requested_at, exchange.duration_ms) == (NOW, None)
    assert exchange.problems == ()


@pytest.mark.parametrize(("timing", "start", "duration_ms"), [
    ({"startTime": "2026-11-18T11:59:50.250Z", "endTime": "2026-11-18T12:59:51.000+01:00"}, START, 750),
    ({"startTime": 1795003190.25, "endTime": 1795003191}, START, 750),
    ({"startTime": 1795003190250, "endTime": 1795003191000}, START, 750),
    ({"startTime": "1795003190", "endTime": "1795003191000"}, START.replace(microsecond=0), 1000),
    ({"startTime": 1795003190250000, "endTime": 1795003191000000000}, START, 750),
    ({"startTime": {"seconds": "1795003190", "milliseconds": 250}, "endTime": {"seconds": 1795003191}}, START, 750),
    ({"startTime": "Wed, 18 Nov 2026 11:59:50 GMT"}, START.replace(microsecond=0), None),
    ({"endTime": "2026-11-18 11:59:50.25"}, START, None),
    ({"startTime": None, "endTime": None}, NOW, None),
    (None, NOW, None),
])  # fmt: skip
def test_times_are_read_in_every_spelling_seen(timing, start, duration_ms):
    exchange = logged(log(timing=timing))
    assert (exchange.requested_at, exchange.duration_ms) == (start, duration_ms)
    assert exchange.problems == ()


def test_an_end_before_its_start_is_swapped_and_named():
    exchange = logged(log(timing={"startTime": 1795003191, "endTime": 1795003190.25}))
    assert (exchange.requested_at, exchange.duration_ms) == (START, 750)
    assert codes(exchange) == ["times_swapped"]


@pytest.mark.parametrize("told", ["soon", True, [], 1e40, {"seconds": "x"}, {"seconds": 1e300, "milliseconds": -1e300}])
def test_a_time_nobody_can_read_is_named_and_now_stands_instead(told):
    exchange = logged(log(timing={"startTime": told}))
    assert exchange.requested_at == NOW
    assert codes(exchange) == ["time_unreadable"]


@pytest.mark.parametrize(("told", "ms"), [(0, 0), (0.0039, 0), (44.55, 45), (None, None), ("120", 120)])
def test_time_to_first_token_is_in_milliseconds(told, ms):
    timing = {"startTime": 1795003190.25, "endTime": 1795003191, "timeToFirstToken": told}
    assert logged(log(timing=timing)).time_to_first_token_ms == ms


@pytest.mark.parametrize(("told", "clamped"), [
    (NOW + timedelta(days=3), NOW + timedelta(days=1)), (NOW - timedelta(days=4000), NOW - timedelta(days=400)),
])  # fmt: skip
def test_a_time_far_off_is_clamped_and_named_and_its_id_is_of_that_time(told, clamped):
    exchange = logged(log(timing={"startTime": told.isoformat()}))
    assert exchange.requested_at == clamped
    assert exchange.id.int >> 80 == int(clamped.timestamp() * 1000)
    assert codes(exchange) == ["time_clamped"]


def test_text_wins_over_json_where_there_is_any():
    exchange = logged(log(response__textBody="Traceback: …", response__json={}))
    assert exchange.response.data == "Traceback: …".encode()
    assert logged(log(response__textBody="")).response.data.startswith(b'{"id"')


def test_a_reply_of_text_alone_is_enough():
    body = without(log(response__textBody='data: {"choices":[]}\n\n'), "providerResponse", "json")
    assert logged(body).response.data.startswith(b"data:")


def test_streamed_data_becomes_a_stream_again():
    chunks = [
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "model": "gpt-4o",
            "choices": [{"index": 0, "delta": {"content": part}}],
        }
        for part in ("No", "on")
    ]
    exchange = logged(log(response__json={"streamed_data": chunks}))
    assert exchange.response.data.count(b"data: ") == 2
    assert "Noon" in parse(exchange).response_preview


def test_no_body_is_no_body():
    exchange = logged(log(response__json={}, response__textBody=None))
    assert (exchange.response.data, exchange.response.size) == (b"", 0)


@pytest.mark.parametrize(("path", "url", "extra", "provider"), [
    ("/oai/v1/log", "custom-model-nopath", {}, "openai"),
    ("/v1/gateway/oai/v1/log", "N/A", {}, "openai"),
    ("/v1/trace/anthropic/v1/log", "", {}, "anthropic"),
    ("/custom/v1/log", "https://api.anthropic.com/v1/messages", {}, "anthropic"),
    ("/custom/v1/log", "custom-model-nopath", {"provider": "anthropic"}, "anthropic"),
    ("/custom/v1/log/", "custom-model-nopath", {"provider": "CUSTOM"}, "custom"),
    ("/v1/log", "https://llm.internal:8000/v1/chat/completions", {}, "llm.internal"),
    ("/oai/v1/log", "https://llm.internal/v1", {}, "openai"),
    ("/v1/trace/oai/v1/log", "http://[", {"provider": 7}, "openai"),
])  # fmt: skip
def test_the_provider_is_told_by_host_then_body_then_route(path, url, extra, provider):
    assert logged(log(request__url=url, **extra), path=path).provider == provider


def test_litellm_tells_its_true_provider_in_its_hidden_parameters():
    meta = {"hidden_params": {"custom_llm_provider": None, "litellm_model_name": "anthropic/claude-sonnet-4-0"}}
    assert logged(log(request__meta=meta), path="/oai/v1/log").provider == "anthropic"


def test_the_url_is_kept_without_credentials():
    told = "https://me:secret@host.example/v1/models/m:generateContent?key=AIza1&alt=sse#x"
    assert logged(log(request__url=told)).url == "https://host.example/v1/models/m:generateContent?alt=sse"


def test_credentials_in_headers_are_not_kept():
    body = log(
        request__meta={"Helicone-Auth": "Bearer secret"}, response__headers={"Set-Cookie": "secret", "Server": "x"}
    )
    exchange = logged(body, helicone_auth="Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd", user_agent="litellm/1")
    assert exchange.request_headers == {"user-agent": "litellm/1"}
    assert exchange.response_headers == {"server": "x"}


@pytest.mark.parametrize(("told", "nano_usd", "found"), [
    (0.0123, 12_300_000, []), (0, 0, []), ("0.5", 500_000_000, []), (None, None, []),
    (-1, None, ["cost_unreadable"]), ("cheap", None, ["cost_unreadable"]), (True, None, ["cost_unreadable"]),
])  # fmt: skip
def test_a_cost_the_client_states_is_honoured(told, nano_usd, found):
    exchange = logged(log(response__cost=told))
    assert exchange.attribution.declared_cost_nano_usd == nano_usd
    assert codes(exchange) == found


@pytest.mark.parametrize(("told", "status"), [(200, 200), ("429", 429), (500.0, 500), (-3, -3)])
def test_the_status_is_the_one_told(told, status):
    assert logged(log(response__status=told)).status == status


@pytest.mark.parametrize("told", [None, "ok", True, 0, 12345, 200.5, {}])
def test_a_status_nobody_can_read_is_unknown(told):
    exchange = logged(log(response__status=told))
    assert exchange.status == STATUS_UNKNOWN
    assert codes(exchange) == ["status_unreadable"]


def test_an_omitted_side_leaves_its_facts_and_nothing_else():
    exchange = logged(log(request__meta={"Helicone-Omit-Request": "true"}), helicone_omit_response="true")
    reading = exchange.reading
    assert (exchange.request.data, exchange.request.state) == (b"", "omitted")
    assert (exchange.response.data, exchange.response.state) == (b"", "omitted")
    assert exchange.request.size > 0
    assert (reading.response_model, reading.usage.input_tokens, reading.usage.output_tokens) == (
        "gpt-4o-mini-2024-07-18", 12, 3,
    )  # fmt: skip


def test_an_omitted_body_is_nowhere_in_what_is_spooled():
    shelf = Shelf()
    post(log(), shelf=shelf, helicone_omit_request="true", helicone_omit_response="true")
    (record,) = shelf.records
    spooled = record.facts + (record.request or b"") + (record.response or b"")
    assert b"What is the time" not in spooled
    assert b"Noon" not in spooled


def test_broken_characters_and_nan_are_repaired_and_named():
    body = orjson.dumps(log()).replace(b"Noon.", rb"No\ud83d").replace(b'"x-request-id":"req_1"', b'"n":NaN')
    exchange = logged(body)
    assert "No\ufffd" in exchange.response.data.decode()
    assert codes(exchange) == ["text_repaired"]
