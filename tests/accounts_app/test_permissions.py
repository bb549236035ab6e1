from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.models import ApiKey, Membership, Role
from accounts_app.permissions import MayRead, MayWrite, OrganizationRequest, caller_of, is_at_least, page
from lib import clock
from tests.factories import Cast, api_key, bearer, browser


@api_view(["GET", "POST"])
def read(request: Request) -> Response:
    return Response({"organization": caller_of(request).organization_id})


@api_view(["POST"])
@permission_classes([MayWrite])
def write(request: Request) -> Response:
    return Response({"organization": caller_of(request).organization_id})


@page(role=Role.ADMIN)
def admins_only(request: OrganizationRequest) -> HttpResponse:
    return HttpResponse(request.membership.organization.name)


urlpatterns = [
    path("x/read", read),
    path("x/write", write),
    path("x/admins", admins_only),
    path("", include("helicone_site.urls")),
]
pytestmark = pytest.mark.usefixtures("these_urls")


@pytest.fixture
def these_urls():
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.mark.parametrize(
    ("permissions", "reads", "writes"), [("rw", 200, 200), ("r", 200, 401), ("w", 401, 200)]
)
def test_a_key_does_what_its_letters_say(cast: Cast, permissions: str, reads: int, writes: int):
    headers = bearer(api_key(cast.acme, permissions))
    assert Client().post("/x/read", headers=headers).status_code == reads
    assert Client().post("/x/write", headers=headers).status_code == writes


def test_a_key_speaks_for_its_own_organization(cast: Cast):
    answer = Client().get("/x/read", headers=bearer(api_key(cast.umbrella)))
    assert answer.json() == {"organization": cast.umbrella.pk}


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "{}"])
def test_a_key_may_come_with_or_without_the_word_bearer(cast: Cast, form: str):
    key = api_key(cast.acme)
    assert Client().get("/x/read", headers={"Authorization": form.format(key)}).status_code == 200
    assert Client().get("/x/read", headers={"Helicone-Auth": form.format(key)}).status_code == 200


def test_a_revoked_key_and_an_unknown_one_are_refused_in_helicones_shape(cast: Cast):
    key = api_key(cast.acme)
    ApiKey.objects.update(revoked_at=clock.now())
    for tried in (key, "sk-helicone-unknown", ""):
        answer = Client().get("/x/read", headers=bearer(tried) if tried else {})
        assert answer.status_code == 401
        assert answer.json()["trace"] == "isAuthenticated.error"
        assert answer.json()["error"]
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_bad_key_is_refused_even_in_a_browser_that_is_logged_in(cast: Cast):
    assert browser(cast.alice).get("/x/read", headers=bearer("sk-helicone-unknown")).status_code == 401


def test_a_logged_in_member_calls_the_api_with_csrf_and_not_without(cast: Cast):
    assert browser(cast.bob).post("/x/write").json() == {"organization": cast.acme.pk}
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(cast.bob)
    assert strict.post("/x/write").status_code == 403


def test_a_viewer_reads_by_api_and_does_not_write(cast: Cast):
    Membership.objects.filter(user=cast.bob).update(role=Role.VIEWER)
    assert browser(cast.bob).post("/x/read").status_code == 200
    assert browser(cast.bob).post("/x/write").status_code == 401


def test_a_member_without_an_organization_reads_nothing(cast: Cast):
    Membership.objects.filter(user=cast.bob).delete()
    assert browser(cast.bob).get("/x/read").status_code == 401


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("member", 403), ("admin", 200), ("owner", 200)])
def test_a_page_takes_the_role_it_names_or_a_higher_one(cast: Cast, role: str, status: int):
    Membership.objects.filter(user=cast.bob).update(role=role)
    answer = browser(cast.bob).get("/x/admins")
    assert answer.status_code == status
    assert ("takes the role admin" in answer.text) == (status == 403)


def test_roles_stand_in_one_line():
    assert [is_at_least(role, Role.MEMBER) for role in ("viewer", "member", "admin", "owner")] == [
        False, True, True, True,
    ]  # fmt: skip


def test_a_lapsed_form_comes_back_to_a_page_that_can_be_got(db):
    assert browser().post("/x/admins").headers["Location"] == "/login?next=%2F"


def test_read_permission_is_what_the_api_asks_unless_told_otherwise():
    assert read.cls.permission_classes == [MayRead]
