"""A stored service account: signed for, exchanged once, borne by calls to Vertex, and never told to anybody."""

from __future__ import annotations

import asyncio
import base64
import json
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from accounts_app import service_account
from accounts_app.service_account import TOKEN_URI, BadAccount
from accounts_app.snapshot_provider_keys import StoredKey
from gateway_app import google_tokens
from gateway_app.google_tokens import assertion
from tests.gateway_app.stage import AUTH, KEY, json_answer, listening, read_request, run, staged
from tests.gateway_app.test_lending import BORROWER, snapshot

PRIVATE = rsa.generate_private_key(65537, 2048)
PATH = "/vertex/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:generateContent"


def pem(key) -> str:
    form = serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()), "ascii")


FILE = {
    "type": "service_account", "project_id": "p", "private_key_id": "0123456789abcdef", "private_key": pem(PRIVATE),
    "client_email": "robot@p.iam.gserviceaccount.com", "client_id": "1", "token_uri": TOKEN_URI,
}  # fmt: skip
ACCOUNT = service_account.read(json.dumps(FILE))


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_the_claim_is_signed_with_the_accounts_key_and_says_what_google_asks_for():
    head, claims, signature = assertion(ACCOUNT, TOKEN_URI, 1000.7).split(".")
    PRIVATE.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    assert json.loads(decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": FILE["private_key_id"]}
    assert json.loads(decoded(claims)) == {
        "iss": FILE["client_email"], "scope": "https://www.googleapis.com/auth/cloud-platform", "aud": TOKEN_URI,
        "iat": 1000, "exp": 4600,
    }  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), [
    ({"type": "authorized_user"}, "its type is another"), ({"private_key": ""}, "no private_key"),
    ({"token_uri": "https://169.254.169.254/token"}, "token_uri"), ({"token_uri": "http://oauth2.googleapis.com/token"},
    "token_uri"), ({"private_key": "nonsense"}, "PEM"), ({"client_email": 7}, "ASCII"),
    ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "RSA"),
])  # fmt: skip
def test_what_is_no_account_is_said_without_a_word_of_its_key(change, sentence):
    with pytest.raises(BadAccount, match=sentence) as said:
        service_account.read(json.dumps({**FILE, **change})).signer()
    assert "PRIVATE KEY" not in str(said.value)


def test_an_account_reads_back_from_what_is_kept_and_shows_no_key():
    assert service_account.read(ACCOUNT.text()) == ACCOUNT
    assert ACCOUNT.text().isascii()
    assert "\n" not in ACCOUNT.text()
    assert "PRIVATE" not in repr(ACCOUNT)


class Google:
    """A token endpoint: answers in turn, the last for ever."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    async def play(self, reader, writer):
        while True:
            self.asked.append(await read_request(reader))
            status, told = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(json_answer(json.dumps(told).encode(), status))


GIVEN = ("200 OK", {"access_token": "ya29.first", "expires_in": 3599, "token_type": "Bearer"})
REFUSED = ("400 Bad Request", {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})


def called(tmp_path, google, times=1, *, clock=None, at_once=False):
    """(answers, what Vertex was asked with, what was kept)."""
    seen, found, kept = [], [], []

    async def vertex(reader, writer):
        while True:
            seen.append(await read_request(reader))
            writer.write(json_answer())

    async def work():
        async with staged(tmp_path, vertex, guard="allow") as stage, listening(google.play) as port:
            url = f"http://127.0.0.1:{stage.upstream_port}"
            stage.gateway.policy.provider_urls.update({"google-vertex": url})
            stage.keys.current = snapshot(StoredKey(1, 7, "google-vertex", ACCOUNT.text()))
            stage.keys.known = {KEY: BORROWER}
            stage.gateway.tokens.url = f"http://127.0.0.1:{port}/token"
            if clock is not None:
                stage.gateway.tokens.clock = clock
            calls = [stage.ask(path=PATH, headers=AUTH) for _ in range(times)]
            found.extend(await asyncio.gather(*calls) if at_once else [await one for one in calls])
            kept.extend(await stage.exchanges(times))

    run(work())
    everything = b"".join(file.read_bytes() for file in (tmp_path / "spool").rglob("*") if file.is_file())
    assert b"PRIVATE KEY" not in everything
    assert b"ya29" not in everything
    return found, seen, kept


def test_a_call_bears_the_token_google_gives_for_the_account_and_many_share_it(tmp_path):
    google = Google(GIVEN)
    answers, seen, _ = called(tmp_path, google, times=5, at_once=True)
    assert [status for status, *_ in answers] == [200] * 5
    assert {asked.headers["authorization"] for asked in seen} == {"Bearer ya29.first"}
    (asked,) = google.asked
    told = parse_qs(asked.body.decode())
    assert told["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert told["assertion"][0].count(".") == 2


def test_a_token_is_asked_for_anew_shortly_before_it_ends(tmp_path):
    google = Google(GIVEN, ("200 OK", {"access_token": "ya29.second", "expires_in": 3599}))
    ends = 3599 - google_tokens.AHEAD_SECONDS
    _, seen, _ = called(tmp_path, google, times=2, clock=lambda: ends if google.asked else 0.0)
    assert [asked.headers["authorization"] for asked in seen] == ["Bearer ya29.first", "Bearer ya29.second"]


def test_a_refusal_is_told_clearly_once_asked_for_and_nobody_is_called(tmp_path):
    google = Google(REFUSED)
    answers, seen, kept = called(tmp_path, google, times=3)
    for status, _, body in answers:
        error = json.loads(body)["error"]
        assert (status, error["status"]) == (502, "UNAVAILABLE")
        assert error["details"][0]["reason"] == "provider_token_refused"
        assert "robot@p.iam.gserviceaccount.com" in error["message"]
        assert "invalid_grant Invalid JWT Signature." in error["message"]
    assert (seen, len(google.asked)) == ([], 1)
    assert [one.problems[-1].code for one in kept] == ["provider_token_refused"] * 3


@pytest.mark.parametrize("answer", [
    ("200 OK", {}), ("200 OK", {"access_token": "a\r\nb"}), ("200 OK", []), ("500 X", {"error": {"a": 1}}),
])  # fmt: skip
def test_an_answer_that_gives_no_token_is_a_refusal(tmp_path, answer):
    [(status, _, body)], seen, _ = called(tmp_path, Google(answer))
    reason = json.loads(body)["error"]["details"][0]["reason"]
    assert (status, reason, seen) == (502, "provider_token_refused", [])


def test_the_address_tokens_are_asked_at_is_guarded(tmp_path):
    found = []

    async def work():
        async with staged(tmp_path, Google(GIVEN).play) as stage:
            stage.gateway.tokens.url = f"http://127.0.0.1:{stage.upstream_port}/token"
            try:
                await stage.gateway.tokens.bearer(ACCOUNT)
            except google_tokens.TokenRefused as error:
                found.append(error.message)

    run(work())
    assert "robot@" in found[0]
