"""Budgets and Rate limits in a real browser: both themes, both widths, nothing in the console."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection
from django.urls import reverse

from alerts_app.ledger import reconcile
from alerts_app.models import Budget, RateLimitRule
from llm.exchange import Problem
from tests.alerts_app.spending import a_budget
from tests.browsing import NARROW, WIDE, expect, fits, tabs

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("SCREENSHOTS")
"""A folder, for who wants to look."""


@pytest.fixture
def look(chromium, live_server, transactional_db, cast):
    with tabs(chromium, live_server.url, cast.alice) as opened:
        yield opened
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE budget, budget_state, budget_event, rate_limit_rule, session_guard")


@pytest.fixture
def filled(spending, cast):
    """A budget used up, one warned of, one nothing was spent of; rules; refused calls."""
    rows = [
        a_budget(cast.acme, 20, by="user", warn_percents=[50, 80])[0],
        a_budget(cast.acme, 100, span="rolling", hours=48, warn_percents=[25], is_hard=False)[0],
        a_budget(cast.acme, 12_000, by="property", property_name="plan", span="week")[0],
        a_budget(cast.acme, 5, by="model", value="gpt-9-that-nobody-has-asked-for-yet", span="day")[0],
    ]
    Budget.objects.filter(pk=rows[0].pk).update(name="Each user of the support desk, by month")
    said = "The budget “Each user” of user ann@example.org is used up: limit $20.00 a month, spent $30.00."
    called = [spending.call(cast.acme.pk, end_user_id=user, properties={"plan": "pro"})
              for user in ("ann@example.org", "ann@example.org", "bob", "a-very-long-user-id-" * 8)]  # fmt: skip
    refused = [
        replace(spending.call(cast.acme.pk, end_user_id="ann@example.org"), status=429, problems=(Problem(code, said),))
        for code in ("budget_exceeded", "rate_limited", "session_stopped")
    ]
    spending.store(*called, *refused)
    for row in rows:
        reconcile(row, spending.ledger)
    for name, told in (("Everybody", {}), ("Each user", {"by": "user"}), ("Plan", {"by": "property", "value": "free",
                       "property_name": "plan"})):  # fmt: skip
        RateLimitRule.objects.create(organization=cast.acme, name=name, quota=1000, window_seconds=3600, **told)
    return rows


def shot(tab, name: str) -> None:
    if SHOTS:
        tab.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "viewport"), [("wide", WIDE), ("narrow", NARROW)])
def test_the_pages_fit(look, filled, scheme, width, viewport):
    for name, path in (
        ("budgets", reverse("budgets")), ("budget", reverse("budget", args=[filled[0].pk])),
        ("limits", reverse("limits")), ("limit", reverse("limit-add")),
    ):  # fmt: skip
        tab = look(path, viewport, color_scheme=scheme)
        fits(tab, viewport["width"])
        shot(tab, f"{name}-{width}-{scheme}")


def test_a_budget_is_set_and_removed_by_hand(look):
    tab = look(reverse("budgets"))
    tab.get_by_role("link", name="Add a budget").first.click()
    tab.get_by_label("Name").fill("Team")
    tab.get_by_label("Limit, USD").fill("250")
    tab.get_by_role("button", name="Set the budget").click()
    tab.wait_for_selector("text=The budget is set")
    tab.get_by_role("link", name="Team").click()
    expect(tab.get_by_label("Limit, USD")).to_have_value("250")
    tab.get_by_role("button", name="Remove", exact=True).click()
    tab.get_by_role("button", name="Remove budget").click()
    tab.wait_for_selector("text=is removed")
    assert not Budget.objects.exists()
