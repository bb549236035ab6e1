"""The retention page in a real browser: slider, number and presets agree, the plan follows, nothing in the console."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse

from lib import clock
from requests_app import keeping
from requests_app.retention import Policy
from tests.browsing import expect, tabs
from tests.requests_app import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def look(chromium, live_server, transactional_db, cast):
    """Opens a path as Alice; any error in the console fails the test."""
    with tabs(chromium, live_server.url, cast.alice) as opened:
        yield opened
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, request_alias, retention_policy, session_pin")


def test_slider_number_and_presets_say_the_same_and_the_plan_follows(look, cast):
    for age in (1, 40, 100):
        factories.make_request(cast.acme.pk, clock.now() - timedelta(days=age))
    tab = look(reverse("retention"))
    row = tab.locator("[data-keep]").nth(1)
    number, slider = row.locator("input[type=number]"), row.locator("input[type=range]")
    assert (number.input_value(), slider.input_value()) == ("", "366")
    row.get_by_role("button", name="90 days").click()
    expect(number).to_have_value("90")
    expect(slider).to_have_value("90")
    figure = tab.locator("#plan .figure", has_text="requests, today").locator("dd .num")
    expect(figure).to_have_text("1")
    number.fill("30")
    expect(figure).to_have_text("2")
    expect(slider).to_have_value("30")
    tab.get_by_role("button", name="Save").click()
    tab.wait_for_selector("text=Retention is changed")
    assert keeping.policy_of(cast.acme.pk) == Policy(None, 30, None)
