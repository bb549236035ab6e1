"""The requests page in a real browser: news, drawer, filter form, small screens, and no error in the console."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from lib import clock
from tests import factories as people
from tests.requests_app import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture
def ground(transactional_db):
    """Rows outlive a test that commits them, unless somebody takes them away."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, request_alias")


@pytest.fixture
def look(chromium, live_server, ground, cast):
    """Opens a path as Alice; any error in the console fails the test."""
    errors, contexts = [], []
    session = people.browser(cast.alice).cookies["helicone_session"].value

    def opened(path: str, viewport=WIDE):
        context = chromium.new_context(base_url=live_server.url, viewport=viewport)
        contexts.append(context)
        context.add_cookies([{"name": "helicone_session", "value": session, "url": live_server.url}])
        tab = context.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.goto(path)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def some(cast, count: int):
    now = clock.now()
    return [
        factories.make_request(
            cast.acme.pk, now - timedelta(minutes=n), model=f"model-{n}", properties={"env": "prod"},
            request={"messages": [{"role": "user", "content": f"<b>question {n}</b>"}]},
            response={"choices": [{"message": {"role": "assistant", "content": f"answer {n}"}}]},
        )
        for n in range(count)
    ]  # fmt: skip


def test_a_new_request_slides_in_at_the_top_and_waits_in_a_pill_below(look, cast):
    some(cast, 40)
    tab = look("/requests")
    factories.make_request(cast.acme.pk, model="model-new")
    tab.wait_for_selector("tr.is-new >> text=model-new")
    tab.evaluate("scrollTo(0, 400)")
    factories.make_request(cast.acme.pk, model="model-newer")
    tab.click(".pill >> text=1 new")
    tab.wait_for_selector("tr.is-new >> text=model-newer")


def test_the_drawer_opens_steps_and_closes_by_keys_and_its_address_opens_it_again(look, cast):
    rows = some(cast, 3)
    tab = look("/requests")
    tab.click("text=model-1")
    tab.wait_for_selector("#drawer >> text=answer 1")
    assert "<b>question 1</b>" in tab.inner_text("#drawer")
    tab.keyboard.press("]")
    tab.wait_for_selector("#drawer >> text=answer 2")
    assert tab.url.endswith(f"?open={rows[2].id}")
    tab.click("#drawer >> text=JSON")
    assert tab.is_visible("#drawer .json")
    tab.reload()
    tab.wait_for_selector("#drawer .json")
    tab.keyboard.press("Escape")
    tab.wait_for_selector("#drawer", state="hidden")
    assert "open=" not in tab.url


def test_a_filter_is_put_together_from_what_was_seen(look, cast):
    some(cast, 2)
    tab = look("/requests")
    tab.keyboard.press("f")
    tab.select_option("#filter-key", "property")
    tab.wait_for_selector("#filter-names option[value=env]", state="attached")
    tab.fill("[name=add_name]", "env")
    tab.locator("[name=add_name]").blur()
    tab.wait_for_selector("#filter-values option[value=prod]", state="attached")
    tab.fill("[name=add_value]", "prod")
    tab.click("text=Add filter")
    tab.wait_for_url("**/requests?property.env=prod")


def test_on_a_small_screen_a_row_leads_to_a_page_and_nothing_is_cut_off(look, cast):
    rows = some(cast, 2)
    tab = look("/requests?property.env=prod", NARROW)
    assert tab.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    tab.click("#add-filter summary")
    box = tab.locator(".filter-form").bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= NARROW["width"]
    tab.click("#add-filter summary")
    tab.click("text=model-1")
    tab.wait_for_url(f"**/requests/{rows[1].id}")
    assert tab.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
