"""The pages Budgets and Rate limits, and the REST API beside them: who sees, who sets, what is said."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from django.db import connection
from django.urls import reverse

from accounts_app.models import AuditEntry, Role
from accounts_app.snapshot import Snapshot
from alerts_app import snapshot
from alerts_app.budgets import NANO
from alerts_app.ledger import reconcile
from alerts_app.models import Budget, RateLimitRule, SessionGuard
from llm.exchange import Body, Problem
from tests import factories
from tests.alerts_app.spending import a_budget
from tests.factories import api_key, bearer, browser

pytestmark = pytest.mark.django_db
RULE = {"name": "Calm", "quota": "60", "unit": "request", "window_seconds": "60", "by": "user"}
BUDGET = {"name": "Team", "limit_usd": "$1,000.50", "span": "month", "time_zone": "Europe/Berlin", "by": "property",
          "property_name": "Plan", "warn_percents": "80, 50", "is_hard": "on"}  # fmt: skip


def reader(cast, role=Role.MEMBER):
    person = factories.person(f"{role}@example.org")
    factories.membership(cast.acme, person, role)
    return person


def test_an_admin_sets_changes_and_removes_a_rate_limit(cast):
    client = browser(cast.alice)
    assert client.post(reverse("limit-add"), RULE).status_code == 302
    row = RateLimitRule.objects.get()
    assert (row.organization_id, row.quota, row.by) == (cast.acme.pk, 60, "user")
    page = client.get(reverse("limits")).content.decode()
    assert "Calm" in page and "60;w=60;s=user" in page
    assert client.post(reverse("limit", args=[row.pk]), {**RULE, "quota": "5"}).status_code == 302
    assert client.post(reverse("limit-remove", args=[row.pk])).status_code == 302
    assert not RateLimitRule.objects.exists()
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert [*actions] == ["rate limit added", "rate limit changed", "rate limit removed"]


def test_an_admin_sets_changes_and_removes_a_budget(cast):
    client = browser(cast.alice)
    assert client.post(reverse("budget-add"), BUDGET).status_code == 302
    row = Budget.objects.get()
    assert (row.limit_nano_usd, row.property_name, row.warn_percents, row.edition) == (
        1000 * NANO + NANO // 2, "plan", [50, 80], 1,
    )  # fmt: skip
    page = client.get(reverse("budgets")).content.decode()
    assert "Team" in page and "each plan" in page and "a month" in page
    client.post(reverse("budget", args=[row.pk]), {**BUDGET, "limit_usd": "5"})
    row.refresh_from_db()
    assert (row.limit_nano_usd, row.edition) == (5 * NANO, 1)
    client.post(reverse("budget", args=[row.pk]), {**BUDGET, "span": "rolling", "hours": "12"})
    row.refresh_from_db()
    assert (row.span, row.hours, row.edition) == ("rolling", 12, 2)
    client.post(reverse("budget-remove", args=[row.pk]))
    assert not Budget.objects.exists()
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert [*actions] == ["budget added", "budget changed", "budget changed", "budget removed"]


@pytest.mark.parametrize(
    ("url", "form", "wrong", "said"),
    [
        ("limit-add", RULE, {"window_seconds": "59"}, "The window is 60"),
        ("limit-add", RULE, {"quota": "0"}, "The quota is above 0"),
        ("limit-add", RULE, {"quota": "nan"}, "Enter a number"),
        ("limit-add", RULE, {"by": "property", "property_name": " "}, "Say which property"),
        ("limit-add", RULE, {"by": "session"}, "Select a valid choice"),
        ("limit-add", RULE, {"name": "\x00"}, ""),
        ("budget-add", BUDGET, {"limit_usd": "0"}, "The limit is above 0"),
        ("budget-add", BUDGET, {"limit_usd": "much"}, "Write dollars as a number"),
        ("budget-add", BUDGET, {"limit_usd": "1e999999"}, "Write dollars as a number"),
        ("budget-add", BUDGET, {"time_zone": "Mars/Base"}, "There is no such time zone"),
        ("budget-add", BUDGET, {"warn_percents": "half"}, "Write whole percentages"),
        ("budget-add", BUDGET, {"span": "rolling"}, "A rolling window has"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(cast, url, form, wrong, said):
    answer = browser(cast.alice).post(reverse(url), {**form, **wrong})
    assert answer.status_code == 400
    assert said in answer.content.decode()
    assert not RateLimitRule.objects.exists() and not Budget.objects.exists()


@pytest.mark.parametrize(
    ("url", "wrong", "fields"),
    [
        ("limit-add", {**RULE, "name": "", "quota": "0", "window_seconds": "1"}, {"name", "quota", "window_seconds"}),
        ("budget-add", {**BUDGET, "name": "", "limit_usd": "0", "property_name": "", "warn_percents": "0"},
         {"name", "limit_usd", "property_name", "warn_percents"}),
        ("budget-add", {**BUDGET, "limit_usd": "x", "span": "rolling", "by": "?"}, {"limit_usd", "hours", "by"}),
        ("session-guard", {"max_cost_usd": "x", "max_calls": "0", "max_depth": "deep"},
         {"max_cost_usd", "max_calls", "max_depth"}),
    ],
)  # fmt: skip
def test_whoever_made_several_mistakes_is_told_of_each(cast, url, wrong, fields):
    answer = browser(cast.alice).post(reverse(url), wrong)
    assert (answer.status_code, set(answer.context["form"].errors)) == (400, fields)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_others_see_and_set_nothing(cast, role):
    row, _ = a_budget(cast.acme, 5)
    rule = RateLimitRule.objects.create(organization=cast.acme, name="Calm", quota=1, window_seconds=60)
    client = browser(reader(cast, role))
    for url, args in (("budgets", []), ("limits", []), ("budget", [row.pk])):
        page = client.get(reverse(url, args=args))
        assert page.status_code == 200
        assert "Add a" not in page.content.decode() and "Save" not in page.content.decode()
    for url, args in (("budget", [row.pk]), ("budget-add", []), ("budget-remove", [row.pk]), ("limit", [rule.pk]),
                      ("limit-add", []), ("limit-remove", [rule.pk]), ("session-guard", [])):  # fmt: skip
        assert client.post(reverse(url, args=args), {**BUDGET, **RULE}).status_code == 403
    assert Budget.objects.count() == RateLimitRule.objects.count() == 1


def test_other_organizations_find_nothing(cast):
    row, _ = a_budget(cast.acme, 5)
    rule = RateLimitRule.objects.create(organization=cast.acme, name="Calm", quota=1, window_seconds=60)
    client = browser(cast.charlie)
    assert "No budgets yet" in client.get(reverse("budgets")).content.decode()
    assert "Calm" not in client.get(reverse("limits")).content.decode()
    for url, pk in (("budget", row.pk), ("budget-remove", row.pk), ("limit", rule.pk), ("limit-remove", rule.pk)):
        assert client.post(reverse(url, args=[pk]), {**BUDGET, **RULE}).status_code == 404


def test_an_admin_bounds_sessions(cast):
    client = browser(cast.alice)
    assert client.post(reverse("session-guard"), {"max_cost_usd": "2.5", "max_calls": "40"}).status_code == 302
    row = SessionGuard.objects.get()
    assert (row.max_cost_nano_usd, row.max_calls, row.max_depth) == (2_500_000_000, 40, None)
    assert 'value="2.5"' in client.get(reverse("limits")).content.decode()
    assert client.post(reverse("session-guard"), {"max_calls": "0"}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_the_page_shows_what_was_spent_and_what_was_refused(spending, cast):
    row, _ = a_budget(cast.acme, 20, by="user", warn_percents=[50])
    said = "The budget “all” of user ann is used up: limit $20.00 a month"
    body = orjson.dumps({"error": {"message": said, "type": "rate_limit_error", "code": "budget_exceeded"}})
    call = spending.call(cast.acme.pk, end_user_id="ann")
    refused = replace(
        spending.call(cast.acme.pk, end_user_id="ann"), status=429, response=Body(body, "application/json"),
        problems=(Problem("budget_exceeded", said),),
    )  # fmt: skip
    spending.store(call, refused)
    reconcile(row, spending.ledger)
    client = browser(cast.alice)
    page = client.get(reverse("budgets")).content.decode()
    assert "$15.00" in page and "warned" in page and "50 %" in page
    detail = client.get(reverse("budget", args=[row.pk])).content.decode()
    assert "ann" in detail and "user=" in detail
    limits = client.get(reverse("limits")).content.decode()
    assert said in limits and reverse("request", args=[refused.id]) in limits
    assert "1</span> by budgets" in limits


# --- REST -------------------------------------------------------------------------------------------------------------


def asked(method, path, key, body=None):
    client = browser()
    return getattr(client, method)(path, body, content_type="application/json", headers=bearer(key))


def test_helicones_api_of_rate_limits(cast):
    key = api_key(cast.acme, created_by=cast.alice)
    body = {"name": "Calm", "quota": 0.5, "window_seconds": 60, "unit": "cents", "segment": "Plan"}
    made = asked("post", "/v1/rate-limits", key, body)
    assert made.status_code == 201
    told = made.json()["data"]
    assert {name: told[name] for name in body} == {**body, "segment": "plan"}
    assert {"id", "created_at", "updated_at"} < told.keys()
    assert asked("get", "/v1/rate-limits", key).json()["data"] == [told]
    path = f"/v1/rate-limits/{told['id']}"
    changed = asked("put", path, key, {"name": "All", "quota": 9, "window_seconds": 60, "unit": "request"})
    assert (changed.status_code, changed.json()["data"]["quota"]) == (200, 9)
    assert "segment" not in changed.json()["data"]
    assert asked("delete", path, key).status_code == 204
    assert asked("delete", path, key).status_code == 404
    assert "not found" in asked("put", path, key, body).json()["error"]


@pytest.mark.parametrize(
    "wrong",
    [{"quota": "many"}, {"quota": True}, {"window_seconds": 1}, {"unit": "euro"}, {"name": ""}, {"odd": 1}, {"by": 1}],
)
def test_a_rate_limit_that_cannot_be_is_refused(cast, wrong):
    key = api_key(cast.acme, created_by=cast.alice)
    answer = asked("post", "/v1/rate-limits", key, {"name": "a", "quota": 1, "window_seconds": 60, **wrong})
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_the_api_of_budgets(cast):
    key = api_key(cast.acme, created_by=cast.alice)
    body = {"name": "Team", "limitUsd": 12.5, "period": "rolling", "hours": 24, "by": "user", "warnPercents": [90, 50]}
    made = asked("post", "/v1/budgets", key, body)
    assert made.status_code == 201, made.content
    told = made.json()["data"]
    assert {name: told[name] for name in body} == {**body, "warnPercents": [50, 90]}
    path = f"/v1/budgets/{told['id']}"
    changed = asked("patch", path, key, {"limitUsd": "20", "isHard": False}).json()["data"]
    assert (changed["limitUsd"], changed["isHard"], changed["by"], changed["hours"]) == (20, False, "user", 24)
    assert asked("get", path, key).json()["data"]["segments"] == []
    assert len(asked("get", "/v1/budgets", key).json()["data"]) == 1
    assert asked("patch", path, key, {"period": "year"}).status_code == 422
    assert asked("get", path, api_key(cast.umbrella, created_by=cast.charlie)).status_code == 404
    assert asked("delete", path, key).status_code == 200
    assert not Budget.objects.exists()


def test_the_api_of_sessions(cast):
    key = api_key(cast.acme, created_by=cast.alice)
    bounds = {"maxCostUsd": 3, "maxCalls": 10, "maxDepth": None, "maxRepeats": 4}
    assert asked("put", "/v1/session-guard", key, bounds).json()["data"] == bounds
    assert asked("get", "/v1/session-guard", key).json()["data"] == bounds
    assert asked("put", "/v1/session-guard", key, {"maxCalls": -1}).status_code == 422


@pytest.mark.parametrize("path", ["/v1/rate-limits", "/v1/budgets"])
def test_a_members_key_reads_and_writes_none(cast, path):
    key = api_key(cast.acme, created_by=cast.bob)
    assert asked("get", path, key).status_code == 200
    body = {"name": "a", "quota": 1, "window_seconds": 60} if "rate" in path else {"name": "a", "limitUsd": 1}
    assert asked("post", path, key, body).status_code == 403


# --- the snapshot -----------------------------------------------------------------------------------------------------


def test_edge_is_told_of_what_is_set(cast):
    """Each part is read as edge reads it."""
    RateLimitRule.objects.create(organization=cast.acme, name="Calm", quota=1, window_seconds=60, by="user")
    _, budget = a_budget(cast.acme, 5, by="property", property_name="plan", warn_percents=[90, 50])
    SessionGuard.objects.create(organization=cast.acme, max_calls=3)
    parts = {}
    for part in snapshot.PARTS:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT coalesce(json_agg(part), '[]') FROM ({part.query}) AS part")
            (rows,) = cursor.fetchone()
        parts[part.name] = part.read(orjson.loads(rows) if isinstance(rows, str) else rows)
    mine = snapshot.stored(Snapshot(1, 0.0, parts).parts, cast.acme.pk)
    assert ([rule.text for rule in mine.rules], mine.budgets, mine.caps.max_calls) == (["1;w=60;s=user"], (budget,), 3)
    assert snapshot.stored(parts, cast.umbrella.pk).budgets == ()


def test_changes_raise_the_version_and_looks_do_not(cast):
    def version():
        with connection.cursor() as cursor:
            cursor.execute("SELECT version FROM snapshot_version")
            return cursor.fetchone()[0]

    versions = [version()]
    row, _ = a_budget(cast.acme, 5)
    versions.append(version())
    row.save()
    versions.append(version())
    SessionGuard.objects.create(organization=cast.acme, max_calls=3)
    versions.append(version())
    Budget.objects.filter(pk=row.pk).update(trouble="x")
    assert len(set(versions)) == 4
    assert version() == versions[-1]
