"""Helicone's read API, as its clients know it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core import signing
from django.test import override_settings

from lib import clock
from requests_app import api, queries_sums
from tests.requests_app import factories

START = datetime(2026, 9, 1, 10, 0, 0, 210_000, tzinfo=UTC)
LIST, COUNT, IDS = "/v1/request/query-clickhouse", "/v1/request/count/query", "/v1/request/query-ids"


@pytest.fixture(autouse=True)
def rows_that_are_not_counted(monkeypatch):
    """The tests put rows into the ground alone, so it is the ground that is asked how many there are."""
    monkeypatch.setattr(queries_sums, "_COUNTERS", [])


@pytest.fixture
def ask(client, acme):
    key = acme.key()

    def post(path: str, body, *, key: str = key):
        return client.post(path, body, content_type="application/json", headers={"Authorization": f"Bearer {key}"})

    return post


@pytest.fixture
def read(client, acme):
    key = acme.key("r")
    return lambda path: client.get(path, headers={"Authorization": f"Bearer {key}"})


def test_a_request_has_helicones_fields_and_meanings(ask, acme):
    row = factories.make_request(
        acme.id, START, input_tokens=812, cache_read_tokens=100, cache_write_tokens=12, output_tokens=112,
        reasoning_tokens=40, cost_nano_usd=172_000, duration_ms=1202, time_to_first_token_ms=310,
        end_user_id="u-17", session_id="s-1", session_path="/plan/search", properties={"environment": "prod"},
        scores={"helicone-score-feedback": 1}, country_code="DE",
        request={"model": "gpt-4o", "messages": []}, response={"choices": []},
    )  # fmt: skip
    answer = ask(LIST, {"filter": "all"})
    assert answer.status_code == 201
    assert answer.json()["error"] is None
    (found,) = answer.json()["data"]
    properties = {"environment": "prod", "Helicone-Session-Id": "s-1", "Helicone-Session-Path": "/plan/search"}
    assert found == {
        "response_id": str(row.id), "response_created_at": "2026-09-01T10:00:01.412Z",
        "response_body": {"choices": []}, "response_status": 200, "response_model": "gpt-4o-2024-11-20",
        "request_id": str(row.id), "request_created_at": "2026-09-01T10:00:00.210Z",
        "request_body": {"model": "gpt-4o", "messages": []}, "request_path": "/v1/chat/completions",
        "request_user_id": "u-17", "request_properties": properties, "properties": properties,
        "request_model": "gpt-4o", "model_override": None, "helicone_user": None, "provider": "OPENAI",
        "delay_ms": 1202, "time_to_first_token": 310, "total_tokens": 924, "prompt_tokens": 700,
        "completion_tokens": 72, "prompt_cache_read_tokens": 100, "prompt_cache_write_tokens": 12,
        "reasoning_tokens": 40, "prompt_audio_tokens": None, "completion_audio_tokens": None, "cost": 0.000172,
        "estimate": None,
        "prompt_id": "", "prompt_version": "", "llmSchema": None, "country_code": "DE", "asset_ids": [],
        "asset_urls": None, "scores": {"helicone-score-feedback": 1}, "assets": [],
        "target_url": "https://api.openai.com/v1/chat/completions", "model": "gpt-4o",
        "cache_reference_id": "00000000-0000-0000-0000-000000000000", "cache_enabled": False,
        "updated_at": "2026-09-01T10:00:01.412Z", "request_referrer": "", "ai_gateway_body_mapping": "",
        "storage_location": "clickhouse",
    }  # fmt: skip


def test_a_target_that_was_no_address_keeps_nobody_from_reading_the_list(ask, acme):
    """Whoever may write can send one."""
    factories.make_request(acme.id, START, target_url="http://[/v1/chat/completions", status=400)
    answer = ask(LIST, {"filter": "all"})
    assert answer.status_code == 201
    assert [row["request_path"] for row in answer.json()["data"]] == ["/v1/chat/completions"]


def test_what_is_not_known_is_null_never_zero(ask, acme):
    factories.make_request(
        acme.id, START, input_tokens=None, output_tokens=None, cost_nano_usd=None, cost_reason="no_price",
        duration_ms=None, model=None, request_model=None, response_model=None, provider="llm.internal",
    )  # fmt: skip
    (found,) = ask(LIST, {"filter": {}}).json()["data"]
    unknown = ("cost", "prompt_tokens", "completion_tokens", "total_tokens", "delay_ms", "response_created_at")
    assert [found[key] for key in unknown] == [None] * 6
    assert (found["model"], found["provider"]) == ("unknown", "CUSTOM")


def test_a_clients_own_id_is_its_request_id(ask, read, acme):
    chosen = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    factories.make_request(acme.id, START, client_request_id=chosen)
    retry = factories.make_request(acme.id, START + timedelta(seconds=1), client_request_id=chosen)
    assert [found["request_id"] for found in ask(LIST, {"filter": {}}).json()["data"]] == [str(retry.id), chosen]
    assert read(f"/v1/request/{chosen}").json()["data"]["request_id"] == chosen


def test_limit_offset_and_sort(ask, acme):
    for seconds, cost in enumerate([30, 10, None, 20]):
        factories.make_request(acme.id, START + timedelta(seconds=seconds), cost_nano_usd=cost and cost * 10**9)
    costs = lambda **body: [r["cost"] for r in ask(LIST, {"filter": "all", **body}).json()["data"]]  # noqa: E731
    assert costs() == [20, None, 10, 30]
    assert costs(limit=2) == [20, None]
    assert costs(limit="2", offset=1) == [None, 10]
    assert costs(sort={"created_at": "asc"}) == [30, 10, None, 20]
    assert costs(sort={"cost": "asc"}) == [10, 20, 30, None]
    assert costs(sort={"cost": "desc"}, limit=1) == [30]
    assert costs(limit=0) == []


def test_twelve_rows_are_ten_unless_asked_otherwise(ask, acme):
    for _ in range(12):
        factories.make_request(acme.id, START)
    assert len(ask(LIST, {"filter": "all"}).json()["data"]) == 10
    assert len(ask("/v1/request/query", {"filter": "all", "limit": 100}).json()["data"]) == 12


@pytest.mark.parametrize(("said", "count"), [(True, 1), (False, 2), (None, 3)])
def test_is_scored_narrows_in_both_directions(ask, acme, said, count):
    factories.make_request(acme.id, START, scores={"tone": 1})
    factories.make_request(acme.id, START, scores={})
    factories.make_request(acme.id, START, scores=None)
    assert ask(COUNT, {"filter": "all", "isScored": said}).json() == {"data": count, "error": None}


def test_count_answers_200_and_counts_all(ask, acme):
    for status in (200, 200, 500):
        factories.make_request(acme.id, START, status=status)
    answer = ask(COUNT, {"filter": {"request_response_rmt": {"status": {"equals": 200}}}})
    assert (answer.status_code, answer.json()) == (200, {"data": 2, "error": None})


def test_rows_of_the_far_future_are_left_out(ask, acme):
    factories.make_request(acme.id, clock.now() + timedelta(hours=1))
    factories.make_request(acme.id, clock.now())
    assert ask(COUNT, {"filter": "all"}).json()["data"] == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "requestBody.filter"),
        ([], "requestBody"),
        ({"filter": "all", "limit": "x"}, "requestBody.limit"),
        ({"filter": "all", "limit": 1.5}, "requestBody.limit"),
        ({"filter": "all", "limit": 1001}, "requestBody.limit"),
        ({"filter": "all", "offset": -1}, "requestBody.offset"),
        ({"filter": "all", "sort": {"cost": "up"}}, "requestBody.sort.cost"),
        ({"filter": "all", "sort": {"colour": "asc"}}, "requestBody.sort"),
        ({"filter": "all", "sort": "cost"}, "requestBody.sort"),
        ({"filter": {"request_response_rmt": {"colour": {"equals": 1}}}},
         "requestBody.filter.request_response_rmt.colour.equals"),
        ({"filter": {"left": {}, "operator": "nor", "right": {}}}, "requestBody.filter.operator"),
        ({"filter": "all", "isScored": "perhaps"}, "requestBody.has_scores"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_a_422_that_names_the_place(ask, body, path):
    answer = ask(LIST, body)
    assert answer.status_code == 422
    assert answer.json()["message"] == "Validation Failed"
    assert list(answer.json()["details"]) == [path]
    assert answer.json()["details"][path]["message"]


def test_keys_nobody_knows_are_ignored(ask):
    body = {"filter": "all", "isCached": True, "includeInputs": False, "newKey": 1}
    assert ask(LIST, body).json() == {"data": [], "error": None}


def test_broken_json_is_answered_by_a_sentence(client, acme):
    answer = client.post(
        LIST, "{", content_type="text/plain", headers={"Authorization": f"Bearer {acme.key()}"}
    )  # fmt: skip
    assert answer.status_code == 400
    assert answer.json()["data"] is None
    assert "JSON" in answer.json()["error"]


def test_a_query_that_takes_too_long_is_an_error_not_an_empty_list(ask, acme, monkeypatch):
    def slow(*_, **__):
        raise api.TooSlow("Query timeout. Try a shorter time range or simpler filters.")

    monkeypatch.setattr(api.queries, "ordered", slow)
    answer = ask(LIST, {"filter": "all"})
    assert answer.status_code == 500
    assert answer.json()["error"] == answer.json()["message"] == answer.json()["details"]
    assert answer.json()["error"].startswith("Query timeout")


def test_one_request_with_and_without_bodies(read, acme):
    row = factories.make_request(acme.id, START, request={"a": 1}, response=b"not json")
    bare = read(f"/v1/request/{row.id}").json()["data"]
    assert bare["request_body"] == api.NOT_ASKED
    full = read(f"/v1/request/{row.id}?includeBody=true").json()["data"]
    assert (full["request_body"], full["response_body"]) == ({"a": 1}, "not json")


@pytest.mark.parametrize("request_id", ["01a1fc4f-e845-71e3-a48e-3317f646a31a", "nonsense", "%00"])
def test_a_request_that_is_not_there_is_a_404(read, request_id):
    answer = read(f"/v1/request/{request_id}")
    assert answer.status_code == 404
    assert answer.json()["data"] is None


def test_ids_are_answered_in_their_order_and_missing_ones_left_out(ask, acme):
    first, second = factories.make_request(acme.id, START), factories.make_request(acme.id, START)
    ids = [str(second.id), "01a1fc4f-e845-71e3-a48e-3317f646a31a", str(first.id)]
    answer = ask(IDS, {"requestIds": ids})
    assert answer.status_code == 200
    assert [found["request_id"] for found in answer.json()["data"]] == [str(second.id), str(first.id)]
    assert ask(IDS, {"requestIds": "x"}).status_code == 422


def test_a_large_body_is_a_link_that_needs_no_key_and_ends(ask, client, acme):
    factories.make_request(acme.id, START, request={"a": 1}, response={"b": 2}, response_bytes=api.INLINE_BYTES + 1)
    (found,) = ask(LIST, {"filter": "all"}).json()["data"]
    assert (found["request_body"], found["storage_location"]) == (api.LINKED, "s3")
    path = found["signed_body_url"].removeprefix("http://testserver")
    assert client.get(path).json() == {"request": {"a": 1}, "response": {"b": 2}}
    assert client.get(path[:-1] + "x").status_code == 404
    stale = signing.dumps([acme.id, "x"], salt="another-salt")
    assert client.get(f"/v1/request/body/{stale}").status_code == 404


@override_settings(TIME_ZONE="Asia/Tokyo")
def test_times_are_utc_whatever_the_zone(read, acme):
    row = factories.make_request(acme.id, START)
    assert read(f"/v1/request/{row.id}").json()["data"]["request_created_at"] == "2026-09-01T10:00:00.210Z"


# --- who may ask ------------------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_told(client, db):
    for answer in (client.post(LIST, {"filter": "all"}, content_type="application/json"), client.get("/v1/request/x")):
        assert answer.status_code == 401
        assert answer.json()["trace"] == "isAuthenticated.error"


def test_a_key_that_only_reads_may_ask_and_one_that_only_writes_may_not(ask, acme):
    assert ask(LIST, {"filter": "all"}, key=acme.key("r")).status_code == 201
    assert ask(LIST, {"filter": "all"}, key=acme.key("w")).status_code == 401


def test_no_endpoint_tells_of_another_organization(ask, read, globex, acme):
    chosen = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    row = factories.make_request(globex.id, START, client_request_id=chosen, request={"a": 1})
    org = {"request_response_rmt": {"organization_id": {"equals": str(globex.id)}}}
    for tree in ("all", org, {"left": org, "operator": "or", "right": "all"}):
        assert ask(LIST, {"filter": tree}).json()["data"] == []
        assert ask(COUNT, {"filter": tree}).json()["data"] == 0
    assert ask(IDS, {"requestIds": [str(row.id), chosen]}).json()["data"] == []
    assert read(f"/v1/request/{row.id}?includeBody=true").status_code == 404
    assert read(f"/v1/request/{chosen}").status_code == 404


@pytest.mark.parametrize("text", ["\\ud800", "\\u0000"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (IDS, '{"requestIds": ["%s"]}'),
        (LIST, '{"filter": {"request_response_rmt": {"latency": {"equals": "%s"}}}}'),
        (LIST, '{"filter": {"request_response_rmt": {"properties": {"%s": {"equals": "a"}}}}}'),
        (LIST, '{"filter": {"request_response_rmt": {"properties": {"%s": {"contains": "a"}}}}}'),
        (LIST, '{"filter": "all", "sort": {"properties": {"%s": "asc"}}}'),
        ("/v1/filter", '{"name": "x", "filter": {"%s": 1}}'),
        ("/v1/filter", '{"name": "%s", "filter": {}}'),
    ],
)
def test_text_no_database_holds_is_an_answer_and_no_crash(ask, path, body, text):
    assert ask(path, body % text).status_code < 500


@pytest.mark.parametrize("body", ["[" * 100_000, '{"filter":' * 5_000])
def test_json_that_is_nested_too_deeply_is_a_400(ask, body):
    assert ask(LIST, body).status_code == 400


def test_the_ends_of_time_are_times_too(ask, read):
    for moment in ("9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z"):
        for operator in ("equals", "gte", "lt"):
            tree = {"request_response_rmt": {"request_created_at": {operator: moment}}}
            assert ask(COUNT, {"filter": tree}).json() == {"data": 0, "error": None}
    assert read("/v1/request/ffffffff-ffff-7fff-bfff-ffffffffffff").status_code == 404


def test_an_estimate_stands_beside_counts_that_stay_unknown(ask, acme):
    factories.make_request(
        acme.id, START, input_tokens=None, output_tokens=None, cost_nano_usd=None, cost_reason="no_usage",
        estimated_input_tokens=900, estimated_output_tokens=70, estimated_cost_nano_usd=5_000_000,
        estimate_method="characters by script",
    )  # fmt: skip
    (found,) = ask(LIST, {"filter": "all"}).json()["data"]
    assert (found["total_tokens"], found["prompt_tokens"], found["cost"]) == (None, None, None)
    assert found["estimate"] == {
        "prompt_tokens": 900, "completion_tokens": 70, "cost": 0.005, "method": "characters by script",
    }  # fmt: skip
