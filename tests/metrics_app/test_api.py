"""Helicone's metric, user and property endpoints: shapes, units, strictness, and who sees what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lib import clock
from metrics_app import queries_scores
from tests.factories import api_key, bearer
from tests.metrics_app.counted import count, fold_all, sown
from tests.requests_app.factories import make_row

DAY = datetime(2026, 11, 10, tzinfo=UTC)
TIMES = {"start": "2026-11-10T00:00:00Z", "end": "2026-11-11T00:00:00Z"}
RANGE = {"filter": "all", "timeFilter": TIMES}
SERIES = {**RANGE, "dbIncrement": "hour", "timeZoneDifference": 0}
TABLE = {**RANGE, "offset": 0, "limit": 10}
pytestmark = pytest.mark.django_db


@pytest.fixture
def post(cast, client):
    key = api_key(cast.acme)

    def send(path, body, *, status=200, headers=None):
        answer = client.post(path, body, content_type="application/json", headers=headers or bearer(key))
        assert answer.status_code == status, answer.content
        return answer.json() if status != 200 else answer.json()["data"]

    return send


@pytest.fixture
def rows(cast):
    made = [
        make_row(cast.acme.pk, DAY + timedelta(hours=9, minutes=5), end_user_id="ann", country_code="DE",
                 properties={"env": "prod"}, cache_read_tokens=200, reasoning_tokens=10, time_to_first_token_ms=100),
        make_row(cast.acme.pk, DAY + timedelta(hours=9, minutes=50), end_user_id="bob", status=429, cost_nano_usd=None,
                 properties={"env": "dev"}, duration_ms=180, input_tokens=None, output_tokens=None),
        make_row(cast.acme.pk, DAY + timedelta(hours=11), provider="anthropic", model="claude", cached=True,
                 cost_nano_usd=1_000_000_000, input_tokens=0, output_tokens=0),
    ]  # fmt: skip
    count(made)
    fold_all(cast.acme.pk)
    count([make_row(cast.umbrella.pk, DAY + timedelta(hours=9), end_user_id="zoe", properties={"env": "zoo"})])
    return made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("totalRequests", 3), ("totalCost", 1.00602), ("averageLatency", (1820 + 180 + 1820) / 3),
        ("averageTimeToFirstToken", 100), ("totalThreats", 0), ("activeUsers", 2),
        ("averageTokensPerRequest", {
            "average_prompt_tokens_per_response": 1004 / 3, "average_completion_tokens_per_response": 100,
            "average_total_tokens_per_response": 1304 / 3,
        }),
    ],
)  # fmt: skip
def test_one_number_over_a_range(post, rows, name, value):
    assert post(f"/v1/metrics/{name}", RANGE) == pytest.approx(value)


def test_requests_are_counted_over_all_time(post, rows):
    assert post("/v1/metrics/requestCount", {"filter": {}}) == 3
    assert post("/v1/metrics/requestCount", {"filter": {}, "isCached": True}) == 1


@pytest.mark.parametrize(
    ("name", "nine", "ten"),
    [
        ("requestOverTime", {"count": 2}, {"count": 0}), ("costOverTime", {"cost": 0.00602}, {"cost": 0}),
        ("tokensOverTime", {"prompt_tokens": 1004, "completion_tokens": 300},
         {"prompt_tokens": 0, "completion_tokens": 0}),
        ("latencyOverTime", {"duration": 1000}, {"duration": 0}), ("timeToFirstToken", {"ttft": 100}, {"ttft": 0}),
        ("usersOverTime", {"count": 2}, {"count": 0}), ("threatsOverTime", {"count": 0}, {"count": 0}),
        ("errorOverTime", {"count": 1}, {"count": 0}),
    ],
)  # fmt: skip
def test_a_series_has_every_step(post, rows, name, nine, ten):
    found = post(f"/v1/metrics/{name}", SERIES)
    assert len(found) == 24
    assert found[9] == {"time": "2026-11-10T09:00:00.000Z", **nine}
    assert found[10] == {"time": "2026-11-10T10:00:00.000Z", **ten}


def test_days_are_those_of_the_callers_zone(post, rows):
    found = post("/v1/metrics/requestOverTime", {**SERIES, "dbIncrement": "day", "timeZoneDifference": -840})
    assert [(item["time"], item["count"]) for item in found] == [
        ("2026-11-09T10:00:00.000Z", 2), ("2026-11-10T10:00:00.000Z", 1)]  # fmt: skip


def test_statuses_over_time(post, rows):
    found = post("/v1/metrics/requestStatusOverTime", SERIES)
    nine = "2026-11-10T09:00:00.000Z"
    assert {(item["time"], item["status"], item["count"]) for item in found} >= {(nine, 200, 1), (nine, 429, 1)}


@pytest.mark.parametrize(("metric", "value"), [("latency", 1820), ("prompt_tokens", 1004), ("completion_tokens", 300)])
def test_quantiles_over_time(post, rows, metric, value):
    found = post("/v1/metrics/quantiles", {**SERIES, "metric": metric})
    assert set(found[9]) == {"time", "p75", "p90", "p95", "p99"}
    assert found[9]["p99"] == pytest.approx(value, rel=0.01)


def test_tables_of_models_countries_and_providers(post, rows):
    models = post("/v1/metrics/models", TABLE)
    assert models[0] == {"model": "gpt-4o", "total_requests": 2, "total_completion_tokens": 300,
                         "total_prompt_token": 1004, "total_tokens": 1304, "cost": 0.00602}  # fmt: skip
    assert post("/v1/metrics/country", TABLE) == [
        {"country": "", "total_requests": 2}, {"country": "DE", "total_requests": 1}]  # fmt: skip
    assert {item["provider"] for item in post("/v1/providers", TABLE)} == {"OPENAI", "ANTHROPIC"}


def test_users_and_their_sums(post, rows):
    every = {user["user_id"]: user for user in post("/v1/user/query", {})}
    assert every["ann"] == {
        "user_id": "ann",
        "count": 1,
        "prompt_tokens": 1004,
        "completion_tokens": 300,
        "cost": 0.00602,
    }
    assert set(every) == {"ann", "bob", ""}
    assert [user["user_id"] for user in post("/v1/user/query", {"userIds": ["bob"]})] == ["bob"]
    seconds = {"startTimeUnixSeconds": DAY.timestamp(), "endTimeUnixSeconds": (DAY + timedelta(hours=10)).timestamp()}
    assert {user["user_id"] for user in post("/v1/user/query", {"timeFilter": seconds})} == {"ann", "bob"}


def test_users_in_any_order_under_any_condition(post, rows):
    body = {"filter": "all", "offset": 0, "limit": 10, "sort": {"cost": "desc"}}
    found = post("/v1/user/metrics/query", body)
    assert (found["count"], found["hasUsers"]) == (3, True)
    assert [user["user_id"] for user in found["users"]] == ["", "ann", "bob"]
    assert found["users"][1] == {
        "id": "ann", "user_id": "ann", "active_for": 1, "first_active": "2026-11-10T09:05:00.000Z",
        "last_active": "2026-11-10T09:05:00.000Z", "total_requests": 1, "average_requests_per_day_active": 1,
        "average_tokens_per_request": 1304, "total_completion_tokens": 300, "total_prompt_tokens": 1004,
        "cost": 0.00602,
    }  # fmt: skip
    costly = {"left": {"users_view": {"user_cost": {"gt": 0.001}}}, "operator": "and",
              "right": {"request_response_rmt": {"user_id": {"not-equals": ""}}}}  # fmt: skip
    found = post("/v1/user/metrics/query", {**body, "filter": costly})
    assert [user["user_id"] for user in found["users"]] == ["ann"]
    assert "Limit" in post("/v1/user/metrics/query", {**body, "limit": 1001}, status=400)["error"]


def test_how_users_spread(post, rows):
    found = post("/v1/user/metrics-overview/query", {"filter": "all", "pSize": "p99", "useInterquartile": False})
    assert sum(one["value"] for one in found["request_count"]) == 3
    assert set(found["user_cost"][0]) == {"range_start", "range_end", "value"}


def test_properties_and_their_values(post, rows):
    assert post("/v1/property/query", {}) == [{"property": "env"}]
    assert post("/v1/property/env/search", {"searchTerm": "PR"}) == ["prod"]
    body = {
        "timeFilter": TIMES,
        "userFilter": "all",
        "dbIncrement": "hour",
        "timeZoneDifference": 0,
        "propertyKey": "env",
    }
    over = post("/v1/property/properties/over-time", body)
    assert {"property": "prod", "total_cost": 0.00602, "request_count": 1,
            "created_at_trunc": "2026-11-10T09:00:00.000Z"} in over  # fmt: skip
    assert len(over) == 2
    requests = post("/v1/property/env/top-requests/query", {"timeFilter": TIMES})
    assert sorted((item["value"], item["count"]) for item in requests) == [("dev", 1), ("prod", 1)]
    for key in ("env", "Env"):
        top = post(f"/v1/property/{key}/top-costs/query", {"timeFilter": TIMES})
        assert top[0] == {"value": "prod", "cost": 0.00602}


def test_beyond_ten_values_the_rest_is_other(cast, post):
    count(
        [
            make_row(cast.acme.pk, DAY + timedelta(hours=1), properties={"n": str(n)})
            for n in range(15)
            for _ in range(n + 1)
        ]
    )
    found = post("/v1/property/n/top-requests/query", {"timeFilter": TIMES})
    assert [item["value"] for item in found] == [*(str(n) for n in range(14, 4, -1)), "Other"]
    assert found[-1]["count"] == 1 + 2 + 3 + 4 + 5


def test_a_property_may_have_a_slash_in_its_name(cast, post):
    count([make_row(cast.acme.pk, DAY + timedelta(hours=1), properties={"team/area": "a"})])
    for name in ("team/area", "team%2Farea"):
        assert post(f"/v1/property/{name}/search", {"searchTerm": ""}) == ["a"]
        top = post(f"/v1/property/{name}/top-requests/query", {"timeFilter": TIMES})
        assert top == [{"value": "a", "count": 1}]


def test_any_question_in_our_own_words(post, rows):
    body = {"metrics": ["requests", "cost", "duration_p50"], "by": ["model"], "from": TIMES["start"],
            "to": TIMES["end"],
            "filter": "status:<400 (model:gpt-4o OR cached:true)"}  # fmt: skip
    found = post("/v1/metrics/query", body)
    assert found["total"] == {"requests": 2, "cost": 1.00602, "duration_p50": pytest.approx(1820, rel=0.01)}
    assert {row["model"]: row["requests"] for row in found["rows"]} == {"gpt-4o": 1, "claude": 1}
    assert found["source"] == ["usage_day"]
    named = post("/v1/metrics/query", {"by": ["property.Env"], "from": TIMES["start"], "to": TIMES["end"]})
    assert {row["property.Env"]: row["requests"] for row in named["rows"]} == {"prod": 1, "dev": 1, None: 1}
    assert "time zone" in post("/v1/metrics/query", {"by": ["time"], "zone": "localtime"}, status=400)["error"]
    assert "whole" in post("/v1/metrics/query", {"limit": 2.5}, status=400)["error"]
    assert "metric" in post("/v1/metrics/query", {"metrics": ["love"]}, status=400)["error"]
    assert "422" not in post("/v1/metrics/query", {"filter": "moon:1"}, status=422)["message"]


def test_all_money_is_told_in_usd(cast, post):
    hit = {"cached": True, "usage_parts": {"saved_nano_usd": 2_500_000, "saved_ms": 40}, "cost_nano_usd": 1_000_000}
    count([make_row(cast.acme.pk, DAY + timedelta(hours=1), **hit)])
    body = {"metrics": ["saved_cost", "cost", "cost_per_request", "saved_ms"],
            "from": TIMES["start"], "to": TIMES["end"]}  # fmt: skip
    assert post("/v1/metrics/query", body)["total"] == {
        "saved_cost": 0.0025, "cost": 0.001, "cost_per_request": 0.001, "saved_ms": 40,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ({"like": "a%"}, ["ann"]), ({"like": "A%"}, []), ({"ilike": "_NN"}, ["ann"]), ({"contains": "B"}, ["bob"]),
        ({"not-equals": "ann"}, ["", "bob"]), ({"equals": ""}, [""]),
    ],
)  # fmt: skip
def test_users_are_asked_for_by_name_with_every_operator_of_text(post, rows, condition, held):
    body = {"filter": {"users_view": {"user_user_id": condition}}, "offset": 0, "limit": 10, "sort": {"id": "asc"}}
    assert [user["user_id"] for user in post("/v1/user/metrics/query", body)["users"]] == held


@pytest.mark.parametrize("condition", [{"gt": "a"}, {"equals": 5}, {"is": "ann"}])
def test_a_name_is_not_compared_with_numbers_or_by_size(post, rows, condition):
    body = {"filter": {"users_view": {"user_user_id": condition}}, "offset": 0, "limit": 10}
    assert "requestBody.filter" in post("/v1/user/metrics/query", body, status=422)["details"]


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("totalRequests", {"timeFilter": TIMES}, "requestBody.filter"),
        ("totalRequests", {**RANGE, "colour": 1}, "requestBody.colour"),
        ("totalRequests", {**RANGE, "timeFilter": {"start": 1}}, "requestBody.timeFilter"),
        ("totalRequests", {**RANGE, "filter": {"moon": {"x": {"equals": 1}}}}, "requestBody.filter.moon"),
        ("requestOverTime", RANGE, "requestBody.timeZoneDifference"),
        ("models", {**TABLE, "limit": "many"}, "requestBody.limit"),
        ("models", [], "requestBody"),
    ],
)  # fmt: skip
def test_a_body_that_does_not_fit_names_the_place(post, path, body, place):
    said = post(f"/v1/metrics/{path}", body, status=422)
    assert said["message"] == "Validation Failed"
    assert place in said["details"]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("totalRequests", {**RANGE, "timeFilter": {"start": "2026-11-11", "end": "2026-11-10"}}, "Invalid time filter"),
        ("totalRequests", {**RANGE, "timeFilter": {"start": "soon", "end": "later"}}, "Invalid time filter"),
        ("requestOverTime", {**SERIES, "dbIncrement": "eon"}, "Invalid time increment"),
        ("requestOverTime", {**SERIES, "timeZoneDifference": 5000}, "Invalid time zone difference"),
        ("quantiles", {**SERIES, "metric": "love"}, "Invalid metric"),
        ("models", {**TABLE, "offset": -1}, "Invalid offset or limit"),
    ],
)  # fmt: skip
def test_what_there_is_not_is_refused_in_helicones_words(post, path, body, words):
    assert post(f"/v1/metrics/{path}", body, status=400) == {"data": None, "error": words}


def test_a_key_sees_its_own_organisation_only(cast, client, post, rows):
    sown(cast.umbrella.pk, DAY + timedelta(hours=20), count_of=40, days=0.5)
    assert post("/v1/metrics/totalRequests", RANGE) == 3
    assert post("/v1/property/env/search", {"searchTerm": ""}) == ["dev", "prod"]
    assert "zoe" not in {user["user_id"] for user in post("/v1/user/query", {})}


def test_users_by_when_they_were_seen_have_times_to_the_millisecond(cast, post, rows):
    later = DAY + timedelta(days=2, hours=3, milliseconds=250)
    count([
        make_row(cast.acme.pk, later, end_user_id="ann"),
        make_row(cast.acme.pk, later + timedelta(hours=1), end_user_id="bob"),
        make_row(cast.acme.pk, later + timedelta(hours=2), end_user_id="ann", kind="tool"),
    ])  # fmt: skip
    fold_all(cast.acme.pk)
    body = {"filter": "all", "offset": 0, "limit": 2}
    found = post("/v1/user/metrics/query", body)["users"]
    assert [(user["user_id"], user["active_for"], user["last_active"]) for user in found] == [
        ("bob", 2, "2026-11-12T04:00:00.250Z"), ("ann", 2, "2026-11-12T03:00:00.250Z"),
    ]  # fmt: skip
    assert found[1]["first_active"] == "2026-11-10T09:05:00.000Z"
    [nobody] = post("/v1/user/metrics/query", {**body, "offset": 2})["users"]
    assert (nobody["last_active"], nobody["active_for"]) == ("2026-11-10T11:00:00.000Z", 1)
    since = {"users_view": {"user_last_active": {"gt": "2026-11-12T03:30:00Z"}}}
    assert [user["user_id"] for user in post("/v1/user/metrics/query", {**body, "filter": since})["users"]] == ["bob"]


@pytest.mark.parametrize("sort", [None, {"total_requests": "desc"}, {"average_tokens_per_request": "asc"}])
@pytest.mark.parametrize("held", ["all", {"users_view": {"user_total_requests": {"gte": 1}}}])
def test_users_have_exact_times_whatever_they_are_filtered_and_sorted_by(cast, post, rows, sort, held):
    fold_all(cast.acme.pk)
    body = {"filter": held, "offset": 0, "limit": 10, **({"sort": sort} if sort else {})}
    found = {user["user_id"]: user for user in post("/v1/user/metrics/query", body)["users"]}
    assert found["ann"]["first_active"] == found["ann"]["last_active"] == "2026-11-10T09:05:00.000Z"
    assert found[""]["last_active"] == "2026-11-10T11:00:00.000Z"


@pytest.mark.parametrize(("sort", "first"), [
    ({"user_id": "asc"}, ""), ({"id": "desc"}, "bob"), ({"total_prompt_tokens": "desc"}, "ann"),
    ({"active_for": "asc"}, None), ({"average_requests_per_day_active": "desc"}, None),
    ({"rate_limited_count": "desc"}, None),
])  # fmt: skip
def test_users_in_every_order_there_is(post, rows, sort, first):
    found = post("/v1/user/metrics/query", {"filter": "all", "offset": 0, "limit": 10, "sort": sort})["users"]
    assert len(found) == 3
    assert first in (None, found[0]["user_id"])


def test_a_hidden_property_is_out_of_the_list_until_it_is_restored(cast, post, rows):
    count([make_row(cast.acme.pk, DAY, properties={"team": "a"})])
    for _ in range(2):
        assert post("/v1/property/hide", {"key": "Env"}) == {"ok": True}
    assert post("/v1/property/query", {}) == [{"property": "team"}]
    assert post("/v1/property/hidden/query", None) == [{"property": "env"}]
    assert post("/v1/property/env/search", {"searchTerm": ""}) == ["dev", "prod"]
    umbrella = bearer(api_key(cast.umbrella))
    assert post("/v1/property/hidden/query", {}, headers=umbrella) == []
    post("/v1/property/restore", {"key": "env"}, headers=umbrella)
    assert post("/v1/property/hidden/query", {}) == [{"property": "env"}]
    assert post("/v1/property/restore", {"key": "env"}) == {"ok": True}
    assert {one["property"] for one in post("/v1/property/query", {})} == {"env", "team"}
    assert "requestBody.key" in post("/v1/property/hide", {"key": ""}, status=422)["details"]


def test_a_key_that_may_only_read_hides_nothing(cast, post, rows):
    reader = bearer(api_key(cast.acme, permissions="r"))
    assert post("/v1/property/hide", {"key": "env"}, headers=reader, status=401)["error"]
    assert post("/v1/property/hidden/query", {}, headers=reader) == []


def test_scores_over_time_are_averages_by_name(cast, post, rows, monkeypatch):
    at = DAY + timedelta(hours=9)
    count([
        make_row(cast.acme.pk, at, scores={"good": 1.0, "fast": 0}),
        make_row(cast.acme.pk, at + timedelta(minutes=1), scores={"good": 4}, end_user_id="cy"),
        make_row(cast.acme.pk, at + timedelta(hours=1), scores={"good": 7}),
        make_row(cast.umbrella.pk, at, scores={"good": 100}),
    ])  # fmt: skip
    body = {"timeFilter": TIMES, "userFilter": "all", "dbIncrement": "hour", "timeZoneDifference": 0}
    nine, ten = "2026-11-10T09:00:00.000Z", "2026-11-10T10:00:00.000Z"
    assert post("/v1/dashboard/scores/query", body) == [
        {"score_key": "fast", "score_sum": 0, "created_at_trunc": nine},
        {"score_key": "good", "score_sum": 2.5, "created_at_trunc": nine},
        {"score_key": "good", "score_sum": 7, "created_at_trunc": ten},
    ]
    mine = {"request_response_rmt": {"user_id": {"equals": "cy"}}}
    assert [one["score_sum"] for one in post("/v1/dashboard/scores/query", {**body, "userFilter": mine})] == [4]
    monkeypatch.setattr(queries_scores, "MOST_SCORED", 2)
    assert [one["score_sum"] for one in post("/v1/dashboard/scores/query", body)] == [4, 7]
    post("/v1/dashboard/scores/query", {"timeFilter": TIMES, "userFilter": "all"}, status=422)


def test_without_a_key_there_is_no_answer(client, db):
    answer = client.post("/v1/metrics/totalRequests", RANGE, content_type="application/json")
    assert answer.status_code == 401


def test_now_is_within_the_last_day(cast, post):
    count([make_row(cast.acme.pk, clock.now() - timedelta(seconds=5))])
    assert post("/v1/metrics/query", {"range": "24h"})["total"] == {"requests": 1}


@pytest.mark.parametrize("path", ["/v1/metrics/totalRequests", "/v1/metrics/query"])
def test_an_error_nobody_expected_is_told_in_json_too(cast, client, monkeypatch, path):
    def fails(*_):
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("metrics_app.api.answer", fails)
    client.raise_request_exception = False
    headers = bearer(api_key(cast.acme))
    answer = client.post(path, RANGE if "total" in path else {}, "application/json", headers=headers)
    assert (answer.status_code, answer.json()["data"]) == (500, None)
    assert "its log says which" in answer.json()["error"]
