"""The charts in a real browser: drawn under the strict policy, read by pointer and keys, zoomed, opened."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from helicone_site.places import BASE_DIR
from lib import clock
from tests.browsing import NARROW, WIDE, expect, fits, tabs
from tests.metrics_app import counted, counting
from tests.metrics_app.test_cache_page import hit
from tests.requests_app.factories import make_row

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
EVIL = "<img src=x onerror=alert(1)>%{x}"


@pytest.fixture
def ground(transactional_db, cast):
    """Three days of calls; rows outlive a test that commits them, unless somebody takes them away."""
    now = clock.now()
    counted.count([
        make_row(cast.acme.pk, now - timedelta(hours=n), model=("gpt-4o", EVIL)[n % 2], end_user_id="mara",
                 properties={"env": "prod"}, time_to_first_token_ms=200 + n, status=500 if n % 7 == 3 else 200)
        for n in range(70)
    ])  # fmt: skip
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {counting.TABLES}")


@pytest.fixture
def look(chromium, live_server, ground, cast):
    """Opens a path as Alice; any error in the console, one of the policy's too, fails the test."""
    with tabs(chromium, live_server.url, cast.alice) as opened:
        yield opened


def drawn(tab, count: int) -> None:
    tab.locator(".plot .cartesianlayer").nth(count - 1).wait_for(state="attached")


def settled(tab, locator):
    """Where it is once it no longer moves: skeletons give way to figures, and charts grow to one height."""
    tab.wait_for_load_state("networkidle")
    before = None
    while (box := locator.bounding_box()) != before:
        before = box
        tab.wait_for_timeout(200)
    return box


def test_the_dashboard_draws_all_its_charts_under_the_strict_policy(look):
    tab = look("/dashboard?range=7d&compare=1")
    drawn(tab, 5)
    tab.wait_for_function("document.querySelectorAll('.plot .bars path').length > 20")
    tab.wait_for_function("document.querySelectorAll('.plot .js-line').length >= 6")
    assert tab.evaluate("getComputedStyle(document.querySelector('.plot .main-svg')).position") == "absolute"
    assert tab.locator("style").count() == 0


def test_the_pointer_is_followed_on_every_chart_and_told_on_one(look):
    tab = look("/dashboard?range=7d&by=model")
    drawn(tab, 5)
    box = settled(tab, tab.locator(".plot").nth(1))
    tab.mouse.move(box["x"] + box["width"] - 40, box["y"] + 60)
    expect(tab.locator(".hover-line:visible")).to_have_count(5)
    expect(tab.locator(".chart-tip:visible")).to_have_count(1)
    expect(tab.locator(".chart-tip:visible")).to_contain_text(EVIL)


def test_a_drag_zooms_the_range_of_the_page(look):
    tab = look("/dashboard?range=7d&model=gpt-4o")
    drawn(tab, 5)
    box = settled(tab, tab.locator(".plot").first)
    tab.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 62, steps=4)
    tab.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 62, steps=4)
    with tab.expect_navigation():
        tab.mouse.up()
    asked = parse_qs(urlsplit(tab.url).query)
    assert asked["model"] == ["gpt-4o"]
    assert asked["from"] < asked["to"]
    assert "range" not in asked
    drawn(tab, 5)


def test_enter_opens_the_requests_of_the_step_the_arrows_found(look):
    tab = look("/dashboard?range=24h&model=gpt-4o")
    drawn(tab, 5)
    tab.locator(".plot").first.focus()
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")
    with tab.expect_navigation():
        tab.keyboard.press("Enter")
    asked = parse_qs(urlsplit(tab.url).query)
    assert urlsplit(tab.url).path == "/requests"
    assert asked["model"] == ["gpt-4o"]
    assert {"from", "to"} <= asked.keys()


NEW_YORK = ZoneInfo("America/New_York")


def clocks_went_back():
    """When they last did in New York, UTC."""
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    while not (hour - timedelta(hours=1)).astimezone(NEW_YORK).utcoffset() > hour.astimezone(NEW_YORK).utcoffset():
        hour -= timedelta(hours=1)
    return hour


