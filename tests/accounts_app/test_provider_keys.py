"""Stored provider keys: saved by admins, shown to nobody, each organisation's own."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from django.core.management import CommandError, call_command

from accounts_app import provider_key_actions as actions
from accounts_app import service_account, snapshot_provider_keys
from accounts_app.models import ApiKey, AuditEntry, Membership, Organization, ProviderKey, Role
from accounts_app.secrets import Keyring, new_key
from accounts_app.snapshot import KEYS, Keeper
from accounts_app.snapshot_provider_keys import stored
from tests.accounts_app.test_snapshot import beside, conninfo, kept, until
from tests.factories import Cast, api_key, browser, membership, person
from tests.gateway_app.test_google_tokens import FILE

PAGE = "/settings/provider-keys"
SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz"


def saved(client, **data):
    return client.post(PAGE, {"provider": "openai", "secret": SECRET, **data})


def secret_in(snapshot, organization_id: int, slug: str) -> str | None:
    found = stored(snapshot).of(organization_id).get(slug)
    return found.secret if found else None


def owner(of: Organization) -> Membership:
    return Membership.objects.get(organization=of, role=Role.OWNER)


def test_an_admin_saves_a_key_and_nobody_sees_it_again(cast: Cast):
    alice = browser(cast.alice)
    assert saved(alice).status_code == 302
    row = ProviderKey.objects.get()
    assert (row.organization, row.provider, row.hint) == (cast.acme, "openai", SECRET[-4:])
    assert SECRET not in row.sealed
    for client in (alice, browser(cast.bob)):
        page = client.get(PAGE).text
        assert "OpenAI" in page and SECRET[-4:] in page and SECRET not in page
    assert SECRET not in alice.get(f"{PAGE}?replace=openai").text
    assert not AuditEntry.objects.filter(detail__icontains="abcdefghij").exists()


def test_a_second_key_of_a_provider_replaces_the_first(cast: Cast):
    for secret in (SECRET, "sk-another-one-of-openai"):
        saved(browser(cast.alice), secret=secret)
    row = ProviderKey.objects.get()
    context = snapshot_provider_keys.context_of(row.organization_id, "openai")
    assert actions.keyring().open(row.sealed, context) == "sk-another-one-of-openai"
    done = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(done) == ["provider key added", "provider key replaced"]


def test_of_a_short_secret_nothing_is_shown(cast: Cast):
    saved(browser(cast.alice), provider="ollama", secret="abc123")
    assert ProviderKey.objects.get().hint == ""


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"provider": "nobody"}, "Select a valid choice"),
        ({"secret": ""}, "required"),
        ({"secret": "two words"}, "printable ASCII"),
        ({"secret": "a\r\nevil: header"}, "printable ASCII"),
        ({"provider": "azure"}, "say which is yours"),
        ({"provider": "azure", "base_url": "ftp://x"}, "An address such as"),
        ({"region": "us-east-1"}, "needs none"),
    ],
)
def test_what_cannot_be_a_key_is_not_saved(cast: Cast, data, said):
    page = saved(browser(cast.alice), **data)
    assert page.status_code == 200
    assert said in page.text
    assert data.get("secret", SECRET) == "" or data.get("secret", SECRET) not in page.text
    assert not ProviderKey.objects.exists()


def test_azures_key_comes_with_its_address(cast: Cast):
    url = "https://acme.openai.azure.com"
    saved(browser(cast.alice), provider="azure", base_url=f"{url}/", api_version="2025-01-01-preview")
    assert ProviderKey.objects.get().extras == {"base_url": url, "api_version": "2025-01-01-preview"}


def test_a_service_account_is_kept_as_what_is_needed_of_its_file(cast: Cast):
    alice, file = browser(cast.alice), {**FILE, "client_id": "a field nobody needs"}
    assert saved(alice, provider="google-vertex", secret=json.dumps(file, indent=2)).status_code == 302
    row = ProviderKey.objects.get()
    kept = actions.keyring().open(row.sealed, snapshot_provider_keys.context_of(cast.acme.pk, "google-vertex"))
    assert (service_account.read(kept).client_email, row.hint) == (FILE["client_email"], FILE["private_key_id"][-4:])
    assert "a field nobody needs" not in kept
    assert "PRIVATE KEY" not in alice.get(PAGE).text


@pytest.mark.parametrize(("data", "said"), [
    ({"provider": "openai"}, "of Google Vertex AI only"), ({"token_uri": "https://evil.example/token"}, "token_uri"),
    ({"private_key": "x"}, "no private key in PEM"), ({"type": "authorized_user"}, "its type is another"),
])  # fmt: skip
def test_a_file_that_is_no_service_account_is_not_saved(cast: Cast, data, said):
    file = json.dumps({**FILE, **{name: value for name, value in data.items() if name != "provider"}})
    page = saved(browser(cast.alice), provider=data.get("provider", "google-vertex"), secret=file)
    assert (page.status_code, said in page.text, ProviderKey.objects.exists()) == (200, True, False)
    assert "BEGIN PRIVATE KEY" not in page.text


def test_members_and_viewers_change_nothing(cast: Cast):
    key = actions.save(owner(cast.acme), "openai", SECRET, {})
    viewer = person("vera@example.org")
    membership(cast.acme, viewer, Role.VIEWER)
    for user in (cast.bob, viewer):
        client = browser(user)
        saved(client, secret="sk-of-somebody-without-leave")
        for path in (f"{PAGE}/{key.pk}/remove", f"{PAGE}/{key.pk}/proxy", f"{PAGE}/lending"):
            assert client.post(path, {"name": "x", "to": "chosen"}).status_code == 403
    row = ProviderKey.objects.get()
    assert row.sealed == key.sealed
    assert not ApiKey.objects.exists()


def test_another_organizations_key_is_not_there(cast: Cast):
    key = actions.save(owner(cast.acme), "openai", SECRET, {})
    charlie = browser(cast.charlie)
    assert SECRET[-4:] not in charlie.get(PAGE).text
    assert charlie.post(f"{PAGE}/{key.pk}/remove").status_code == 404
    assert charlie.post(f"{PAGE}/{key.pk}/proxy", {"name": "x"}).status_code == 404
    assert ProviderKey.objects.filter(pk=key.pk).exists()


def test_a_proxy_key_is_shown_once_and_revoked_with_its_provider_key(cast: Cast):
    key, alice = actions.save(owner(cast.acme), "openai", SECRET, {}), browser(cast.alice)
    page = alice.post(f"{PAGE}/{key.pk}/proxy", {"name": "the app"}).text
    row = ApiKey.objects.get()
    assert "sk-helicone-proxy-" in page
    assert "sk-helicone-proxy-" not in alice.get(PAGE).text
    assert (row.permissions, row.provider_key) == ("w", key)
    assert "proxy for openai" in alice.get("/settings/keys").text
    alice.post(f"{PAGE}/{key.pk}/remove")
    row.refresh_from_db()
    assert row.revoked_at is not None
    assert not ProviderKey.objects.exists()


def test_only_an_organizations_own_keys_are_chosen(cast: Cast):
    api_key(cast.acme, name="ours")
    api_key(cast.umbrella, name="theirs")
    ours, theirs = (ApiKey.objects.get(name=name) for name in ("ours", "theirs"))
    browser(cast.alice).post(f"{PAGE}/lending", {"to": "chosen", "keys": [theirs.pk]})
    browser(cast.alice).post(f"{PAGE}/lending", {"to": "chosen", "keys": [ours.pk]})
    ours.refresh_from_db()
    theirs.refresh_from_db()
    cast.acme.refresh_from_db()
    assert (ours.may_borrow, theirs.may_borrow, cast.acme.lends_to_chosen) == (True, False, True)


def test_rewrapping_takes_the_old_key_out_of_use(cast: Cast, settings, monkeypatch):
    key = actions.save(owner(cast.acme), "openai", SECRET, {})
    old, new = settings.SECRETS_KEYS, [new_key()]
    said = io.StringIO()
    for keys in ([*new, *old], new):
        monkeypatch.setattr(actions, "keyring", lambda keys=keys: Keyring(keys))
        call_command("rewrap_secrets", stdout=said)
    assert said.getvalue().splitlines() == [
        "1 wrapped with the first key, 0 were already.", "0 wrapped with the first key, 1 were already.",
    ]  # fmt: skip
    key.refresh_from_db()
    assert Keyring(new).open(key.sealed, snapshot_provider_keys.context_of(cast.acme.pk, "openai")) == SECRET
    monkeypatch.setattr(actions, "keyring", lambda: Keyring([new_key()]))
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("rewrap_secrets")


@pytest.mark.django_db(transaction=True)
def test_edge_knows_each_organizations_own_key_and_its_file_holds_none_in_clear(tmp_path, settings, caplog):
    acme, umbrella = Organization.objects.create(name="a"), Organization.objects.create(name="u")
    ring, file = Keyring(settings.SECRETS_KEYS), tmp_path / "snapshot.json"

    def store(of: Organization, secret: str) -> ProviderKey:
        context = snapshot_provider_keys.context_of(of.pk, "openai")
        return ProviderKey.objects.create(organization=of, provider="openai", sealed=ring.seal(secret, context))

    store(acme, SECRET)
    theirs = store(umbrella, "sk-of-umbrella-and-nobody-else")

    async def work():
        keeper = Keeper(conninfo(), file, (KEYS, snapshot_provider_keys.part(ring)))
        async with kept(keeper):
            await until(lambda: keeper.current is not None)
            assert secret_in(keeper.current, acme.pk, "openai") == SECRET
            assert secret_in(keeper.current, umbrella.pk, "openai") == "sk-of-umbrella-and-nobody-else"
            assert secret_in(keeper.current, acme.pk, "anthropic") is None
            # an envelope somebody with access to the database copied over
            copied = await beside(lambda: ProviderKey.objects.get(organization=acme).sealed)
            await beside(lambda: ProviderKey.objects.filter(pk=theirs.pk).update(sealed=copied))
            await until(lambda: secret_in(keeper.current, umbrella.pk, "openai") is None)
            assert SECRET not in repr(stored(keeper.current))
        again = Keeper("host=/nonexistent dbname=none", file, (KEYS, snapshot_provider_keys.part(ring)))
        assert secret_in(again.current, acme.pk, "openai") == SECRET

    asyncio.run(work())
    assert SECRET not in file.read_text()
    assert "provider_key_closed" in caplog.text
    assert SECRET not in caplog.text
