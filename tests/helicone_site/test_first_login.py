"""helicone_site/first_login: a fresh start can be used at once, and nobody is locked out by a kill."""

from __future__ import annotations

import json
import stat

import pytest
from django.contrib.auth import authenticate
from django.db import transaction

from accounts_app.keys import hash_key
from accounts_app.models import ApiKey, Membership, Organization, Role, User
from helicone_site import first_login, places
from lib import files

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def login_file(tmp_path, monkeypatch):
    path = tmp_path / "first-login.json"
    monkeypatch.setattr(places, "FIRST_LOGIN_FILE", path)
    return path


def test_what_the_file_says_works(login_file, settings):
    first_login.make()
    login = json.loads(login_file.read_text())
    assert set(login) == {"url", "email", "password", "organization_id", "api_key"}
    assert login["url"] == settings.PUBLIC_URL
    user = authenticate(username=login["email"], password=login["password"])
    assert Membership.objects.get(user=user).role == Role.OWNER
    key = ApiKey.objects.get(key_hash=hash_key(login["api_key"]))
    assert (key.organization_id, key.permissions) == (login["organization_id"], "rw")
    assert stat.S_IMODE(login_file.stat().st_mode) == 0o600


def test_a_second_start_changes_nothing(login_file):
    first_login.make()
    said = login_file.read_text()
    first_login.make()
    assert login_file.read_text() == said
    assert (Organization.objects.count(), User.objects.count(), ApiKey.objects.count()) == (1, 1, 1)


def test_where_there_is_an_organisation_no_login_is_made(login_file):
    Organization.objects.create(name="Ours")
    first_login.make()
    assert not login_file.exists()
    assert not User.objects.exists()


def test_the_owner_may_be_named(login_file, monkeypatch):
    monkeypatch.setenv("FIRST_EMAIL", "ada@example.com")
    first_login.make()
    assert json.loads(login_file.read_text())["email"] == "ada@example.com"


def test_a_start_killed_before_the_commit_is_made_good_by_the_next(login_file):
    with pytest.raises(KeyboardInterrupt), transaction.atomic():
        first_login.make()
        raise KeyboardInterrupt
    stale = json.loads(login_file.read_text())
    assert not Organization.objects.exists()
    first_login.make()
    login = json.loads(login_file.read_text())
    assert login["password"] != stale["password"]
    assert authenticate(username=login["email"], password=login["password"])


def test_a_disk_that_takes_no_file_makes_no_login_nobody_knows(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "replace", full)
    with pytest.raises(OSError, match="No space"):
        first_login.make()
    assert not Organization.objects.exists()


def test_of_two_machines_the_later_one_steps_back(login_file, monkeypatch):
    User.objects.create_user(first_login.EMAIL, "theirs")
    first_login.make()
    assert not login_file.exists()
    assert not Organization.objects.exists()
