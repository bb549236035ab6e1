"""The requests page in a real browser: news, drawer, filter form, small screens, and no error in the console."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from ingest_app import late
from lib import clock
from tests.browsing import NARROW, expect, fits, tabs
from tests.requests_app import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ground(transactional_db):
    """Rows outlive a test that commits them, unless somebody takes them away."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, request_alias")


@pytest.fixture
def look(chromium, live_server, ground, cast):
    """Opens a path as Alice; any error in the console fails the test."""
    with tabs(chromium, live_server.url, cast.alice) as opened:
        yield opened


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
    tab.wait_for_function("() => { scrollTo(0, 400); return scrollY > 300; }")
    factories.make_request(cast.acme.pk, model="model-newer")
    tab.click(".pill >> text=1 new")
    tab.wait_for_selector("tr.is-new >> text=model-newer")


def test_the_drawer_opens_steps_and_closes_by_keys_and_its_address_opens_it_again(look, cast):
    rows = some(cast, 3)
    tab = look("/requests")
    tab.click("text=model-1")
    tab.wait_for_selector("#drawer >> text=answer 1")
    expect(tab.locator("#drawer")).to_contain_text("<b>question 1</b>")
    tab.keyboard.press("]")
    tab.wait_for_selector("#drawer >> text=answer 2")
    tab.wait_for_url(f"**?open={rows[2].id}")
    tab.click("#drawer >> text=JSON")
    tab.wait_for_selector("#drawer .json")
    tab.reload()
    tab.wait_for_selector("#drawer .json")
    tab.keyboard.press("Escape")
    tab.wait_for_selector("#drawer", state="hidden")
    tab.wait_for_function("!location.search.includes('open=')")


def test_closing_the_drawer_goes_back_to_where_it_was_opened_and_adds_no_place(look, cast):
    some(cast, 3)
    tab = look("/requests")
    places = tab.evaluate("history.length")
    for name in ("model-1", "model-2"):
        tab.click(f"text={name}")
        tab.wait_for_selector(f"#drawer >> text={name}")
        tab.keyboard.press("Escape")
        tab.wait_for_selector("#drawer", state="hidden")
        tab.wait_for_function("!location.search.includes('open=')")
    assert tab.evaluate("history.length") == places + 1  # the one Forward leads to
    tab.go_forward()
    tab.wait_for_selector("#drawer >> text=model-2")


def test_a_filter_is_put_together_from_what_was_seen(look, cast):
    some(cast, 2)
    tab = look("/requests")
    tab.keyboard.press("f")
    tab.wait_for_load_state("networkidle")
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
    fits(tab)
    tab.click("#add-filter summary")
    tab.wait_for_selector(".filter-form")
    box = tab.locator(".filter-form").bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= NARROW["width"]
    tab.click("#add-filter summary")
    tab.click(".filter-help summary")
    box = tab.locator(".filter-help .menu-list").bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= NARROW["width"]
    tab.click(".filter-help summary")
    tab.click("text=model-1")
    tab.wait_for_url(f"**/requests/{rows[1].id}")
    fits(tab)


def test_feedback_given_in_the_drawer_is_there_at_once(look, cast, monkeypatch):
    sent = []
    monkeypatch.setattr(late, "send", sent.append)
    row = factories.make_request(cast.acme.pk, clock.now(), scores={"accuracy": 0.93, "is_safe": 1})
    tab = look(f"/requests?open={row.id}&tab=scores")
    expect(tab.locator("#p-scores")).to_contain_text("accuracy")
    tab.click("#p-scores >> text=Good")
    tab.wait_for_selector("#p-scores .badge.ok")
    expect(tab.locator("#p-scores")).to_contain_text("Take it back")
    tab.click("#p-scores >> text=Bad")
    tab.wait_for_selector("#p-scores .badge.error")
    assert len(sent) == 2
