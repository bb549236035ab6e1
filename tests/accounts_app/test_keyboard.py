"""The frame in a real browser: keys, palette, theme, copying, and nothing that the page's own policy forbids."""

from __future__ import annotations

import re

import pytest

from accounts_app import audit
from tests.browsing import expect, fits, tabs
from tests.factories import PASSWORD, Cast

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(chromium, live_server, transactional_db, cast: Cast):
    """Alice, logged in, at her settings; any error in the console fails the test."""
    with tabs(chromium, live_server.url, cast.alice) as opened:
        yield opened("/settings/keys", color_scheme="light", timezone_id="Asia/Kolkata")


def test_who_logs_in_comes_to_the_page_asked_for(page):
    page.context.clear_cookies()
    page.goto("/settings/keys")
    page.fill("[name=email]", "alice@example.org")
    page.fill("[name=password]", PASSWORD)
    page.click("text=Log in >> nth=-1")
    page.wait_for_url("**/settings/keys")


def test_a_key_is_made_copied_and_revoked(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.fill("[name=name]", "laptop")
    page.click("text=Create key")
    shown = page.inner_text(".secret code")
    page.click(".secret button")
    page.wait_for_selector(".secret button.done")
    assert page.evaluate("navigator.clipboard.readText()") == shown
    page.click("table button:has-text('Revoke')")
    page.click("dialog[open] button:has-text('Revoke key')")
    page.wait_for_selector("text=The key laptop is revoked.")


def test_g_and_a_letter_goes_to_a_page(page):
    page.keyboard.press("g")
    page.keyboard.press(",")
    page.wait_for_url("**/settings")


def test_the_palette_finds_a_page_by_its_words(page):
    page.keyboard.press("Control+k")
    page.keyboard.type("memb")
    expect(page.locator("#palette [aria-selected=true]")).to_contain_text("Members")
    page.keyboard.press("Enter")
    page.wait_for_url("**/settings/members")


def test_words_that_name_no_page_lead_to_the_lists_that_may_have_them(page):
    page.keyboard.press("Control+k")
    page.keyboard.type("a&b=c")
    offered = page.locator("#palette-list a")
    expect(offered).to_have_count(4)
    for path in ("/requests?q=", "/requests?model=~", "/sessions?q=", "/users?find="):
        expect(page.locator(f"#palette-list a[href='{path}a%26b%3Dc']")).to_have_count(1)
    selected = page.locator("#palette-list [aria-selected=true]")
    expect(selected).to_contain_text("Requests with “a&b=c”")
    page.keyboard.press("ArrowUp")
    expect(selected).to_contain_text("Users with “a&b=c”")
    page.keyboard.press("ArrowDown")
    expect(selected).to_contain_text("Requests with “a&b=c”")
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests?q=a%26b%3Dc")
    expect(page.locator("input[name=q]").first).to_have_value("a&b=c")


def test_letters_typed_into_a_field_are_only_letters(page):
    page.click("[name=name]")
    page.keyboard.type("g,?")
    expect(page.locator("[name=name]")).to_have_value("g,?")
    assert page.url.endswith("/settings/keys")
    assert page.locator("#help[open]").count() == 0


def test_help_opens_and_closes(page):
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("Escape")
    expect(page.locator("#help[open]")).to_have_count(0)


def test_a_chosen_theme_shows_at_once_and_stays(page):
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click(".person summary")
    with page.expect_response("**/settings/profile/theme"):
        page.click("button:has-text('Dark')")
    is_dark = "before => getComputedStyle(document.body).backgroundColor !== before"
    page.wait_for_function(is_dark, arg=before)
    page.reload()
    page.wait_for_function(is_dark, arg=before)


def test_times_stand_in_the_browsers_zone_with_the_exact_one_on_hover(page):
    page.goto("/settings")
    expect(page.locator("time[data-time]").first).to_have_attribute("title", re.compile(r"GMT\+5:30|IST"))


def test_the_audit_log_shows_its_details_whole(page, cast: Cast):
    audit.record(cast.acme.pk, None, "repricing finished", models="a-model-with-a-name " * 20)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto("/settings/audit")
        expect(page.locator(".audit-detail").first).to_be_visible()
        page.wait_for_function("() => (e => e.scrollWidth <= e.clientWidth)(document.querySelector('.audit-detail'))")
        page.wait_for_function("() => (e => e.scrollWidth <= e.clientWidth)(document.querySelector('.table-wrap'))")


def test_nothing_is_wider_than_a_telephone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/settings", "/settings/keys", "/settings/members", "/settings/profile", "/get-started"):
        page.goto(path)
        fits(page)
    page.goto("/settings/routes/new")
    page.wait_for_function("() => (box => box.scrollWidth <= box.clientWidth)(document.querySelector('.table-wrap'))")
    expect(page.locator("[name$=-calls]").first).to_be_visible()
    page.click(".nav-toggle")
    page.wait_for_selector(".side a:has-text('Settings')", state="visible")
