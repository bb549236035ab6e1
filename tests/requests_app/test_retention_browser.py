"""The retention page in a real browser: slider, number and presets agree, the plan follows, nothing in the console."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse

from lib import clock
from requests_app import keeping
from requests_app.retention import Policy
from tests import factories as people
from tests.requests_app import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def tab(chromium, live_server, transactional_db, cast):
    """A tab of Alice's; any error in the console fails the test."""
    errors: list[str] = []
    session = people.browser(cast.alice).cookies["helicone_session"].value
    context = chromium.new_context(base_url=live_server.url)
    context.add_cookies([{"name": "helicone_session", "value": session, "url": live_server.url}])
    opened = context.new_page()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, request_alias, retention_policy, session_pin")
    assert errors == []


def test_slider_number_and_presets_say_the_same_and_the_plan_follows(tab, cast):
    expect = pytest.importorskip("playwright.sync_api").expect
    for age in (1, 40, 100):
        factories.make_request(cast.acme.pk, clock.now() - timedelta(days=age))
    tab.goto(reverse("retention"))
    row = tab.locator("[data-keep]").nth(1)
    number, slider = row.locator("input[type=number]"), row.locator("input[type=range]")
    assert (number.input_value(), slider.input_value()) == ("", "366")
    row.get_by_role("button", name="90 days").click()
    assert (number.input_value(), slider.input_value()) == ("90", "90")
    figure = tab.locator("#plan .figure", has_text="requests, today").locator("dd .num")
    expect(figure).to_have_text("1")
    number.fill("30")
    expect(figure).to_have_text("2")
    assert slider.input_value() == "30"
    tab.get_by_role("button", name="Save").click()
    tab.wait_for_selector("text=Retention is changed")
    assert keeping.policy_of(cast.acme.pk) == Policy(None, 30, None)
