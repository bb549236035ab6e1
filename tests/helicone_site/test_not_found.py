"""Addresses that are nobody's."""

from __future__ import annotations

import pytest

from tests.factories import browser


@pytest.mark.parametrize("path", ["/v1/prompt/query", "/v1/request/0193/nothing", "/v1/nothing"])
def test_an_endpoint_that_is_not_here_is_told_to_clients_in_json(client, db, path):
    answer = client.post(path, "{}", content_type="application/json")
    assert answer.status_code == 404
    assert answer.json()["data"] is None
    assert path in answer.json()["error"]


def test_a_page_that_is_not_here_is_told_to_readers_as_a_page(client, db):
    answer = client.get("/nothing")
    assert answer.status_code == 404
    assert "<h1>Not here</h1>" in answer.content.decode()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("get", "/v1/request/query", "POST"), ("put", "/v1/filter", "GET, POST"), ("delete", "/v1/request/x", "GET")],
)
def test_a_wrong_method_is_told_in_the_same_shape(cast, method, path, allowed):
    answer = getattr(browser(cast.alice), method)(path)
    assert answer.status_code == 405
    assert answer.json()["data"] is None
    assert path in answer.json()["error"] and allowed in answer.json()["error"]
    assert set(allowed.split(", ")) <= set(answer["Allow"].split(", "))


def test_what_the_framework_refuses_is_told_in_the_same_shape(cast):
    bad = browser(cast.alice).post("/v1/filter", "{", content_type="application/json")
    assert (bad.status_code, bad.json()["data"]) == (400, None) and "JSON" in bad.json()["error"]


@pytest.mark.parametrize("method", ["get", "head"])
def test_the_icon_is_where_browsers_look_for_it(client, db, method):
    answer = getattr(client, method)("/favicon.ico")
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
