from __future__ import annotations

import json

import pytest

from accounts_app import keys
from accounts_app.models import ApiKey, Organization, Role
from helicone_site.demo import home
from tests.factories import membership, organization, person
from tests.requests_app.factories import make_request

pytestmark = pytest.mark.django_db


@pytest.fixture
def first(tmp_path):
    """The first login's organisation, its file, and where the demo remembers."""
    org = organization("Acme")
    membership(org, person("owner@example.com"), Role.OWNER)
    path = tmp_path / "first-login.json"
    path.write_text(json.dumps({"organization_id": org.pk, "api_key": "first key"}))
    return org, path, tmp_path / "demo.json"


def test_an_unused_installation_shows_the_demo_to_its_first_login(first):
    _, login, memory = first
    assert home.key(login, memory) == "first key"
    assert home.key(login, memory) == "first key"


def test_invented_calls_never_go_among_real_ones(first):
    org, login, memory = first
    make_request(org.pk)
    key = home.key(login, memory)
    found = ApiKey.objects.get(key_hash=keys.hash_key(key))
    assert found.organization != org
    assert found.organization.name == home.NAME
    assert [(one.user.email, one.role) for one in found.organization.memberships.all()] == [
        ("owner@example.com", Role.OWNER)
    ]
    assert home.key(login, memory) == key
    assert Organization.objects.count() == 2


def test_a_demo_goes_on_where_it_began(first):
    org, login, memory = first
    home.key(login, memory)
    make_request(org.pk)
    assert home.key(login, memory) == "first key"
