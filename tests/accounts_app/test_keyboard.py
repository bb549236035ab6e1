"""The frame in a real browser: keys, palette, theme, copying, and nothing that the page's own policy forbids."""

from __future__ import annotations

import pytest

from tests.factories import PASSWORD, Cast

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(chromium, live_server, transactional_db, cast: Cast):
    """Alice, logged in, at her settings; any error in the console fails the test."""
    context = chromium.new_context(base_url=live_server.url, color_scheme="light", timezone_id="Asia/Kolkata")
    tab, errors = context.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    tab.goto("/login?next=/settings/keys")
    tab.fill("[name=email]", "alice@example.org")
    tab.fill("[name=password]", PASSWORD)
    tab.click("text=Log in >> nth=-1")
    tab.wait_for_url("**/settings/keys")
    yield tab
    context.close()
    assert errors == []


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
    page.keyboard.press("Enter")
    page.wait_for_url("**/settings/members")


def test_letters_typed_into_a_field_are_only_letters(page):
    page.click("[name=name]")
    page.keyboard.type("g,?")
    assert page.input_value("[name=name]") == "g,?"
    assert page.url.endswith("/settings/keys")
    assert page.locator("#help[open]").count() == 0


def test_help_opens_and_closes(page):
    page.keyboard.press("?")
    assert page.locator("#help[open]").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help[open]").count() == 0


def test_a_chosen_theme_shows_at_once_and_stays(page):
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click(".person summary")
    with page.expect_response("**/settings/profile/theme"):
        page.click("button:has-text('Dark')")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert dark != before
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_times_stand_in_the_browsers_zone_with_the_exact_one_on_hover(page):
    page.goto("/settings")
    title = page.get_attribute("time[data-time]", "title")
    assert "GMT+5:30" in title or "IST" in title


def test_nothing_is_wider_than_a_telephone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/settings", "/settings/keys", "/settings/members", "/settings/profile", "/get-started"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.click(".nav-toggle")
    page.wait_for_selector(".side a:has-text('Settings')", state="visible")
