"""Settings → Retention: who sees and sets it, what it says, pins, and the way to erase a user."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.urls import reverse

from accounts_app.models import AuditEntry, Role
from lib.clock import now
from requests_app import keeping
from requests_app.models import RetentionPolicy, SessionPin
from requests_app.retention import Policy
from tests import factories
from tests.factories import browser
from tests.requests_app.factories import make_request

pytestmark = pytest.mark.django_db
SAID = {"body_days": "10", "request_days": "30", "count_days": ""}


def page(user, **query):
    return browser(user).get(reverse("retention"), query)


def test_an_owner_sets_it_and_it_is_written_down(cast):
    answer = browser(cast.alice).post(reverse("retention"), SAID)
    assert answer.status_code == 302
    assert keeping.policy_of(cast.acme.pk) == Policy(10, 30, None)
    assert keeping.policy_of(cast.umbrella.pk) == Policy()
    [entry] = AuditEntry.objects.filter(action="retention changed")
    assert entry.detail["after"] == "bodies 10 d, requests 30 d, counts unlimited"


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_others_read_it_and_change_nothing(cast, role):
    reader = factories.person("reader@example.org")
    factories.membership(cast.acme, reader, role)
    assert b"Admins and owners change this" in page(reader).content
    assert b'<button class="btn primary">Save' not in page(reader).content
    browser(reader).post(reverse("retention"), SAID)
    assert not RetentionPolicy.objects.exists()


@pytest.mark.parametrize(
    "said",
    [
        {**SAID, "body_days": "31"},
        {**SAID, "count_days": "29"},
        {**SAID, "request_days": "", "count_days": "90"},
        {**SAID, "body_days": "0"},
        {**SAID, "body_days": "many"},
    ],
)
def test_days_that_cannot_be_are_refused_with_the_reason(cast, said):
    answer = browser(cast.alice).post(reverse("retention"), said)
    assert answer.status_code == 400 and b"field-error" in answer.content
    assert not RetentionPolicy.objects.exists()


def test_the_plan_says_what_each_would_free(cast):
    for age in (1, 20, 50):
        make_request(cast.acme.pk, now() - timedelta(days=age), request={}, response={})
    make_request(cast.umbrella.pk, now() - timedelta(days=50), request={}, response={})
    answer = browser(cast.alice).get(reverse("retention-plan"), SAID)
    freed = answer.context["freed"]
    assert (freed["bodies"].rows, freed["requests"].rows) == (2, 1)
    assert page(cast.alice).context["freed"]["requests"].rows == 0
    assert page(cast.charlie).context["totals"]["requests"] == 1


def test_a_member_pins_a_session_of_their_own_organisation_only(cast):
    pin = {"session_id": "a/b", "next": "/sessions/a/b"}
    answer = browser(cast.bob).post(reverse("session-pin"), pin)
    assert answer["Location"] == "/sessions/a/b"
    assert keeping.is_pinned(cast.acme.pk, "a/b") and not keeping.is_pinned(cast.umbrella.pk, "a/b")
    browser(cast.charlie).post(reverse("session-pin"), {**pin, "unpin": "1"})
    assert SessionPin.objects.count() == 1
    assert "a/b" in page(cast.alice).content.decode() and "a/b" not in page(cast.charlie).content.decode()
    browser(cast.alice).post(reverse("session-pin"), {**pin, "unpin": "1"})
    assert not SessionPin.objects.exists()
    assert [e.action for e in AuditEntry.objects.order_by("id")] == ["session pinned", "session unpinned"]


def test_a_pin_outlives_who_set_it(cast):
    browser(cast.bob).post(reverse("session-pin"), {"session_id": "kept-by-bob"})
    cast.bob.delete()
    assert "kept-by-bob" in browser(cast.alice).get(reverse("retention")).text


def test_a_viewer_pins_nothing_and_nobody_is_sent_elsewhere(cast):
    viewer = factories.person("viewer@example.org")
    factories.membership(cast.acme, viewer, Role.VIEWER)
    assert browser(viewer).post(reverse("session-pin"), {"session_id": "s"}).status_code == 403
    away = {"session_id": "s", "next": "//evil.example/"}
    assert browser(cast.bob).post(reverse("session-pin"), away)["Location"] == reverse("retention")


def test_erasing_a_user_leads_to_every_row_of_theirs(cast):
    make_request(cast.acme.pk, now() - timedelta(days=99), end_user_id="=odd id")
    make_request(cast.acme.pk, now(), end_user_id="=odd id", kind="tool")
    make_request(cast.acme.pk, now(), end_user_id="odd id")
    alice = browser(cast.alice)
    address = alice.post(reverse("erase-user"), {"user": "=odd id"})["Location"]
    assert urlsplit(address).path == reverse("requests-delete")
    assert parse_qs(urlsplit(address).query)["range"] == ["all"]
    assert alice.get(address).context["erasure"].rows == 2
    assert browser(cast.bob).post(reverse("erase-user"), {"user": "u"}).status_code == 403


def test_operators_set_it_in_the_admin_and_it_is_written_down(cast):
    operator = factories.person("root@example.org", is_staff=True, is_superuser=True)
    values = {"organization_id": cast.acme.pk, "body_days": "5", "request_days": "30", "count_days": ""}
    answer = browser(operator).post("/admin/requests_app/retentionpolicy/add/", values)
    assert answer.status_code == 302, answer.content[:2000]
    assert keeping.policy_of(cast.acme.pk) == Policy(5, 30, None)
    [entry] = AuditEntry.objects.filter(action="retention changed")
    assert entry.user == operator
