"""The log doors: who may post what, and what they are answered."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_app.doors import is_door
from tests.ingest_app.postings import (
    KEY,
    MAX_BYTES,
    READ_ONLY_KEY,
    UNKNOWN_KEY,
    KnownKeys,
    Shelf,
    log,
    logged,
    post,
    without,
)  # fmt: skip

CHOSEN = "7D444840-9DC0-11D1-B245-5FFDCE74FAD2"


def error(reply) -> str:
    assert reply.headers["content-type"] == "application/json"
    return str(orjson.loads(reply.body)["error"])


@pytest.mark.parametrize("route", ["oai", "anthropic", "googleapis", "custom"])
@pytest.mark.parametrize("prefix", ["", "/v1/gateway", "/v1/trace"])
def test_every_path_clients_post_to_is_a_door(prefix, route):
    assert is_door(f"{prefix}/{route}/v1/log")
    assert is_door(f"{prefix}/{route}/v1/log/")


@pytest.mark.parametrize("path", ["/", "", "/v1/chat/completions", "/oai/v1/logs", "/v1/log/requests", "/oai/v1/log/x"])
def test_other_paths_are_none(path):
    assert not is_door(path)


def test_a_plain_log_path_is_customs():
    assert is_door("/v1/log")
    assert logged(log(request__url="N/A"), path="/v1/log").provider == "custom"


def test_a_path_written_otherwise_is_the_same_door():
    assert post(log(), path="/custom/v1%2Flog/").status == 200


def test_a_path_that_is_no_door_is_said_to_be_none():
    assert post(log(), path="/custom/v2/log").status == 404


def test_a_key_may_stand_in_the_path():
    assert post(log(), key=None, path_key=KEY).status == 200


def test_ok_is_said_when_it_is_durable():
    shelf = Shelf()
    reply = post(log(), shelf=shelf)
    (exchange,) = shelf.exchanges()
    assert (reply.status, reply.body) == (200, b"ok")
    assert reply.headers["helicone-id"] == str(exchange.id)


def test_the_id_answered_is_the_one_the_client_chose():
    shelf = Shelf()
    reply = post(log(), shelf=shelf, helicone_request_id=CHOSEN)
    (exchange,) = shelf.exchanges()
    assert reply.headers["helicone-id"] == CHOSEN.lower() == exchange.attribution.client_request_id
    assert exchange.id.version == 7


def test_a_full_spool_asks_to_come_again():
    reply = post(log(), shelf=Shelf(is_full=True))
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0
    assert "spool is full" in error(reply)


def test_a_key_that_cannot_be_judged_yet_asks_to_come_again():
    reply = post(log(), keys=KnownKeys(current=None))
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize(("key", "sentence"), [
    (None, "No API key was sent. Send the header: Authorization: Bearer <your API key>."),
    ("sk-helicone-x", "The API key is not well formed. Send it whole, as it was shown when it was made."),
    (UNKNOWN_KEY, "The API key is unknown or was revoked. Make a new one under Settings, API keys."),
    (READ_ONLY_KEY, "The API key may only read. Logging needs one that may write."),
])  # fmt: skip
def test_who_may_not_speak_is_told_what_to_do(key, sentence):
    shelf = Shelf()
    reply = post(log(), key=key, shelf=shelf)
    assert (reply.status, error(reply)) == (401, sentence)
    assert shelf.records == []


@pytest.mark.parametrize("headers", [
    {"helicone_auth": f"Bearer {KEY}"}, {"authorization": KEY}, {"authorization": f"bearer {KEY}"}, {"x_api_key": KEY},
    {"api_key": f"Bearer {KEY}"}, {"authorization": f"Bearer sk-openai, Bearer {KEY}"},
    {"authorization": "Bearer sk-openai", "helicone_auth": f"Bearer {KEY}"},
])  # fmt: skip
def test_the_key_may_stand_wherever_clients_put_it(headers):
    assert post(log(), key=None, **headers).status == 200


@pytest.mark.parametrize(("body", "sentence"), [
    (b"", "The body is not valid JSON"),
    (b'{"providerRequest": ', "The body is not valid JSON"),
    (b"[" * 5000 + b"]" * 5000, "The body is not valid JSON: it is nested too deeply"),
    ([], "The body must be one JSON object with providerRequest and providerResponse."),
    ({}, 'providerRequest is missing. Send it as an object: {"url": "…", "json": {…}, "meta": {}}.'),
    ({"providerRequest": "x"}, "providerRequest is missing."),
    ({"providerRequest": {"json": {}}}, "providerResponse is missing."),
    (without(log(), "providerRequest", "json"), "providerRequest.json is missing."),
    ({"providerRequest": {"json": {}}, "providerResponse": {}}, "providerResponse says nothing."),
])  # fmt: skip
def test_what_is_no_log_is_told_what_is_missing(body, sentence):
    shelf = Shelf()
    reply = post(body, shelf=shelf)
    assert reply.status == 400
    assert error(reply).startswith(sentence)
    assert shelf.records == []


def test_a_body_too_large_is_refused_by_name_of_the_setting():
    reply = post(b" " * (MAX_BYTES + 1))
    assert reply.status == 413
    assert "LOG_MAX_BYTES" in error(reply)


@pytest.mark.parametrize(("encoding", "pack"), [
    ("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", lambda data: zlib.compress(data, wbits=-15)),
    ("x-gzip", lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:])), ("identity", bytes),
    ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
])  # fmt: skip
def test_compressed_bodies_are_taken(encoding, pack):
    assert post(pack(orjson.dumps(log())), content_encoding=encoding).status == 200


@pytest.mark.parametrize(("encoding", "pack"), [
    ("gzip", gzip.compress), ("deflate", zlib.compress),
    ("gzip, gzip", lambda data: gzip.compress(gzip.compress(data))),
    ("gzip", lambda data: gzip.compress(data[: MAX_BYTES // 2]) * 3),
])  # fmt: skip
def test_a_bomb_is_not_unpacked(encoding, pack):
    assert post(pack(b" " * MAX_BYTES * 50), content_encoding=encoding).status == 413


@pytest.mark.parametrize(
    ("encoding", "status"), [("gzip", 400), ("deflate", 400), ("br", 415), ("gzip," * 9 + "gzip", 415)]
)
def test_what_cannot_be_unpacked_is_refused(encoding, status):
    reply = post(log(), content_encoding=encoding)
    assert reply.status == status
    assert error(reply)


def test_a_compressed_body_cut_short_is_refused():
    assert post(gzip.compress(orjson.dumps(log()))[:-10], content_encoding="gzip").status == 400
    assert post(gzip.compress(b"") * 1000, content_encoding="gzip").status == 400


def test_only_post_logs():
    reply = post(log(), method="GET")
    assert (reply.status, reply.headers["allow"]) == (405, "POST, OPTIONS")


def test_a_browser_may_ask_first_and_read_the_answer():
    asked = post(b"", method="OPTIONS", key=None, access_control_request_headers="authorization, helicone-user-id")
    assert asked.status == 204
    assert asked.headers["access-control-allow-headers"] == "authorization, helicone-user-id"
    for reply in (asked, post(log()), post(b"")):
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "helicone-id" in reply.headers["access-control-expose-headers"]


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
REQUESTS = st.fixed_dictionaries({}, optional={"url": VALUES, "json": VALUES, "meta": VALUES})
RESPONSES = st.fixed_dictionaries(
    {}, optional={"json": VALUES, "textBody": VALUES, "status": VALUES, "headers": VALUES, "cost": VALUES}
)
TIMES = st.fixed_dictionaries({}, optional={"startTime": VALUES, "endTime": VALUES, "timeToFirstToken": VALUES})
DECLARED = st.dictionaries(
    st.sampled_from(["Helicone-Omit-Request", "Helicone-Request-Id", "Helicone-Property-A"]), SCALARS
)
BODIES = VALUES | st.fixed_dictionaries({}, optional={
    "providerRequest": VALUES | REQUESTS | st.builds(lambda sent, meta: {**sent, "meta": meta}, REQUESTS, DECLARED),
    "providerResponse": VALUES | RESPONSES, "timing": VALUES | TIMES, "provider": VALUES,
})  # fmt: skip


def dumped(value) -> bytes | None:
    try:
        return orjson.dumps(value)
    except TypeError:
        return None


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(BODIES)
def test_any_json_is_either_kept_or_refused_with_a_sentence(value):
    body = dumped(value)
    shelf = Shelf()
    reply = post(body if body is not None else b"{", shelf=shelf)
    assert reply.status in {200, 400, 413}
    if reply.status == 200:
        (exchange,) = shelf.exchanges()
        assert exchange.organization_id == 7
    else:
        assert error(reply).endswith(".")
        assert shelf.records == []


@given(st.binary())
def test_any_bytes_are_refused_or_kept(body):
    assert post(body).status in {200, 400}


@pytest.mark.parametrize("body_bytes", [1000, 400_000])
def test_a_large_body_is_read_beside_other_requests(monkeypatch, body_bytes):
    aside: list[str] = []
    to_thread = asyncio.to_thread

    async def watched(work, *given):
        aside.append(work.__name__)
        return await to_thread(work, *given)

    monkeypatch.setattr(asyncio, "to_thread", watched)
    shelf = Shelf()
    large = log(request__json={"model": "m", "messages": [{"role": "user", "content": "x" * body_bytes}]})
    assert post(large, shelf=shelf, max_bytes=10**6).status == 200
    assert post(gzip.compress(orjson.dumps(large)), shelf=shelf, max_bytes=10**6, content_encoding="gzip").status == 200
    assert len(shelf.records) == 2
    assert bool(aside) is (body_bytes > 256 * 1024)
