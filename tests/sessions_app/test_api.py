"""Helicone's session endpoints, answer for answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest

from tests.sessions_app.scenes import call, keep

NOON = datetime(2026, 3, 2, 12, 0, 0, 250_000, tzinfo=UTC)
DAY = {"startTimeUnixMs": 1772409600000, "endTimeUnixMs": 1772496000000}
"""2026-03-02, UTC."""
PLAIN = {"search": "", "timeFilter": DAY, "timezoneDifference": 0, "filter": "all"}
NAMED = {"nameContains": "", "timezoneDifference": 0, "timeFilter": DAY}


@pytest.fixture
def ask(client, acme):
    key = acme.key()

    def _ask(path: str, body: object, **headers: str):
        answer = client.post(
            f"/v1/session/{path}", json.dumps(body), content_type="application/json",
            headers={"Authorization": f"Bearer {key}"} | headers,
        )  # fmt: skip
        return answer.status_code, answer.json()

    return _ask


def two_sessions(organization_id: int) -> None:
    keep([
        call(organization_id, NOON, "/a", session="s-1", session_name="agent", end_user_id="ann", duration_ms=1000,
             input_tokens=1000, cache_read_tokens=200, cache_write_tokens=100, output_tokens=300, reasoning_tokens=50,
             cost_nano_usd=2_500_000_000),
        call(organization_id, NOON + timedelta(minutes=1), "/a/b", session="s-1", session_name="agent",
             end_user_id="bob", duration_ms=3000, input_tokens=10, output_tokens=5, cost_nano_usd=500_000_000),
        call(organization_id, NOON + timedelta(minutes=5), session="s-2", session_name=None, end_user_id=None,
             duration_ms=500, input_tokens=1, output_tokens=1, cost_nano_usd=None, status=500),
    ])  # fmt: skip


AGENT = {
    "created_at": "2026-03-02 12:00:00.250",
    "latest_request_created_at": "2026-03-02 12:01:00.250",
    "session_id": "s-1",
    "session_name": "agent",
    "total_cost": 3.0,
    "total_requests": 2,
    "prompt_tokens": 710,
    "completion_tokens": 255,
    "total_tokens": 965,
    "avg_latency": 2000.0,
    "user_ids": ["ann", "bob"],
}
NAMELESS = {
    "created_at": "2026-03-02 12:05:00.250",
    "latest_request_created_at": "2026-03-02 12:05:00.250",
    "session_id": "s-2",
    "session_name": "",
    "total_cost": 0.0,
    "total_requests": 1,
    "prompt_tokens": 1,
    "completion_tokens": 1,
    "total_tokens": 2,
    "avg_latency": 500.0,
    "user_ids": [],
}


def test_query_answers_sessions_newest_first_with_tokens_in_helicones_meaning(ask, acme):
    two_sessions(acme.id)
    assert ask("query", PLAIN) == (200, {"data": [NAMELESS, AGENT], "error": None})


def test_times_are_text_moved_by_the_callers_offset(ask, acme):
    two_sessions(acme.id)
    _, body = ask("query", PLAIN | {"timezoneDifference": -90})
    assert body["data"][1]["created_at"] == "2026-03-02 13:30:00.250"


def test_one_id_under_two_names_is_two_sessions(ask, acme):
    keep([call(acme.id, NOON + timedelta(seconds=n), session_name=name) for n, name in enumerate(["x", "y", "x"])])
    _, body = ask("query", PLAIN)
    assert [(one["session_name"], one["total_requests"]) for one in body["data"]] == [("y", 1), ("x", 2)]


def found(ask, **changes) -> list[str]:
    status, body = ask("query", PLAIN | changes)
    assert status == 200, body
    return [one["session_id"] for one in body["data"]]


def test_search_name_range_offset_and_limit_narrow(ask, acme):
    two_sessions(acme.id)
    keep([call(acme.id, NOON - timedelta(days=2), session="before", session_name="agent")])
    assert found(ask, search="AGE") == ["s-1"]
    assert found(ask, search="s-_") == []
    assert found(ask, nameEquals="agent") == ["s-1"]
    assert found(ask, nameEquals="") == ["s-2"]
    assert found(ask, limit=1) == ["s-2"]
    assert found(ask, limit=1, offset=1) == ["s-1"]
    assert found(ask, limit=0) == ["s-2", "s-1"]
    assert found(ask, limit=1_000_000) == ["s-2", "s-1"]
    assert found(ask, timeFilter={"startTimeUnixMs": 0, "endTimeUnixMs": 9e14}) == ["s-2", "s-1", "before"]


def test_the_bounds_of_the_range_are_outside_it(ask, acme):
    keep([call(acme.id, datetime(2026, 3, 2, tzinfo=UTC)), call(acme.id, datetime(2026, 3, 3, tzinfo=UTC))])
    assert found(ask) == []


def test_a_session_begun_before_the_range_counts_what_is_inside(ask, acme):
    keep([call(acme.id, NOON - timedelta(days=1), session="long"), call(acme.id, NOON, session="long")])
    two_sessions(acme.id)
    _, body = ask("query", PLAIN | {"limit": 3})
    long = next(one for one in body["data"] if one["session_id"] == "long")
    assert (long["total_requests"], long["created_at"]) == (1, "2026-03-02 12:00:00.250")


def rmt(**columns):
    return {"request_response_rmt": columns}


def session(**columns):
    return {"sessions_request_response_rmt": columns}


@pytest.mark.parametrize(("filter_", "wanted"), [
    ({}, ["s-2", "s-1"]),
    (rmt(user_id={"equals": "ann"}), ["s-1"]),
    (rmt(status={"gte": 400}), ["s-2"]),
    (session(session_session_id={"equals": "s-2"}), ["s-2"]),
    (session(session_session_name={"contains": "GEN"}), ["s-1"]),
    (session(session_total_cost={"gt": 2.9}), ["s-1"]),
    (session(session_total_cost={"gt": 3}), []),
    (session(session_total_requests={"equals": 1}), ["s-2"]),
    (session(session_total_tokens={"gte": 965}), ["s-1"]),
    (session(session_prompt_tokens={"lt": 2}), ["s-2"]),
    (session(session_completion_tokens={"gte": 255}), ["s-1"]),
    (session(session_created_at={"gt": "2026-03-02T12:02:00Z"}), ["s-2"]),
    (session(session_latest_request_created_at={"lt": "2026-03-02T12:02:00Z"}), ["s-1"]),
    (session(session_tag={"equals": "x"}), []),
    ({"left": rmt(user_id={"equals": "ann"}), "operator": "and", "right": session(session_total_cost={"gt": 2.4})},
     ["s-1"]),
    ({"left": rmt(user_id={"equals": "ann"}), "operator": "and", "right": session(session_total_cost={"gt": 2.6})},
     []),
    ({"left": rmt(status={"gte": 400}), "operator": "or", "right": session(session_total_cost={"gt": 2})},
     ["s-2", "s-1"]),
    ({"left": rmt(user_id={"equals": "nobody"}), "operator": "or", "right": session(session_total_cost={"gt": 2})},
     ["s-1"]),
])  # fmt: skip
def test_filters_ask_of_requests_and_of_whole_sessions(ask, acme, filter_, wanted):
    two_sessions(acme.id)
    assert found(ask, filter=filter_) == wanted


def test_a_filter_on_requests_counts_only_those_that_match(ask, acme):
    two_sessions(acme.id)
    _, body = ask("query", PLAIN | {"filter": rmt(user_id={"equals": "bob"})})
    assert (body["data"][0]["total_requests"], body["data"][0]["total_cost"]) == (1, 0.5)


def test_count_sums_and_divides_by_sessions(ask, acme):
    two_sessions(acme.id)
    assert ask("count", PLAIN) == (200, {"error": None, "data": {
        "count": 2, "total_cost": 3.0, "avg_cost": 1.5, "avg_latency": 2250.0, "avg_requests": 1.5,
    }})  # fmt: skip


def test_count_of_nothing_is_zeroes(ask, acme):
    assert ask("count", PLAIN)[1]["data"] == {
        "count": 0, "total_cost": 0.0, "avg_cost": 0.0, "avg_latency": 0.0, "avg_requests": 0.0,
    }  # fmt: skip


def test_names_are_counted_by_session(ask, acme):
    two_sessions(acme.id)
    assert ask("name/query", NAMED | {"nameContains": "AG"}) == (200, {"error": None, "data": [{
        "name": "agent", "created_at": "2026-03-02 12:00:00.250", "last_used": "2026-03-02 12:01:00.250",
        "first_used": "2026-03-02 12:00:00.250", "session_count": 1, "avg_latency": 2000.0,
    }]})  # fmt: skip
    assert [one["name"] for one in ask("name/query", NAMED)[1]["data"]] == ["", "agent"]


def test_metrics_are_ten_bins_up_to_a_percentile_and_averages_of_all(ask, acme):
    keep([
        call(acme.id, NOON + timedelta(seconds=place), session=f"s{number}", session_name="n",
             cost_nano_usd=number * 10**9)
        for number in range(21) for place in range(number % 2 + 1)
    ])  # fmt: skip
    _, body = ask("metrics/query", NAMED | {"nameContains": "n", "pSize": "p50"})
    data = body["data"]
    assert len(data["session_cost"]) == 10
    assert data["session_cost"][0]["range_start"] == "0.0"
    assert sum(one["value"] for one in data["session_count"]) == 11
    assert data["average"]["session_count"] == [{"average": 31 / 21}]
    assert ask("metrics/query", NAMED | {"nameContains": "nobody"})[1]["data"]["session_cost"] == []


@pytest.mark.parametrize(("change", "place", "message"), [
    ({"limit": "x"}, "requestBody.limit", "invalid float number"),
    ({"limit": True}, "requestBody.limit", "invalid float number"),
    ({"search": 5}, "requestBody.search", "invalid string value"),
    ({"timeFilter": {}}, "requestBody.timeFilter", "expected {startTimeUnixMs"),
    ({"size": 1}, "requestBody.size", '"size" is an excess property'),
    ({"filter": {"nonsense": {}}}, "requestBody.filter.nonsense", "There is no table"),
    ({"filter": rmt(nonsense={"equals": "1"})}, "requestBody.filter.request_response_rmt.nonsense", "no column"),
    ({"filter": session(session_total_cost={"gt": "much"})},
     "requestBody.filter.sessions_request_response_rmt.session_total_cost.gt", "amount in USD"),
    ({"filter": rmt(model={"like": "x\\"})}, "requestBody.filter.request_response_rmt.model.like", "backslash"),
    ({"filter": reduce(lambda tree, _: {"left": tree, "operator": "or", "right": tree}, range(10),
                       rmt(model={"equals": "m"}))}, "requestBody.filter", "at most 1000"),
])  # fmt: skip
def test_a_body_that_is_not_right_is_refused_by_place(ask, acme, change, place, message):
    status, body = ask("query", PLAIN | change)
    assert (status, body["message"]) == (422, "Validation Failed")
    found_place, detail = next(iter(body["details"].items()))
    assert found_place.startswith(place)
    assert message in detail["message"]


@pytest.mark.parametrize("path", ["query", "count"])
@pytest.mark.parametrize("key", ["search", "timeFilter", "timezoneDifference", "filter"])
def test_what_is_required_is_required(ask, acme, path, key):
    status, body = ask(path, {name: value for name, value in PLAIN.items() if name != key})
    assert (status, body["details"]) == (422, {f"requestBody.{key}": {"message": f"'{key}' is required"}})


@pytest.mark.parametrize("path", ["query", "count", "name/query", "metrics/query"])
def test_a_time_zone_of_more_than_a_day_is_refused(ask, acme, path):
    body = PLAIN if path in {"query", "count"} else NAMED
    wanted = (500, {"data": None, "error": "Invalid timezone difference"})
    assert ask(path, body | {"timezoneDifference": 1441}) == wanted


@pytest.mark.parametrize("path", ["query", "count", "name/query", "metrics/query"])
def test_no_organisation_sees_anothers_sessions(ask, acme, globex, path):
    two_sessions(globex.id)
    body = PLAIN if path in {"query", "count"} else NAMED | {"nameContains": "agent"}
    assert "agent" not in json.dumps(ask(path, body))
    assert ask("count", PLAIN)[1]["data"]["count"] == 0


@pytest.mark.parametrize("header", ["", "Bearer sk-helicone-aaaaaaa-aaaaaaa-aaaaaaa-aaaaaaa"])
def test_without_a_known_key_nothing_is_told(client, db, header):
    headers = {"Authorization": header} if header else {}
    answer = client.post("/v1/session/query", "{}", content_type="application/json", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["trace"] == "isAuthenticated.error"


def test_a_key_that_may_only_read_may_ask_and_one_that_may_only_write_may_not(client, acme):
    for permissions, status in (("r", 200), ("rw", 200), ("w", 401)):
        answer = client.post("/v1/session/query", json.dumps(PLAIN), content_type="text/plain",
                             headers={"Authorization": f"Bearer {acme.key(permissions)}"})  # fmt: skip
        assert answer.status_code == status


@pytest.mark.parametrize("body", ["", "[]", '"x"', "{", "null"])
def test_a_body_that_is_no_object_is_a_clear_error(client, acme, body):
    answer = client.post("/v1/session/query", body, content_type="application/json",
                         headers={"Authorization": f"Bearer {acme.key()}"})  # fmt: skip
    assert answer.status_code in {400, 422}
    assert answer.json()


def test_text_no_database_can_hold_finds_nothing(ask, acme):
    two_sessions(acme.id)
    assert found(ask, search="s\x00-1") == ["s-1"]
    assert found(ask, search="\ud800") == []
