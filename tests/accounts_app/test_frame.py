"""The frame around every page: what it lists, what it forbids, in whose zone it tells time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from helicone_site import csp, menu, zones
from lib.menu import MenuItem
from tests.factories import Cast, browser, person

TEMPLATES = sorted(Path(settings.BASE_DIR, "templates").rglob("*.html"))
INLINE = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=|\shx-on|javascript:", re.IGNORECASE)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(settings.BASE_DIR)))
def test_no_template_has_script_or_style_of_its_own(path: Path):
    assert INLINE.findall(path.read_text()) == []


def test_every_page_forbids_inline_script_and_framing(cast: Cast):
    for answer in (browser().get("/login"), browser(cast.alice).get("/settings"), browser().get("/nothing")):
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_an_answer_that_brings_its_own_policy_keeps_it():
    own = HttpResponse(headers={"Content-Security-Policy": "sandbox"})
    assert csp.strict(lambda _: own)(RequestFactory().get("/")).headers["Content-Security-Policy"] == "sandbox"


def test_the_longest_address_that_fits_is_the_current_one():
    items = (MenuItem("Organization", "settings", 10), MenuItem("API keys", "api-keys", 20))
    at_keys = menu.lines("/settings/keys", items)
    assert [line.is_current for line in at_keys] == [False, True]
    assert [line.is_current for line in menu.lines("/settingsx", items)] == [False, False]


def test_a_page_that_is_not_there_is_not_in_the_menu():
    assert menu.lines("/", [MenuItem("Moon", "moon", 1)]) == []


def test_the_switcher_lists_the_readers_organizations_and_no_other(cast: Cast):
    page = browser(cast.bob).get("/settings").text
    assert "Acme" in page and "Umbrella" not in page


def test_the_frame_escapes_what_people_are_called(cast: Cast):
    cast.acme.name = "<script>alert(1)</script>"
    cast.acme.save()
    assert "<script>alert" not in browser(cast.alice).get("/settings").text


@pytest.mark.parametrize(
    ("chosen", "cookie", "expected"),
    [
        ("Europe/Oslo", "Asia/Tokyo", "Europe/Oslo"),
        ("", "Asia%2FTokyo", "Asia/Tokyo"),
        ("", "../../etc/passwd", "UTC"),
        ("", "", "UTC"),
    ],
)
def test_the_zone_is_the_persons_then_the_browsers_then_utc(db, chosen: str, cookie: str, expected: str):
    request = RequestFactory().get("/")
    request.COOKIES["zone"] = cookie
    request.user = person("zoe@example.org", time_zone=chosen)
    answer = zones.readers(lambda _: HttpResponse(str(timezone.get_current_timezone())))(request)
    assert isinstance(answer, HttpResponse) and answer.text == expected


def test_every_icon_a_template_names_is_drawn():
    sprite = Path(settings.BASE_DIR, "helicone_site/static/img/icons.svg").read_text()
    drawn = set(re.findall(r'symbol id="([\w-]+)"', sprite))
    for path in TEMPLATES:
        named = set(re.findall(r'_icon.html" with name="([\w-]+)"', path.read_text()))
        assert named <= drawn, path