def test_an_hour_that_comes_twice_when_clocks_go_back_has_a_width_and_a_name(look, cast):
    again = clocks_went_back()
    counted.count([make_row(cast.acme.pk, again + timedelta(minutes=30))])
    range_ = f"from={again - timedelta(hours=4):%Y-%m-%dT%H:%MZ}&to={again + timedelta(hours=5):%Y-%m-%dT%H:%MZ}"
    tab = look(f"/dashboard?{range_}", timezone_id=NEW_YORK.key)
    tab.reload()  # only now is the browser's zone known
    drawn(tab, 1)
    widths = "document.querySelector('.plot').data[0].width"
    assert len(set(tab.evaluate(widths))) == 1 and len(tab.evaluate(widths)) == 9
    tab.locator(".plot").first.focus()
    said = []
    for _ in range(6):
        tab.keyboard.press("ArrowRight")
        said.append(tab.locator(".chart-tip strong").first.inner_text()[-5:])
    assert said == ["22:00", "23:00", "00:00", "01:00", "01:00", "02:00"]


def test_a_click_on_a_layer_opens_its_requests(look):
    tab = look("/dashboard?range=24h")
    drawn(tab, 5)
    settled(tab, tab.locator(".plot").first)
    bars = [path.bounding_box() for path in tab.locator(".plot").first.locator(".trace").first.locator("path").all()]
    box = next(box for box in bars if box and box["height"] > 5)
    with tab.expect_navigation():
        tab.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert parse_qs(urlsplit(tab.url).query)["failed"] == ["false"]


@pytest.mark.parametrize(
    "path", ["/dashboard", "/users", "/users/mara", "/properties", "/properties/env", "/cache", "/models"]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_small_screen_shows_every_page_without_scrolling_sideways(look, path, scheme):
    tab = look(path, NARROW, color_scheme=scheme)
    tab.wait_for_load_state("networkidle")
    fits(tab)


def test_a_small_screen_names_the_provider_of_each_model(look):
    tab = look("/models", NARROW)
    expect(tab.locator(".counted td.value .small").first).to_be_visible()


def test_charts_take_the_colours_of_the_theme_one_changes_to(look):
    tab = look("/dashboard?range=7d")
    drawn(tab, 5)
    bar = tab.locator(".plot .bars path").first
    before = bar.evaluate("path => getComputedStyle(path).fill")
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(
        "before => getComputedStyle(document.querySelector('.plot .bars path')).fill !== before", arg=before
    )


def test_the_script_is_the_installed_one_and_knows_the_marks_that_keep_its_styles_out():
    """The base template carries two ids; were they renamed, the policy would be broken in the console."""
    package = Path(find_spec("plotly").submodule_search_locations[0])
    script = (package / "package_data" / "plotly.min.js").read_text()
    template = (BASE_DIR / "templates/metrics_app/base_metrics.html").read_text()
    marks = (
        "plotly.js-style-",
        ".no-inline-styles",
        "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53",
    )
    for mark in marks:
        assert mark in script
        assert mark.strip(".") in template


def test_a_property_is_hidden_and_restored_where_it_is_listed(look):
    tab = look("/properties?range=7d")
    tab.get_by_role("button", name="Hide env").click()
    expect(tab.get_by_role("heading", name="Every property is hidden")).to_be_visible()
    assert urlsplit(tab.url).query == "range=7d"
    tab.get_by_text("Hidden (1)").click()
    tab.get_by_role("button", name="Restore env").click()
    expect(tab.get_by_role("button", name="Hide env")).to_be_visible()
    expect(tab.get_by_text("Hidden (1)")).to_have_count(0)


@pytest.fixture
def hits(ground, cast):
    """A call, and its reply given six times."""
    at = clock.now() - timedelta(hours=2)
    original = make_row(cast.acme.pk, at - timedelta(hours=1), request_preview="Capital of France?")
    counted.count([original, *(hit(cast.acme.pk, at + timedelta(minutes=n), original.id) for n in range(6))])
    return original


@pytest.mark.parametrize("viewport", [WIDE, NARROW])
def test_the_cache_page_leads_from_what_it_answered_to_the_call_that_was_made(hits, look, viewport):
    tab = look("/cache?range=24h", viewport)
    drawn(tab, 4)
    expect(tab.locator(".strip .figure").first).to_contain_text("6")
    fits(tab, viewport["width"])
    tab.locator(".page-part a.row-link").click()
    tab.wait_for_url(f"**{hits.id}**")  # in the drawer, or as a page where there is no room beside the list
