from __future__ import annotations

import re
from datetime import timedelta

import pytest

from accounts_app import actions, audit, keys
from accounts_app.models import ApiKey, AuditEntry, Invitation, Membership, Organization, ProviderKey, Role
from lib import clock
from tests.factories import PASSWORD, Cast, api_key, browser, membership, person

KEY = re.compile(r"sk-helicone(?:-[a-z2-7]{7}){4}")
PAGES = ("/settings", "/settings/keys", "/settings/provider-keys", "/settings/safety", "/settings/members",
         "/settings/profile", "/settings/audit", "/get-started")  # fmt: skip


def belonging(cast: Cast, user) -> Membership:
    return Membership.objects.get(organization=cast.acme, user=user)


def actions_done(cast: Cast) -> list[str]:
    return list(AuditEntry.objects.filter(organization=cast.acme).order_by("id").values_list("action", flat=True))


@pytest.mark.parametrize("path", PAGES)
def test_the_owner_sees_every_page(cast: Cast, path: str):
    answer = browser(cast.alice).get(path)
    assert answer.status_code == 200
    assert "Acme" in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_log_in_and_back(cast: Cast, path: str):
    assert browser().get(path).headers["Location"] == f"/login?next={path.replace('/', '%2F')}"


def test_a_fragments_request_moves_the_whole_window_to_the_login(cast: Cast):
    answer = browser().get("/settings/keys", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert answer.headers["HX-Redirect"].startswith("/login")


def test_the_audit_log_takes_an_admin(cast: Cast):
    assert browser(cast.bob).get("/settings/audit").status_code == 403


def test_the_audit_log_says_what_the_server_did_by_itself(cast: Cast):
    audit.record(cast.acme.pk, None, "repricing finished", changed=3)
    seen = browser(cast.alice).get("/settings/audit").text
    assert re.search(r"<td>the server</td>\s*<td>repricing finished</td>", seen)


def test_keys_and_invitations_outlive_who_made_them(cast: Cast):
    api_key(cast.acme, name="laptop")
    soon = {"expires_at": clock.now() + timedelta(days=1), "token_hash": "x"}
    Invitation.objects.create(organization=cast.acme, email="new@example.org", **soon)
    ProviderKey.objects.create(organization=cast.acme, provider="openai", sealed="s", hint="abcd")
    seen = {"/settings/keys": "laptop", "/settings/members": "new@example.org", "/settings/provider-keys": "abcd"}
    for path, words in seen.items():
        assert words in browser(cast.alice).get(path).text


# --- keys ------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_only_its_hash_is_kept(cast: Cast):
    client = browser(cast.bob)
    shown = KEY.findall(client.post("/settings/keys", {"name": "laptop", "permissions": "w"}).text)
    row = ApiKey.objects.get()
    assert keys.hash_key(shown[0]) == row.key_hash
    assert (row.organization, row.permissions, row.created_by) == (cast.acme, "w", cast.bob)
    assert shown[0].endswith(row.hint)
    again = client.get("/settings/keys").text
    assert "laptop" in again and not KEY.search(again)
    assert actions_done(cast) == ["key created"]


def test_the_snippets_carry_the_new_key_and_the_readers_own_address(cast: Cast, settings):
    settings.PUBLIC_URL = "https://llm.example.org"
    page = browser(cast.bob).post("/settings/keys", {"name": "laptop", "permissions": "rw"}).text
    key = KEY.findall(page)[0]
    assert f"ANTHROPIC_BASE_URL=&quot;https://llm.example.org/anthropic/{key}" in page.replace('"', "&quot;")
    assert "https://llm.example.org/oai/v1" in page


def test_htmx_is_given_the_list_alone(cast: Cast):
    data = {"name": "laptop", "permissions": "rw"}
    fragment = browser(cast.bob).post("/settings/keys", data, headers={"HX-Request": "true"}).text
    assert "<html" not in fragment and KEY.search(fragment)


@pytest.mark.parametrize("data", [{"name": "", "permissions": "rw"}, {"name": "x", "permissions": "root"}])
def test_a_key_without_a_name_or_with_odd_permissions_is_not_made(cast: Cast, data: dict[str, str]):
    assert browser(cast.bob).post("/settings/keys", data).status_code == 200
    assert not ApiKey.objects.exists()


def test_a_viewer_makes_no_key(cast: Cast):
    dora = person("dora@example.org")
    membership(cast.acme, dora, Role.VIEWER)
    browser(dora).post("/settings/keys", {"name": "laptop", "permissions": "rw"})
    assert not ApiKey.objects.exists()


def test_a_member_revokes_their_own_key_and_not_another(cast: Cast):
    api_key(cast.acme, created_by=cast.bob, name="bobs")
    api_key(cast.acme, created_by=cast.alice, name="alices")
    client = browser(cast.bob)
    for key in ApiKey.objects.all():
        assert client.post(f"/settings/keys/{key.pk}/revoke").headers["Location"] == "/settings/keys"
    assert list(ApiKey.objects.filter(revoked_at=None).values_list("name", flat=True)) == ["alices"]
    assert actions_done(cast) == ["key revoked"]


def test_an_outsider_neither_sees_nor_revokes_a_key(cast: Cast):
    api_key(cast.acme, name="acme secret")
    key, client = ApiKey.objects.get(), browser(cast.charlie)
    assert "acme secret" not in client.get("/settings/keys").text
    assert client.post(f"/settings/keys/{key.pk}/revoke").status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


# --- members ---------------------------------------------------------------------------------------------


def test_an_invitation_shows_its_link_and_puts_it_in_the_log(cast: Cast, caplog):
    page = browser(cast.alice).post("/settings/members", {"email": "Dora@Example.org", "role": "viewer"}).text
    link = re.findall(r"/invitations/[\w-]+", page)[0]
    assert link in caplog.text
    assert "dora@example.org" in browser().get(link).text
    assert actions_done(cast) == ["invitation created"]


def test_a_member_invites_nobody(cast: Cast):
    page = browser(cast.bob).post("/settings/members", {"email": "dora@example.org", "role": "viewer"}).text
    assert "/invitations/" not in page
    assert actions_done(cast) == []


def test_an_admin_makes_no_owner_and_removes_none(cast: Cast):
    bob, alice = belonging(cast, cast.bob), belonging(cast, cast.alice)
    Membership.objects.filter(pk=bob.pk).update(role=Role.ADMIN)
    client = browser(cast.bob)
    client.post(f"/settings/members/{bob.pk}/role", {"role": "owner"})
    client.post(f"/settings/members/{alice.pk}/role", {"role": "viewer"})
    client.post(f"/settings/members/{alice.pk}/remove")
    page = client.post("/settings/members", {"email": "dora@example.org", "role": "owner"}).text
    assert "Only an owner" in page
    roles = Membership.objects.filter(organization=cast.acme).order_by("id").values_list("role", flat=True)
    assert list(roles) == ["owner", "admin"]


def test_the_last_owner_stays_one(cast: Cast):
    alice, client = belonging(cast, cast.alice), browser(cast.alice)
    client.post(f"/settings/members/{alice.pk}/role", {"role": "member"})
    page = client.post(f"/settings/members/{alice.pk}/remove", follow=True).text
    assert "keeps at least one owner" in page
    alice.refresh_from_db()
    assert alice.role == Role.OWNER


def test_an_owner_steps_down_once_there_is_another(cast: Cast):
    alice, bob, client = belonging(cast, cast.alice), belonging(cast, cast.bob), browser(cast.alice)
    client.post(f"/settings/members/{bob.pk}/role", {"role": "owner"})
    client.post(f"/settings/members/{alice.pk}/role", {"role": "member"})
    assert actions_done(cast) == ["role changed", "role changed"]
    assert belonging(cast, cast.alice).role == Role.MEMBER


def test_everybody_may_leave(cast: Cast):
    bob, client = belonging(cast, cast.bob), browser(cast.bob)
    assert client.post(f"/settings/members/{bob.pk}/remove").headers["Location"] == "/organizations"
    assert not Membership.objects.filter(user=cast.bob).exists()


def test_a_member_removes_nobody_else_and_an_outsider_nobody_at_all(cast: Cast):
    alice, bob = belonging(cast, cast.alice), belonging(cast, cast.bob)
    assert browser(cast.bob).post(f"/settings/members/{alice.pk}/remove").status_code == 404
    assert browser(cast.charlie).post(f"/settings/members/{bob.pk}/remove").status_code == 404
    assert browser(cast.charlie).post(f"/settings/members/{bob.pk}/role", {"role": "viewer"}).status_code == 404
    assert Membership.objects.filter(organization=cast.acme).count() == 2


def test_an_outsider_withdraws_no_invitation(cast: Cast):
    actions.invite(belonging(cast, cast.alice), "dora@example.org", Role.MEMBER)
    invitation = cast.acme.invitations.get()
    browser(cast.charlie).post(f"/settings/invitations/{invitation.pk}/withdraw")
    assert cast.acme.invitations.exists()
    browser(cast.alice).post(f"/settings/invitations/{invitation.pk}/withdraw")
    assert not cast.acme.invitations.exists()


# --- oneself ---------------------------------------------------------------------------------------------


def test_a_profile_keeps_name_zone_and_theme_and_pages_follow(cast: Cast):
    client = browser(cast.bob)
    client.post("/settings/profile", {"name": "Robert", "time_zone": "Asia/Kathmandu", "theme": "dark"})
    page = client.get("/settings/profile").text
    assert 'data-theme="dark"' in page and 'data-zone="Asia/Kathmandu"' in page and "Robert" in page


def test_an_unknown_zone_or_theme_is_refused(cast: Cast):
    client = browser(cast.bob)
    client.post("/settings/profile", {"name": "Robert", "time_zone": "Mars/Base"})
    client.post("/settings/profile/theme", {"theme": "pink"})
    cast.bob.refresh_from_db()
    assert (cast.bob.name, cast.bob.time_zone, cast.bob.theme) == ("Bob", "", "")


def test_changing_the_password_takes_the_old_one_and_keeps_this_browser_in(cast: Cast):
    here, elsewhere = browser(cast.bob), browser(cast.bob)
    wrong = here.post("/settings/profile/password", {"current": "nope", "password": "another-horse-77"})
    assert "not your current password" in wrong.text
    here.post("/settings/profile/password", {"current": PASSWORD, "password": "another-horse-77"})
    assert here.get("/settings").status_code == 200
    assert elsewhere.get("/settings").headers["Location"].startswith("/login")


def test_only_an_admin_has_streams_asked_for_their_token_counts(cast: Cast):
    asked = {"name": "Acme", "asks_stream_usage": "on"}
    browser(cast.bob).post("/settings", asked)
    assert not Organization.objects.get(pk=cast.acme.pk).asks_stream_usage
    client = browser(cast.alice)
    client.post("/settings", asked)
    assert Organization.objects.get(pk=cast.acme.pk).asks_stream_usage
    assert 'name="asks_stream_usage" checked' in client.get("/settings").text
    assert "asked for" in browser(cast.bob).get("/settings").text
    client.post("/settings", {"name": "Acme"})
    assert not Organization.objects.get(pk=cast.acme.pk).asks_stream_usage


def test_only_an_admin_renames_the_organization(cast: Cast):
    browser(cast.bob).post("/settings", {"name": "Bobs"})
    browser(cast.alice).post("/settings", {"name": "Acme Ltd"})
    cast.acme.refresh_from_db()
    assert cast.acme.name == "Acme Ltd"
