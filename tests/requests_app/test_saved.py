"""Saved views: whose they are, what they hold, and the same by Helicone's API."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from django.http import QueryDict
from django.urls import reverse

from accounts_app.models import Role
from requests_app import filter_json, filter_url, saved
from requests_app.filters import leaves
from requests_app.models import SavedFilter
from tests import factories
from tests.factories import api_key, bearer, browser

pytestmark = pytest.mark.django_db
ERRORS = {"name": "Errors", "page": "requests", "query": "status=>=400&range=7d&older=1.2&csrfmiddlewaretoken=x"}
TREE = {"request_response_rmt": {"model": {"equals": "gpt-4o"}}}


def names(user):
    page = browser(user).get(reverse("requests"))
    return [one.name for one in page.context["saved"]]


def test_a_view_holds_its_address_without_the_place_in_it(cast):
    answer = browser(cast.alice).post(reverse("save-view"), {**ERRORS, "shared": "1"})
    [made] = SavedFilter.objects.all()
    assert made.query == "status=>=400&range=7d"
    assert unquote(answer["Location"]) == f"{reverse('requests')}?{made.query}"
    assert browser(cast.alice).get(answer["Location"]).context["asked"].complaint == ""


def test_a_shared_view_is_the_organisations_and_another_ones_makers(cast):
    browser(cast.alice).post(reverse("save-view"), {**ERRORS, "shared": "1"})
    browser(cast.alice).post(reverse("save-view"), {**ERRORS, "name": "Mine"})
    assert names(cast.alice) == ["Errors", "Mine"]
    assert names(cast.bob) == ["Errors"]
    assert names(cast.charlie) == []


def test_saving_a_name_again_replaces_it(cast):
    for query in ("status=500", "status=429"):
        browser(cast.bob).post(reverse("save-view"), {**ERRORS, "query": query})
    assert [one.query for one in SavedFilter.objects.all()] == ["status=429"]


def test_a_viewer_saves_for_themselves_only(cast):
    viewer = factories.person("viewer@example.org")
    factories.membership(cast.acme, viewer, Role.VIEWER)
    browser(viewer).post(reverse("save-view"), {**ERRORS, "shared": "1"})
    assert names(viewer) == ["Errors"] and names(cast.alice) == []


@pytest.mark.parametrize("said", [{"name": " "}, {"name": "x" * 201}, {"query": ""}, {"query": "older=1.2"}])
def test_what_cannot_be_saved_is_not(cast, said):
    browser(cast.alice).post(reverse("save-view"), {**ERRORS, **said})
    assert not SavedFilter.objects.exists()


def test_views_are_deleted_by_their_maker_and_shared_ones_by_admins(cast):
    for name, shared in (("a", "1"), ("b", "")):
        browser(cast.bob).post(reverse("save-view"), {**ERRORS, "name": name, "shared": shared})
    by_name = {one.name: one.pk for one in SavedFilter.objects.all()}
    for user, name, is_left in (
        (cast.charlie, "a", True), (cast.alice, "b", True), (cast.alice, "a", False), (cast.bob, "b", False)
    ):  # fmt: skip
        browser(user).post(reverse("delete-view", args=[by_name[name]]), {"query": "range=7d"})
        assert SavedFilter.objects.filter(pk=by_name[name]).exists() == is_left


def test_the_api_keeps_a_filter_as_it_was_given(cast, client):
    ours, theirs = (bearer(api_key(of)) for of in (cast.acme, cast.umbrella))
    made = client.post("/v1/filter", {"name": "f", "filter": TREE}, "application/json", headers=ours)
    assert made.status_code == 201
    address = f"/v1/filter/{made.json()['data']['id']}"
    assert client.get(address, headers=ours).json()["data"]["filter"] == TREE
    assert client.get(address, headers=theirs).status_code == 404
    assert client.get("/v1/filter", headers=theirs).json() == {"data": [], "error": None}
    changed = client.patch(address, {"name": "g"}, "application/json", headers=ours)
    assert changed.json()["data"]["name"] == "g"
    assert client.delete(address, headers=theirs).status_code == 404
    assert client.delete(address, headers=ours).status_code == 200
    assert client.get("/v1/filter", headers=ours).json()["data"] == []


def test_the_api_tells_a_pages_view_as_the_filter_it_means(cast, client):
    browser(cast.alice).post(reverse("save-view"), {**ERRORS, "query": "model=gpt-4o&range=7d", "shared": "1"})
    browser(cast.alice).post(reverse("save-view"), {**ERRORS, "name": "Mine"})
    [told] = client.get("/v1/filter", headers=bearer(api_key(cast.acme))).json()["data"]
    assert told["filter"] == TREE


def test_a_view_of_any_page_is_told_with_all_its_conditions(cast, client):
    """What is the page's own, as what it compares or sorts, is no condition; what Helicone has no column for is."""
    query = "model=gpt-4o&finish_reason=length&tool=*&compare=1&sort=cost&by=user&range=7d"
    browser(cast.alice).post(reverse("save-view"), {"name": "D", "page": "dashboard", "query": query, "shared": "1"})
    [told] = client.get("/v1/filter", headers=bearer(api_key(cast.acme))).json()["data"]
    meant = filter_url.parse(QueryDict("model=gpt-4o&finish_reason=length&tool=*"))
    assert set(leaves(filter_json.parse(told["filter"]))) == set(leaves(meant))


@pytest.mark.parametrize("body", [{}, {"name": "f"}, {"name": 3, "filter": {}}, {"name": "f", "filter": 3}, []])
def test_the_api_refuses_what_is_no_filter(cast, client, body):
    answer = client.post("/v1/filter", body, "application/json", headers=bearer(api_key(cast.acme)))
    assert answer.status_code == 400 and not SavedFilter.objects.exists()
    assert answer.json()["data"] is None and isinstance(answer.json()["error"], str)


def test_a_filter_that_is_not_there_and_a_change_that_is_none_are_told_in_helicones_shape(cast, client):
    key = bearer(api_key(cast.acme))
    answer = client.get("/v1/filter/7", headers=key)
    assert (answer.status_code, answer.json()["data"]) == (404, None)
    made = client.post("/v1/filter", {"name": "f", "filter": TREE}, "application/json", headers=key).json()["data"]
    answer = client.patch(f"/v1/filter/{made['id']}", "null", "application/json", headers=key)
    assert (answer.status_code, answer.json()["data"]) == (400, None)


def test_a_key_that_reads_does_not_save(cast, client):
    key = bearer(api_key(cast.acme, "r"))
    assert client.get("/v1/filter", headers=key).status_code == 200
    refused = client.post("/v1/filter", {"name": "f", "filter": TREE}, "application/json", headers=key)
    assert refused.status_code == 401


def test_an_address_is_cleaned_the_same_twice():
    once = saved.cleaned(ERRORS["query"])
    assert saved.cleaned(once) == once
