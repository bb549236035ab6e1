from __future__ import annotations

import logging
import re
from datetime import timedelta

import pytest
import redis
from django.core import mail as outbox
from django.core.cache import cache

from accounts_app import actions, attempts, queries
from accounts_app.models import AuditEntry, Invitation, Membership, Role, User
from lib import clock
from tests.factories import PASSWORD, Cast, browser, membership, organization, person

LINK = re.compile(r"link=(\S+)")


def path_in(caplog: pytest.LogCaptureFixture) -> str:
    """The path of the link the operator would see in the log."""
    found = LINK.search(caplog.text)
    assert found is not None, caplog.text
    return "/" + found.group(1).split("/", 3)[3]


def log_in(client, email: str, password: str = PASSWORD, **data: str):
    return client.post("/login", {"email": email, "password": password, **data})


def test_a_member_logs_in_with_an_address_in_any_case(cast: Cast):
    client = browser()
    assert log_in(client, "Alice@Example.org").status_code == 302
    assert client.session["_auth_user_id"] == str(cast.alice.pk)


def test_a_wrong_password_is_refused_with_a_sentence(cast: Cast):
    answer = log_in(browser(), "alice@example.org", "wrong")
    assert answer.status_code == 401
    assert "do not go together" in answer.text


def test_after_login_one_lands_where_one_wanted_to_go_but_never_on_another_site(cast: Cast):
    assert log_in(browser(), "alice@example.org", next="/settings/keys").headers["Location"] == "/settings/keys"
    assert log_in(browser(), "alice@example.org", next="https://evil.example/x").headers["Location"] == "/"


def test_the_admin_has_no_door_beside_the_one_that_counts_tries(cast: Cast):
    client = browser()
    assert client.get("/admin/login/?next=/admin/").headers["Location"] == "/login?next=/admin/"
    answer = client.post("/admin/login/", {"username": "alice@example.org", "password": PASSWORD})
    assert answer.headers["Location"].startswith("/login")
    assert "_auth_user_id" not in client.session
    log_in(client, "alice@example.org")
    assert client.get("/admin/login/").status_code == 403
    User.objects.update(is_staff=True)
    assert client.get("/admin/login/?next=/admin/").headers["Location"] == "/admin/"


def test_ten_wrong_passwords_from_one_place_stop_even_the_right_one(cast: Cast):
    for _ in range(attempts.MOST):
        log_in(browser(), "alice@example.org", "wrong")
    answer = log_in(browser(), "alice@example.org")
    assert answer.status_code == 401
    assert "Too many tries" in answer.text
    assert log_in(browser(), "bob@example.org").status_code == 302


def test_without_redis_nobody_is_locked_out(cast: Cast, monkeypatch: pytest.MonkeyPatch):
    def gone(*_args, **_kwargs):
        raise redis.ConnectionError("gone")

    for name in ("get", "add", "incr", "delete"):
        monkeypatch.setattr(cache, name, gone)
    assert log_in(browser(), "alice@example.org", "wrong").status_code == 401
    assert log_in(browser(), "alice@example.org").status_code == 302


def test_logging_out_takes_a_post(cast: Cast):
    client = browser(cast.alice)
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").headers["Location"] == "/login"
    assert "_auth_user_id" not in client.session


def test_a_forgotten_password_is_reset_by_the_link_in_the_operators_log(cast: Cast, caplog):
    caplog.set_level(logging.WARNING, "accounts")
    answer = browser().post("/password/forgot", {"email": "Alice@example.org"})
    assert "link is in its log" in answer.text
    path, client = path_in(caplog), browser()
    assert client.get(path).status_code == 200
    assert client.post(path, {"password": "brand-new-horse-9"}).headers["Location"] == "/"
    assert client.session["_auth_user_id"] == str(cast.alice.pk)
    assert log_in(browser(), "alice@example.org", "brand-new-horse-9").status_code == 302
    assert browser().get(path).status_code == 410
    written = AuditEntry.objects.filter(action="password reset")
    assert {(one.organization_id, one.user_id) for one in written} == {(cast.acme.pk, cast.alice.pk)}
    assert "brand-new" not in str([one.detail for one in written])


def test_a_reset_mails_the_link_where_a_mail_server_is_set(cast: Cast, settings, caplog):
    settings.EMAIL_HOST = "mail.example.org"
    browser().post("/password/forgot", {"email": "alice@example.org"})
    assert "/password/set/" in outbox.outbox[0].body
    assert "/password/set/" not in caplog.text


