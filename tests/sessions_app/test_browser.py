"""The tree in a real browser: what is drawn, by key, by click, by address, and with ten thousand nodes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from lib.clock import now
from requests_app.rows import Change
from sessions_app import rollup
from tests.browsing import NARROW, expect, fits, tabs, wait_for_texts
from tests.factories import Cast
from tests.sessions_app.scenes import TRACE, agent_run, call, keep, large_run, research_agent, span

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
RUN = "/sessions/run_01HV7Q2M8ZK3"


@pytest.fixture
def organization_id(transactional_db, cast: Cast):
    yield cast.acme.pk
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, request_alias, session, trace")


@pytest.fixture
def look(chromium, live_server, organization_id: int, cast: Cast):
    with tabs(chromium, live_server.url, cast.alice) as opened:
        yield opened


def wait_for_labels(page, *wanted: str, is_beginning: bool = False):
    wait_for_texts(page, ".trace-row .trace-label", *wanted, is_beginning=is_beginning)


def wait_for_current(page, wanted: str):
    expect(page.locator(".trace-row.is-current .trace-label")).to_have_text(wanted)


def test_the_tree_answers_to_keys(look, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page = look(RUN)
    wait_for_labels(page, "agent", "plan", "round 1", "choose query", is_beginning=True)
    for key in ("j", "j", "ArrowLeft"):
        page.keyboard.press(key)
    wait_for_labels(page, "agent", "plan", "round 1", "round 2", is_beginning=True)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    wait_for_current(page, "choose query")
    page.keyboard.press("ArrowLeft")
    wait_for_current(page, "round 1")


def test_the_costliest_path_leads_to_the_dearest_call_and_back(look, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page = look(RUN)
    wait_for_labels(page, "agent", is_beginning=True)
    before = page.locator(".trace-row .trace-label").all_text_contents()[:10]
    page.keyboard.press("c")
    wait_for_texts(page, ".on-way .trace-label", "agent", "round 7", "summarise")
    wait_for_current(page, "summarise")
    page.keyboard.press("c")
    expect(page.locator(".on-way")).to_have_count(0)
    page.wait_for_function(
        "() => { scrollTo(0, 0); return document.querySelector('.trace-row .trace-label').textContent === 'agent'; }"
    )
    wait_for_labels(page, *before, is_beginning=True)


def test_enter_after_the_button_opens_the_dearest_call(look, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page = look(RUN)
    wait_for_labels(page, "agent", is_beginning=True)
    page.click("[data-trace=costliest]")
    wait_for_current(page, "summarise")
    page.keyboard.press("Enter")
    page.wait_for_selector("#drawer .drawer-head .badge")
    expect(page.locator(".trace-row.is-shown .trace-label")).to_have_text("summarise")
    expect(page.locator("[data-trace=costliest]")).to_have_attribute("aria-pressed", "true")


def test_errors_only_and_words_leave_what_they_ask_for(look, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page = look(RUN)
    page.keyboard.press("e")
    failed = ["agent"]
    for number in (3, 6):
        failed += [f"round {number}", "summarise", "claude-sonnet-4-5"]
    wait_for_labels(page, *failed)
    page.keyboard.press("e")
    page.click("[data-find='write report']")
    wait_for_labels(page, "agent", "write report", "check")


def test_a_step_opens_in_the_drawer_and_its_address_opens_it_again(look, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page = look(RUN)
    page.click(".trace-row >> text=plan")
    page.wait_for_selector("#drawer .drawer-head .badge")
    page.wait_for_url("**open=**")
    page.goto(page.url)
    page.wait_for_selector("#drawer .drawer-head .badge")
    expect(page.locator(".trace-row.is-shown .trace-label")).to_have_text("plan")


def test_ten_thousand_steps_draw_only_what_is_on_the_screen(look, organization_id):
    large_run(organization_id, now() - timedelta(hours=5), 10_000)
    page = look("/sessions/batch-10000")
    page.click("[data-trace=expand]")
    expect(page.locator(".trace-body")).to_have_attribute("aria-rowcount", "11050")
    page.wait_for_function(
        "() => { scrollTo(0, document.documentElement.scrollHeight); "
        "return document.querySelector('.trace-row[aria-rowindex=\"11050\"]') !== null; }"
    )
    assert page.locator(".trace-row").count() < 120


def test_at_390_px_the_tree_fits_with_bars_under_its_rows(look, organization_id):
    research_agent(organization_id, now() - timedelta(hours=1))
    page = look(RUN, NARROW)
    page.wait_for_selector(".trace-row")
    fits(page)
    row = page.locator(".trace-row").first
    name, bar = (row.locator(part).bounding_box() for part in (".trace-name", ".trace-bar"))
    assert bar["y"] >= name["y"] + name["height"] - 1


# --- traces -----------------------------------------------------------------------------------------------------------


def test_the_critical_path_leaves_out_what_nobody_waited_for(look, organization_id):
    at = now() - timedelta(hours=1)
    span(organization_id, at, "agent", kind="agent", duration_ms=1000)
    span(organization_id, at, "quick", under="agent", duration_ms=100)
    span(organization_id, at, "aside", under="quick", duration_ms=90)
    span(organization_id, at + timedelta(milliseconds=50), "slow", under="agent", duration_ms=900)
    page = look(f"/traces/{TRACE}")
    wait_for_labels(page, "agent", "quick", "aside", "slow")
    page.keyboard.press("p")
    wait_for_texts(page, ".on-way .trace-label", "agent", "slow")
    wait_for_labels(page, "agent", "quick", "slow")
    wait_for_current(page, "slow")
    page.keyboard.press("p")
    wait_for_labels(page, "agent", "quick", "aside", "slow")


def test_errors_only_leads_from_the_root_to_the_step_that_failed(look, organization_id):
    agent_run(organization_id, now() - timedelta(hours=1))
    page = look(f"/traces/{TRACE}")
    wait_for_texts(page, ".trace-row .badge", "error", "1 error", "error")
    page.keyboard.press("e")
    wait_for_labels(page, "agent", "refund")


def test_a_trace_is_opened_from_the_list_and_its_steps_in_the_drawer(look, organization_id):
    agent_run(organization_id, now() - timedelta(hours=1))
    page = look("/traces")
    page.click(".row-link >> text=agent >> visible=true")
    page.wait_for_url(f"**/traces/{TRACE}")
    page.click(".trace-row >> text=search")
    expect(page.locator("#drawer .documents li")).to_have_count(1)
    page.click("#drawer >> text=Attributes")
    expect(page.locator("#drawer #p-attributes")).to_contain_text("retrieval.documents.0.document.id")
    page.click("#drawer .drawer-head >> text=agent")
    expect(page.locator("#drawer .drawer-title")).to_contain_text("agent")
    page.click("#drawer [role=tab] >> text=Links")
    expect(page.locator("#drawer #p-events a")).to_have_attribute("href", f"/traces/{'f' * 32}")


def test_a_session_switches_between_its_trees_and_back_leads_back(look, organization_id):
    rows = agent_run(organization_id, now() - timedelta(hours=1), session_id="talk")
    rollup.apply(connection.connection, [Change(None, row) for row in rows.values()])
    keep([call(organization_id, now(), "/ask/again", session="talk")])
    page = look("/sessions/talk")
    wait_for_labels(page, "agent", "chat", "search", "embed", "refund", "ask", "again")
    page.click(".tabs >> text=Paths")
    page.wait_for_url("**?tree=paths")
    expect(page.locator(".trace-row[aria-level='1']")).to_have_count(6)
    page.go_back()
    expect(page.locator(".trace-row[aria-level='1']")).to_have_count(2)


def test_a_running_step_and_one_without_its_parent_say_so(look, organization_id):
    span(organization_id, now(), "begun", kind="agent", duration_ms=None)
    span(organization_id, now(), "lost", under="away")
    page = look(f"/traces/{TRACE}")
    expect(page.locator(".trace-row", has_text="begun").locator(".badge")).to_have_text("running")
    expect(page.locator(".trace-row", has_text="lost").locator(".badge")).to_have_text("no parent here")


def test_ten_thousand_spans_draw_only_what_is_on_the_screen(look, organization_id):
    large_run(organization_id, now() - timedelta(hours=5), 10_000, trace=TRACE)
    page = look(f"/traces/{TRACE}")
    page.click("[data-trace=expand]")
    expect(page.locator(".trace-body")).to_have_attribute("aria-rowcount", "10000")
    page.keyboard.press("p")
    page.wait_for_selector(".on-way")
    assert page.locator(".trace-row").count() < 120


def test_at_390_px_traces_and_their_steps_fit(look, organization_id):
    rows = agent_run(organization_id, now() - timedelta(hours=1))
    for path in ("/traces", f"/traces/{TRACE}", *(f"/requests/{row.id}" for row in rows.values())):
        page = look(path, NARROW)
        page.wait_for_selector("h1")
        fits(page)
