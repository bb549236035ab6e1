"""Envelopes: what is sealed opens for its own context and a key of the ring, and for nothing else."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.secrets import CannotOpen, Keyring, new_key

OLD, NEW = new_key(), new_key()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200), st.text(max_size=20))
def test_what_is_sealed_opens_again_and_stands_nowhere_in_the_envelope(secret, context):
    ring = Keyring([OLD])
    context = context.encode("utf-8", "replace").decode()
    envelope = ring.seal(secret, context)
    assert ring.open(envelope, context) == secret
    assert len(secret) < 8 or secret not in envelope


def test_two_envelopes_of_one_secret_have_nothing_in_common():
    ring = Keyring([OLD])
    first, second = (ring.seal("sk-abc", "c").split(".") for _ in range(2))
    assert first[:2] == second[:2]
    assert not set(first[2:]) & set(second[2:])


def test_an_envelope_moved_to_another_organization_stays_closed():
    ring = Keyring([OLD])
    with pytest.raises(CannotOpen):
        ring.open(ring.seal("sk-abc", "provider_key:1:openai"), "provider_key:2:openai")


@pytest.mark.parametrize("part", [0, 1, 2, 3])
def test_a_changed_envelope_stays_closed(part):
    ring = Keyring([OLD])
    parts = ring.seal("sk-abc", "c").split(".")
    parts[part] = base64.urlsafe_b64encode(b"something else entirely, and long enough").decode()
    with pytest.raises(CannotOpen):
        ring.open(".".join(parts), "c")


@pytest.mark.parametrize("text", ["", "v1", "v1.a.b.c", "v1....", "plain text"])
def test_what_is_no_envelope_stays_closed(text):
    with pytest.raises(CannotOpen):
        Keyring([OLD]).open(text, "c")


def test_after_a_rotation_old_envelopes_open_and_new_ones_need_the_new_key():
    envelope = Keyring([OLD]).seal("sk-abc", "c")
    both = Keyring([NEW, OLD])
    assert both.open(envelope, "c") == "sk-abc"
    assert not both.is_newest(envelope)
    again = both.rewrapped(envelope, "c")
    assert Keyring([NEW]).open(again, "c") == "sk-abc"
    assert Keyring([NEW]).open(both.seal("sk-def", "c"), "c") == "sk-def"
    with pytest.raises(CannotOpen, match="SECRETS_KEY"):
        Keyring([NEW]).open(envelope, "c")


@pytest.mark.parametrize("keys", [[], [""], ["short"], [base64.b64encode(b"x" * 31).decode()]])
def test_a_key_that_is_none_is_refused(keys):
    with pytest.raises(ValueError, match="key"):
        Keyring(keys)


def read_settings(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, "DATA_DIR": str(folder), **environment}
    code = "from helicone_site import settings; print(*settings.SECRETS_KEYS)"
    return subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=False)


def test_without_a_setting_a_key_is_made_once_and_is_its_owners_alone(tmp_path):
    first, second = (read_settings(tmp_path, SECRETS_KEY="").stdout for _ in range(2))
    assert first == second
    assert first.strip() == (tmp_path / "secrets-key").read_text().strip()
    assert stat.S_IMODE((tmp_path / "secrets-key").stat().st_mode) == 0o600


def test_a_setting_that_is_no_key_stops_the_start_by_its_name(tmp_path):
    told = read_settings(tmp_path, SECRETS_KEY=f"{NEW},password1234")
    assert told.returncode != 0
    assert "SECRETS_KEY: each key must be base64 of 32 random bytes" in told.stderr
    assert "password1234" not in told.stderr.splitlines()[-1]
    assert read_settings(tmp_path, SECRETS_KEY=f"{NEW}, {OLD}").stdout.split() == [NEW, OLD]