def test_an_unknown_address_gets_the_same_answer_and_no_link(cast: Cast, caplog):
    known = browser().post("/password/forgot", {"email": "alice@example.org"}).text
    caplog.clear()
    unknown = browser().post("/password/forgot", {"email": "mallory@example.org"}).text
    assert unknown.replace("mallory", "alice") == known
    assert "link=" not in caplog.text


def test_a_weak_new_password_is_refused(cast: Cast, caplog):
    browser().post("/password/forgot", {"email": "alice@example.org"})
    answer = browser().post(path_in(caplog), {"password": "short"})
    assert answer.status_code == 200
    assert "at least 10 characters" in answer.text


@pytest.mark.parametrize("path", ["/password/set/x/y", "/password/set/MQ/y", "/invitations/nothing"])
def test_a_made_up_link_is_dead(db, path: str):
    assert browser().get(path).status_code == 410


def invited(cast: Cast, email: str, role: Role = Role.MEMBER) -> str:
    by = Membership.objects.get(organization=cast.acme, user=cast.alice)
    return f"/invitations/{actions.invite(by, email, role)}"


def test_a_new_person_joins_by_invitation_and_is_logged_in(cast: Cast):
    path, client = invited(cast, "dora@example.org", Role.VIEWER), browser()
    assert "dora@example.org" in client.get(path).text
    assert client.post(path, {"name": "Dora", "password": PASSWORD}).headers["Location"] == "/"
    dora = User.objects.get(email="dora@example.org")
    assert [(m.organization, m.role) for m in queries.memberships_of(dora.pk)] == [(cast.acme, Role.VIEWER)]
    assert client.get("/settings").status_code == 200
    assert browser().get(path).status_code == 410


def test_somebody_with_an_account_logs_in_first_and_then_joins(cast: Cast):
    path = invited(cast, "charlie@example.org")
    assert f"/login?next={path}" in browser().get(path).text
    refused = browser().post(path, {"name": "Charlie", "password": PASSWORD})
    assert refused.status_code == 200 and len(queries.memberships_of(cast.charlie.pk)) == 1
    assert browser(cast.charlie).post(path).headers["Location"] == "/"
    assert {m.organization for m in queries.memberships_of(cast.charlie.pk)} == {cast.acme, cast.umbrella}


def test_an_old_invitation_is_dead(cast: Cast):
    path = invited(cast, "dora@example.org")
    Invitation.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    assert browser().get(path).status_code == 410


def test_inviting_again_makes_the_first_link_dead(cast: Cast):
    first, second = invited(cast, "dora@example.org"), invited(cast, "dora@example.org")
    assert browser().get(first).status_code == 410
    assert browser().get(second).status_code == 200


def test_one_with_a_single_organization_need_not_choose(cast: Cast):
    assert browser(cast.bob).get("/settings").status_code == 200


def test_one_with_several_chooses_once_and_comes_back(cast: Cast):
    membership(cast.umbrella, cast.bob)
    client = browser(cast.bob)
    answer = client.get("/settings/keys")
    assert answer.headers["Location"] == "/organizations?next=%2Fsettings%2Fkeys"
    chosen = client.post("/organizations/switch", {"organization": cast.umbrella.pk, "next": "/settings/keys"})
    assert chosen.headers["Location"] == "/settings/keys"
    assert "Umbrella" in client.get("/settings/keys").text


def test_nobody_switches_into_an_organization_they_are_not_in(cast: Cast):
    client = browser(cast.charlie)
    assert client.post("/organizations/switch", {"organization": cast.acme.pk}).headers["Location"] == "/organizations"
    assert "organization_id" not in client.session


def test_somebody_without_an_organization_founds_one(db):
    client = browser(person("dora@example.org"))
    assert client.get("/settings").headers["Location"].startswith("/organizations")
    assert client.post("/organizations", {"name": "Dora & Sons"}).headers["Location"] == "/"
    assert "Dora &amp; Sons" in client.get("/settings").text


def test_a_removed_member_is_out_at_the_next_request(cast: Cast):
    organization("Second", bob=(cast.bob, Role.VIEWER))
    client = browser(cast.bob)
    client.post("/organizations/switch", {"organization": cast.acme.pk})
    Membership.objects.get(organization=cast.acme, user=cast.bob).delete()
    assert client.get("/settings").headers["Location"].startswith("/organizations")
