"""The tree in a real browser: what is drawn, by key, by click, by address, and with ten thousand nodes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from lib.clock import now
from tests.factories import PASSWORD, Cast
from tests.sessions_app.scenes import large_run, research_agent

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
RUN = "/sessions/run_01HV7Q2M8ZK3"


@pytest.fixture
def organization_id(transactional_db, cast: Cast):
    yield cast.acme.pk
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, request_alias, session")


@pytest.fixture
def page(chromium, live_server, organization_id: int):
    """Alice, logged in; any error in the console fails the test."""
    context = chromium.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 860})
    tab, errors = context.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.goto("/login?next=/sessions")
    tab.fill("[name=email]", "alice@example.org")
    tab.fill("[name=password]", PASSWORD)
    tab.click("text=Log in >> nth=-1")
    tab.wait_for_url("**/sessions")
    yield tab
    context.close()
    assert errors == []


def labels(page):
    return page.eval_on_selector_all(".trace-row .trace-label", "all => all.map(one => one.textContent)")


def current(page):
    return page.inner_text(".trace-row.is-current .trace-label")


def test_the_tree_answers_to_keys(page, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page.goto(RUN)
    assert labels(page)[:4] == ["agent", "plan", "round 1", "choose query"]
    for key in ("j", "j", "ArrowLeft"):
        page.keyboard.press(key)
    assert labels(page)[:4] == ["agent", "plan", "round 1", "round 2"]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert current(page) == "choose query"
    page.keyboard.press("ArrowLeft")
    assert current(page) == "round 1"


def test_the_costliest_path_leads_to_the_dearest_call_and_back(page, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page.goto(RUN)
    before = labels(page)
    page.keyboard.press("c")
    assert page.eval_on_selector_all(".on-way .trace-label", "all => all.map(one => one.textContent)") == [
        "agent", "round 7", "summarise",
    ]  # fmt: skip
    assert current(page) == "summarise"
    page.keyboard.press("c")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("document.querySelector('.trace-row .trace-label').textContent === 'agent'")
    assert labels(page)[:10] == before[:10]


def test_errors_only_and_words_leave_what_they_ask_for(page, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page.goto(RUN)
    page.keyboard.press("e")
    failed = ["agent"]
    for number in (3, 6):
        failed += [f"round {number}", "summarise", "claude-sonnet-4-5"]
    assert labels(page) == failed
    page.keyboard.press("e")
    page.click("[data-find='write report']")
    assert labels(page) == ["agent", "write report", "check"]


def test_a_step_opens_in_the_drawer_and_its_address_opens_it_again(page, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page.goto(RUN)
    page.click(".trace-row >> text=plan")
    page.wait_for_selector("#drawer .drawer-head .badge")
    address = page.url
    assert "open=" in address
    page.goto(address)
    page.wait_for_selector("#drawer .drawer-head .badge")
    assert page.inner_text(".trace-row.is-shown .trace-label") == "plan"


def test_ten_thousand_steps_draw_only_what_is_on_the_screen(page, organization_id):
    large_run(organization_id, now() - timedelta(hours=5), 10_000)
    page.goto("/sessions/batch-10000")
    page.click("text=Expand all")
    assert page.get_attribute(".trace-body", "aria-rowcount") == "11050"
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_selector(".trace-row[aria-rowindex='11050']")
    assert page.locator(".trace-row").count() < 120


def test_at_390_px_the_tree_fits_with_bars_under_its_rows(page, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(RUN)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    name, bar = (page.locator(f".trace-row >> nth=0 >> {part}").bounding_box() for part in (".trace-name", "svg"))
    assert bar["y"] >= name["y"] + name["height"] - 1
