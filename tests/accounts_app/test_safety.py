"""Settings, Safety: who may change it, what is refused, and what edge is told of it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from accounts_app import safety_actions, snapshot_safety
from accounts_app.models import AuditEntry, Membership, Organization, Role, Safety, User
from accounts_app.secrets import Keyring
from accounts_app.snapshot import KEYS, Keeper
from tests.accounts_app.test_snapshot import conninfo, kept, until
from tests.factories import Cast, browser

PAGE, REDACTION = "/settings/safety", "/settings/safety/redaction"


def test_an_admin_says_what_is_taken_out(cast: Cast):
    data = {"kinds": ["email", "card"], "patterns": "employee = EMP-\\d{4,6}\n\nmatter = M=\\d+"}
    assert browser(cast.alice).post(REDACTION, data).status_code == 302
    row = Safety.objects.get(organization=cast.acme)
    assert (row.redacted_kinds, row.redacted_patterns) == (
        ["email", "card"], [["employee", r"EMP-\d{4,6}"], ["matter", r"M=\d+"]],
    )  # fmt: skip
    page = browser(cast.alice).get(PAGE).text
    assert "employee = EMP-" in page
    assert "email, card" in browser(cast.bob).get(PAGE).text
    assert AuditEntry.objects.get().action == "redaction changed"


def test_patterns_are_tried_on_a_text_without_being_saved(cast: Cast):
    data = {"kinds": ["email"], "patterns": "employee = EMP-\\d{4,6}", "try": "1",
            "text": "EMP-12345 <b> at bob@example.com"}  # fmt: skip
    page = browser(cast.alice).post(REDACTION, data).text
    assert "[EMPLOYEE] &lt;b&gt; at [EMAIL]" in page
    assert "email 1, employee 1" in page
    assert not Safety.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [("x = (a+)+", "inside a repetition"), ("x = [", "no regular expression"), ("EMP", "name = pattern"),
     ("a b = c", "name = pattern"), ("\n".join(f"n{n} = a" for n in range(21)), "At most 20")],
)  # fmt: skip
def test_a_pattern_that_may_not_be_is_refused_with_its_reason(cast: Cast, line, said):
    assert said in browser(cast.alice).post(REDACTION, {"patterns": line}).text
    assert not Safety.objects.exists()


def test_members_see_and_do_not_change(cast: Cast):
    bob = browser(cast.bob)
    assert bob.post(REDACTION, {"kinds": ["email"]}).status_code == 403
    bob.post(PAGE, {"screens_replies": "on"})
    assert not Safety.objects.exists()


def test_a_classifiers_token_is_kept_closed_and_goes_with_its_classifier(cast: Cast):
    alice, url = browser(cast.alice), "https://classifier.example.com/screen"
    alice.post(PAGE, {"classifier_url": url, "classifier_token": "its-secret-token", "screens_replies": "on"})
    row = Safety.objects.get()
    assert (row.classifier_url, row.screens_replies) == (url, True)
    assert "its-secret-token" not in row.classifier_sealed
    assert "its-secret-token" not in alice.get(PAGE).text
    sealed = row.classifier_sealed
    alice.post(PAGE, {"classifier_url": url})
    row.refresh_from_db()
    assert (row.classifier_sealed, row.screens_replies) == (sealed, False)
    alice.post(PAGE, {"classifier_url": "https://another.example.com/"})
    row.refresh_from_db()
    assert row.classifier_sealed == ""


@pytest.mark.parametrize(
    ("data", "said"),
    [({"classifier_url": "file:///etc/passwd"}, "An address such as"), ({"model_name": "guard"}, "needs both"),
     ({"model_provider": "openai", "model_name": "x"}, "Select a valid choice")],
)  # fmt: skip
def test_screens_that_cannot_be_are_refused(cast: Cast, data, said):
    assert said in browser(cast.alice).post(PAGE, data).text
    assert not Safety.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_edge_is_told_and_leaves_out_what_it_would_refuse_itself(tmp_path, settings, caplog):
    acme = Organization.objects.create(name="a")
    by = Membership.objects.create(
        organization=acme, user=User.objects.create_user("a@example.org", "x"), role=Role.OWNER
    )
    safety_actions.set_screens(
        by, classifier_token="token", classifier_url="https://c.example", screens_replies=True,
        blocks_when_failing=False, model_provider="", model_name="",
    )  # fmt: skip
    safety_actions.set_redaction(by, ["email"], [("bad", "(a+)+"), ("good", r"EMP-\d+")])
    file, ring = tmp_path / "snapshot.json", Keyring(settings.SECRETS_KEYS)

    async def work():
        keeper = Keeper(conninfo(), file, (KEYS, snapshot_safety.part(ring)))
        async with kept(keeper):
            await until(lambda: keeper.current is not None)
            rules = snapshot_safety.safety(keeper.current, acme.pk)
            assert (rules.classifier_token, rules.screens_replies) == ("token", True)
            assert "token=" not in repr(rules)
            assert rules.redactor.redact("EMP-1 a@b.de aaaa", Counter()) == "[GOOD] [EMAIL] aaaa"
            assert snapshot_safety.safety(keeper.current, acme.pk + 1).redactor is None

    asyncio.run(work())
    assert "redaction_pattern_refused" in caplog.text
    assert '"token"' not in file.read_text()
