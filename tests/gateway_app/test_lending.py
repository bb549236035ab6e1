"""Stored provider keys on the wire: lent to who may have them, sent to their own provider and to nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from accounts_app.keys import Speaker, hash_key
from accounts_app.snapshot import Snapshot
from accounts_app.snapshot_provider_keys import StoredKey, StoredKeys
from gateway_app.lending import loan
from gateway_app.signing import ALGORITHM
from llm.providers import by_slug
from tests.gateway_app.stage import AUTH, KEY, json_answer, recording, run, staged

OPENAI, ANTHROPIC, THEIRS = "sk-stored-openai-key", "sk-ant-stored-key", "sk-of-another-organization"
PROXY = "sk-helicone-proxy-aaaaaaa-bbbbbbb-ccccccc-ddddddd-7b1c2f6e-0000-4000-8000-000000000001"
BORROWER = Speaker(7, 11, "test", "rw", may_borrow=True)


def snapshot(*keys: StoredKey, **speakers: Speaker) -> Snapshot:
    of: dict[int, dict[str, StoredKey]] = {}
    for key in keys:
        of.setdefault(key.organization_id, {})[key.provider] = key
    stored = StoredKeys(of, {key.id: key for key in keys})
    known = {hash_key(key): speaker for key, speaker in speakers.items()}
    return Snapshot(1, 0.0, {"keys": known, "provider_keys": stored})


STORED = (
    StoredKey(1, 7, "openai", OPENAI), StoredKey(2, 7, "anthropic", ANTHROPIC), StoredKey(3, 8, "openai", THEIRS),
)  # fmt: skip
PROXIES = {PROXY: Speaker(7, 21, "proxy", "w", provider_key_id=1)}


def sent(tmp_path, headers, *, path="/v1/chat/completions", speaker=BORROWER, keys=STORED, proxies=PROXIES, **options):
    """(status, body, what the provider was asked with)."""
    seen, found = [], []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer()), **options) as stage:
            stage.keys.current = snapshot(*keys, **proxies)
            stage.keys.known = {KEY: speaker, **proxies}
            given = {name: value.replace("{port}", str(stage.upstream_port)) for name, value in headers.items()}
            status, _, body = await stage.ask(path=path, headers=given)
            found.append((status, body))
            if status == 200:
                (exchange,) = await stage.exchanges()
                kept = f"{exchange.request_headers}{exchange.url}{exchange.problems}".encode()
                assert not any(key.secret.encode() in kept for key in keys)

    run(work())
    everything = b"".join(file.read_bytes() for file in (tmp_path / "spool").rglob("*") if file.is_file())
    assert not any(key.secret.encode() in everything for key in keys)
    return *found[0], seen


@pytest.mark.parametrize(
    "headers",
    [AUTH, {"authorization": f"Bearer {KEY}"}, {**AUTH, "authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}],
)
@pytest.mark.parametrize("path", ["/v1/gateway/oai/v1/chat/completions", "/v1/chat/completions", "/chat/completions"])
def test_a_call_without_a_providers_credential_is_made_with_the_stored_key(tmp_path, headers, path):
    status, _, (asked,) = sent(tmp_path, headers, path=path)
    assert status == 200
    assert asked.headers["authorization"] == f"Bearer {OPENAI}"
    assert "x-api-key" not in asked.headers
    assert KEY not in str(asked)


def test_anthropics_key_stands_where_anthropic_looks_for_it(tmp_path):
    status, _, (asked,) = sent(tmp_path, {"authorization": f"Bearer {KEY}"}, path="/v1/messages")
    assert status == 200
    assert asked.headers["x-api-key"] == ANTHROPIC
    assert "authorization" not in asked.headers


@pytest.mark.parametrize("own", [{"authorization": "Bearer sk-own"}, {"x-api-key": "sk-own"}, {"api-key": "sk-own"}])
def test_a_credential_of_the_clients_own_is_left_as_it_is(tmp_path, own):
    _, _, (asked,) = sent(tmp_path, {**AUTH, **own})
    assert OPENAI not in str(asked)
    assert "sk-own" in str(asked)


def test_a_credential_in_the_query_is_one_too(tmp_path):
    _, _, (asked,) = sent(tmp_path, AUTH, path="/v1/chat/completions?key=AIza-own")
    assert "authorization" not in asked.headers
    assert "key=AIza-own" in asked.line


def test_a_key_that_was_not_chosen_borrows_nothing(tmp_path):
    _, _, (asked,) = sent(tmp_path, AUTH, speaker=replace(BORROWER, may_borrow=False))
    assert "authorization" not in asked.headers
    status, body, seen = sent(tmp_path, {"authorization": f"Bearer {KEY}"}, speaker=replace(BORROWER, may_borrow=False))
    assert (status, seen) == (401, [])
    assert b"provider_key_not_found" in body


def test_another_organizations_key_is_never_lent(tmp_path):
    _, _, (asked,) = sent(tmp_path, AUTH, keys=(StoredKey(3, 8, "openai", THEIRS),))
    assert "authorization" not in asked.headers


@pytest.mark.parametrize("name", ["helicone-target-url", "helicone-openai-api-base"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/gateway/azure/openai/deployments/d/chat/completions"])
def test_a_target_the_client_names_gets_no_stored_key(tmp_path, name, path):
    azure = StoredKey(5, 7, "azure", "azure-stored", {"base_url": "https://ours.openai.azure.com"})
    headers = {**AUTH, name: "http://127.0.0.1:{port}"}
    status, _, (asked,) = sent(tmp_path, headers, path=path, keys=(*STORED, azure), guard="allow")
    assert status == 200
    assert not {"authorization", "api-key", "x-api-key"} & asked.headers.keys()


def test_azures_key_goes_to_the_address_stored_with_it_and_names_its_version(tmp_path):
    seen = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer()), guard="allow") as stage:
            extras = {"base_url": f"http://127.0.0.1:{stage.upstream_port}", "api_version": "2025-01-01-preview"}
            stage.keys.current = snapshot(StoredKey(5, 7, "azure", "azure-stored", extras))
            stage.keys.known = {KEY: BORROWER}
            path = "/v1/gateway/azure/openai/deployments/d/chat/completions"
            assert (await stage.ask(path=path, headers={"authorization": f"Bearer {KEY}"}))[0] == 200
            assert (await stage.ask(path=f"{path}?api-version=mine", headers=AUTH))[0] == 200

    run(work())
    assert [asked.headers["api-key"] for asked in seen] == ["azure-stored"] * 2
    assert [asked.line.split()[1].partition("?")[2] for asked in seen] == [
        "api-version=2025-01-01-preview", "api-version=mine",
    ]  # fmt: skip


def test_an_address_an_admin_stored_is_guarded_like_one_a_client_names(tmp_path):
    keys = (StoredKey(5, 7, "azure", "azure-stored", {"base_url": "http://127.0.0.1:9"}),)
    status, body, seen = sent(
        tmp_path, AUTH, path="/v1/gateway/azure/openai/deployments/d/chat/completions", keys=keys
    )  # fmt: skip
    assert (status, seen) == (403, [])
    assert b"GATEWAY_PRIVATE_TARGETS" in body


def test_bedrock_is_signed_with_the_stored_key_and_its_secret_stays_here(tmp_path):
    seen = []
    key = StoredKey(6, 7, "bedrock", "aws-stored-secret", {"access_key_id": "AKIASTORED", "region": "eu-west-1"})

    async def work():
        async with staged(tmp_path, recording(seen, json_answer())) as stage:
            stage.gateway.policy = replace(
                stage.gateway.policy, provider_urls={"bedrock": f"http://127.0.0.1:{stage.upstream_port}"}
            )
            stage.keys.current = snapshot(key)
            stage.keys.known = {KEY: BORROWER}
            scope = "20260101/eu-west-1/bedrock/aws4_request"
            sdk = {**AUTH, "authorization": f"{ALGORITHM} Credential=x/{scope}, Signature=y"}
            for headers in (AUTH, sdk, {**AUTH, "aws-region": "us-east-1"}):
                status, _, body = await stage.ask(path="/v1/gateway/bedrock/model/m/converse", headers=headers)
                assert status == 200, body

    run(work())
    for asked in seen:
        assert "Credential=AKIASTORED/" in asked.headers["authorization"]
    regions = [asked.headers["authorization"].split("/")[2] for asked in seen]
    assert regions == ["eu-west-1", "eu-west-1", "us-east-1"]
    assert "aws-stored-secret" not in str(seen)


@pytest.mark.parametrize(
    "headers",
    [{"authorization": f"Bearer {PROXY}"}, {**AUTH, "authorization": f"Bearer {PROXY}"}, {**AUTH, "x-api-key": PROXY}],
)
def test_a_proxy_key_stands_for_its_provider_key_though_no_other_may_borrow(tmp_path, headers):
    status, _, (asked,) = sent(tmp_path, headers, speaker=replace(BORROWER, may_borrow=False))
    assert status == 200
    assert asked.headers["authorization"] == f"Bearer {OPENAI}"
    assert PROXY not in str(asked)


def test_a_proxy_key_is_good_for_its_own_provider_only(tmp_path):
    status, body, seen = sent(tmp_path, {"authorization": f"Bearer {PROXY}"}, path="/v1/messages")
    assert (status, seen) == (401, [])
    assert b"another provider" in body


def test_a_proxy_key_of_another_organization_beside_ones_own_key_is_refused(tmp_path):
    theirs = {PROXY: Speaker(8, 21, "proxy", "w", provider_key_id=3)}
    status, body, seen = sent(tmp_path, {**AUTH, "authorization": f"Bearer {PROXY}"}, proxies=theirs)
    assert (status, seen) == (401, [])
    assert b"another organization" in body


def test_a_revoked_proxy_key_is_refused(tmp_path):
    status, *_ = sent(tmp_path, {**AUTH, "authorization": f"Bearer {PROXY}"}, proxies={})
    assert status == 401


@pytest.mark.parametrize(
    ("slug", "secret", "header", "value"),
    [
        ("google", "AIza1", "x-goog-api-key", "AIza1"),
        ("google-vertex", "ya29.token", "authorization", "Bearer ya29.token"),
        ("google-vertex", "AIza1", "x-goog-api-key", "AIza1"),
        ("groq", "gsk_1", "authorization", "Bearer gsk_1"),
    ],
)
def test_every_provider_is_given_its_key_where_it_looks_for_it(slug, secret, header, value):
    made = loan(StoredKey(1, 7, slug, secret), by_slug(slug)).headers
    assert {name: held for name, held in made.items() if held} == {header: value}
