"""Helicone's Rust gateway: leave to upload, bodies and message in any order, one call."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest

from ingest_app import late_bodies, records, store_uploads, uploads
from ingest_app.records import LateBodies
from llm.exchange import STATUS_UNKNOWN
from requests_app import bodies
from requests_app.models import LLMRequest, LLMRequestBody
from tests.ingest_app.postings import KEY, NOW, SECRET, Shelf, post
from tests.ingest_app.test_late_api import connect, through
from tests.ingest_app.test_spans import db

__all__ = ["db"]
MESSAGE, SIGN = "/v1/log/request", "/v1/router/control-plane/sign-s3-url"
CALL = UUID("7e1d0a52-33f5-4b5e-9c1d-9f2f6f0f8a11")
REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is the time?"}]}
REPLY = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06",
         "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Noon."}}],
         "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}}  # fmt: skip


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """These calls were made in the past."""
    monkeypatch.setattr(late_bodies, "WAITS", timedelta(days=4000))


def message(meta: dict[str, Any] | None = None, response: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
    request = {
        "id": str(CALL), "userId": "ada", "properties": {"Env": "prod", "Helicone-Session-Id": "s-1"},
        "targetUrl": "https://api.openai.com/v1/chat/completions", "provider": "OPENAI", "bodySize": 90, "path": "/x",
        "requestCreatedAt": "2026-11-18T11:59:50.250Z", "isStream": False, **said,
    }  # fmt: skip
    answered = {
        "id": str(uuid4()), "status": 200, "bodySize": 90, "responseCreatedAt": "2026-11-18T11:59:51Z", "delayMs": 120,
        **(response or {}),
    }  # fmt: skip
    return {"authorization": KEY, "heliconeMeta": meta or {}, "log": {"request": request, "response": answered}}


def told(shelf: Shelf, **said: Any) -> None:
    reply = post(message(**said), path=MESSAGE, shelf=shelf)
    assert (reply.status, reply.body, reply.headers["helicone-id"]) == (200, b"", str(CALL))


def signed(**said: Any) -> Any:
    asked = {"requestId": str(CALL), "payloadSize": 500, **said}
    reply = post(asked, path=SIGN, host="gateway.internal:8585")
    return reply, orjson.loads(reply.body)


def upload(shelf: Shelf, request: Any = REQUEST, reply: Any = REPLY) -> None:
    url = urlsplit(signed()[1]["data"]["url"])
    raw = {"request": orjson.dumps(request).decode(), "response": orjson.dumps(reply).decode()}
    answer = post(raw, path=url.path, query=url.query, method="PUT", shelf=shelf, key=None)
    assert answer.status == 200


# --- leave ------------------------------------------------------------------------------------------------------------


def test_leave_to_upload_is_a_url_of_ours_where_the_client_found_us():
    reply, said = signed()
    assert (reply.status, said["error"]) == (200, None)
    assert said["data"]["url"].startswith(f"http://gateway.internal:8585{uploads.PATH}?token=")


@pytest.mark.parametrize("said", [
    {"requestId": "mine"}, {"requestId": None}, {"payloadSize": 10 * 2**20}, {"payloadSize": "1"}, {"payloadSize": -1},
])  # fmt: skip
def test_there_is_none_for_what_is_too_large_or_nameless(said):
    reply, body = signed(**said)
    assert (reply.status, body["data"]) == (400, None)


LEAVE = uploads.Leave(7, CALL, NOW + timedelta(minutes=15))


def test_a_token_says_whose_call_it_is_and_for_how_long():
    token = uploads.token(LEAVE, SECRET)
    assert uploads.read(token, SECRET, now=NOW) == LEAVE
    assert uploads.read(token, SECRET, now=NOW + timedelta(minutes=16)) is None
    assert uploads.read(token, "another secret", now=NOW) is None


@pytest.mark.parametrize("spoil", [
    lambda token, other: "", lambda token, other: token.partition(".")[0], lambda token, other: token[:-2] + "AA",
    lambda token, other: other.partition(".")[0] + "." + token.partition(".")[2],
    lambda token, other: "é" + token, lambda token, other: f"{token}.{token}", lambda token, other: ".",
])  # fmt: skip
def test_a_token_changed_is_worth_nothing(spoil):
    token = uploads.token(LEAVE, SECRET)
    other = uploads.token(LEAVE._replace(organization_id=8), SECRET)
    assert uploads.read(spoil(token, other), SECRET, now=NOW) is None


def test_nobody_uploads_without_leave():
    shelf = Shelf()
    reply = post({"request": "", "response": ""}, path=uploads.PATH, method="PUT", shelf=shelf, query="token=x")
    assert (reply.status, shelf.records) == (403, [])
    late = NOW + timedelta(hours=1)
    url = urlsplit(signed()[1]["data"]["url"])
    assert post({"request": ""}, path=url.path, query=url.query, method="PUT", now=late).status == 403
    assert post({"request": ""}, path=url.path, query=url.query).status == 405


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 400), (b"{}", 400), (b" " * 300_000, 413)])
def test_what_is_no_pair_of_bodies_is_refused(body, status):
    url = urlsplit(signed()[1]["data"]["url"])
    assert post(body, path=url.path, query=url.query, method="PUT").status == status


def test_who_asks_is_told_who_it_is():
    reply = post(b"", path="/v1/router/control-plane/whoami", method="GET")
    assert (reply.status, orjson.loads(reply.body)) == (200, {"userId": "70", "organizationId": "7"})


# --- the message ------------------------------------------------------------------------------------------------------


def test_a_message_says_everything_but_the_text():
    shelf = Shelf()
    told(shelf, meta={"modelOverride": "mine", "promptId": "p-1", "stripeCustomerId": "cus_1"}, countryCode="de")
    (call,) = shelf.exchanges()
    said = call.attribution
    assert (call.provider, call.status, call.duration_ms, call.country_code) == ("openai", 200, 750, "DE")
    assert (said.client_request_id, said.end_user_id, said.session_id) == (str(CALL), "ada", "s-1")
    assert (said.properties, said.model_override, said.prompt_id) == (
        {"env": "prod", "stripe_customer_id": "cus_1"}, "mine", "p-1",
    )  # fmt: skip
    assert [problem.code for problem in call.problems] == ["bodies_awaited"]


@pytest.mark.parametrize(("provider", "url", "slug"), [
    ("ANTHROPIC", "", "anthropic"), ("GOOGLE", "https://generativelanguage.googleapis.com/v1beta/x", "google"),
    ("CUSTOM", "https://llm.internal/v1", "llm.internal"), (None, None, "custom"),
])  # fmt: skip
def test_the_provider_is_where_it_went_else_as_it_is_called(provider, url, slug):
    shelf = Shelf()
    told(shelf, provider=provider, targetUrl=url)
    assert shelf.exchanges()[0].provider == slug


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", message(id="mine"), {"log": {"request": {}, "response": 1}}])
def test_what_is_no_message_is_refused(body):
    assert post(body, path=MESSAGE).status == 400


def test_a_status_that_is_none_is_unknown():
    shelf = Shelf()
    told(shelf, response={"status": "fine"})
    assert shelf.exchanges()[0].status == STATUS_UNKNOWN


# --- both halves ------------------------------------------------------------------------------------------------------


def halves(**said: Any) -> list[Any]:
    """The records of a message, its bodies, and the same bodies once more."""
    shelf = Shelf()
    told(shelf, **said)
    upload(shelf)
    upload(shelf, reply={**REPLY, "model": "another"})
    return shelf.records


def row() -> Any:
    return LLMRequest.objects.get()


def sums(db: psycopg.Connection[Any]) -> Any:
    return db.execute(
        "SELECT sum(requests), sum(input_tokens), sum(output_tokens) FROM usage_delta WHERE kind = 'llm'"
    ).fetchone()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 2), (1, 2, 0), (1, 0, 2), (0, 1, 0, 1), (1, 0, 0)])
@pytest.mark.parametrize("is_one_batch", [True, False])
def test_message_and_bodies_are_one_call_in_any_order(db, tmp_path, order, is_one_batch):
    told = [halves()[number] for number in order]
    through(tmp_path / "spool", *([told] if is_one_batch else [[one] for one in told]), is_told_twice=True)
    one = row()
    assert (one.kind, one.model, one.input_tokens, one.output_tokens) == ("llm", "gpt-4o-2024-08-06", 12, 3)
    assert (one.session_id, one.end_user_id, one.properties, one.problems or []) == ("s-1", "ada", {"env": "prod"}, [])
    assert one.requested_at.isoformat() == "2026-11-18T11:59:50.250000+00:00"
    kept = bodies.read(LLMRequestBody.objects.get())
    assert (orjson.loads(kept.request), orjson.loads(kept.response)) == (REQUEST, REPLY)
    assert sums(db) == (1, 12, 3)
    assert db.execute("SELECT count(*) FROM pending_body").fetchone() == (0,)


@pytest.mark.django_db(transaction=True)
def test_a_message_alone_is_a_row_that_says_what_it_waits_for(db, tmp_path):
    through(tmp_path / "spool", halves(response={"promptTokens": 9, "completionTokens": 2, "model": "gpt-4o"})[:1])
    one = row()
    assert (one.model, one.input_tokens, one.problems) == ("gpt-4o", 9, ["bodies_awaited"])
    assert sums(db) == (1, 9, 2)


@pytest.mark.django_db(transaction=True)
def test_counts_of_the_message_hold_where_the_bodies_tell_none(db, tmp_path):
    shelf = Shelf()
    told(shelf, response={"promptTokens": 9, "completionTokens": 2})
    upload(shelf, reply={key: value for key, value in REPLY.items() if key != "usage"})
    for number, batches in enumerate(([shelf.records], [[one] for one in shelf.records])):
        through(tmp_path / str(number), *batches, is_told_twice=True)
        assert (row().input_tokens, row().problems or []) == (9, [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", list(permutations(range(2))))
def test_an_omitted_side_is_read_and_not_kept(db, tmp_path, order):
    told = halves(meta={"omitRequestLog": True, "omitResponseLog": False})
    through(tmp_path / "spool", *([told[number]] for number in order))
    one = row()
    assert (one.input_tokens, one.request_state, one.request_preview) == (12, "omitted", "")
    assert bodies.read(LLMRequestBody.objects.get()).request is None


@pytest.mark.django_db(transaction=True)
def test_bodies_of_another_organisation_s_call_are_not_joined(db, tmp_path):
    other = LateBodies(8, CALL, NOW, orjson.dumps(REQUEST), orjson.dumps(REPLY))
    through(tmp_path / "spool", [records.late_bodies(other), *halves()[:1]])
    assert row().problems == ["bodies_awaited"]


@pytest.mark.django_db(transaction=True)
def test_what_waits_is_bounded_and_forgotten(transactional_db):
    with connect() as opened:
        ones = [LateBodies(1, uuid4(), NOW + timedelta(seconds=n), b"x" * 10, b"y" * 10) for n in range(5)]
        assert store_uploads.keep(opened, ones, most=60) == 2
        assert [one.at for one in store_uploads.take(opened, [(1, one.request_id) for one in ones])] == [
            one.at for one in ones[2:]
        ]  # fmt: skip
        store_uploads.keep(opened, ones)
        assert store_uploads.forget(opened, before=NOW + timedelta(seconds=3)) == 3
        opened.execute("TRUNCATE pending_body")
