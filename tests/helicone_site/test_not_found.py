"""Addresses that are nobody's."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("path", ["/v1/prompt/query", "/v1/request/0193/feedback", "/v1/nothing"])
def test_an_endpoint_that_is_not_here_is_told_to_clients_in_json(client, db, path):
    answer = client.post(path, "{}", content_type="application/json")
    assert answer.status_code == 404
    assert answer.json()["data"] is None
    assert path in answer.json()["error"]


def test_a_page_that_is_not_here_is_told_to_readers_as_a_page(client, db):
    answer = client.get("/nothing")
    assert answer.status_code == 404
    assert "<h1>Not here</h1>" in answer.content.decode()
