"""What tests in a real browser share: tabs of a person, and waiting until a page says what it should.

A page answers when it can: nothing here or in those tests reads what a click has only begun, all wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from tests import factories

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
PATIENCE_MS = 60_000

_ALL_TEXTS = "selector => [...document.querySelectorAll(selector)].map(one => one.textContent)"
_TEXTS_ARE = f"""([selector, wanted, isBeginning]) => {{
    const found = ({_ALL_TEXTS})(selector);
    return JSON.stringify(isBeginning ? found.slice(0, wanted.length) : found) === JSON.stringify(wanted);
}}"""


@contextmanager
def tabs(chromium: Browser, base_url: str, person: Any) -> Iterator[Callable[..., Page]]:
    """Opens paths as that person, each in a context of its own; any error in the console fails the test."""
    errors: list[str] = []
    contexts = []
    session = factories.browser(person).cookies["helicone_session"].value

    def opened(path: str, viewport: Any = WIDE, **options: Any) -> Page:
        context = chromium.new_context(base_url=base_url, viewport=viewport, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        context.add_cookies([{"name": "helicone_session", "value": session, "url": base_url}])
        tab = context.new_page()
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        tab.goto(path)
        return tab

    yield opened
    for context in contexts:
        context.close()
    _wait_for_the_server()
    assert errors == []


def _wait_for_the_server() -> None:
    """Until nobody else is in the middle of a statement: tables are emptied next, and it must not be waited for."""
    until = time.monotonic() + PATIENCE_MS / 1000
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND backend_type = 'client backend' AND state <> 'idle'"
            )
            if cursor.fetchone() == (0,):
                return
            time.sleep(0.05)


def expect(*args: Any) -> Any:
    """Playwright's, which asks again until it holds."""
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect.set_options(timeout=PATIENCE_MS)
    return sync_api.expect(*args)


def wait_for_texts(tab: Page, selector: str, *wanted: str, is_beginning: bool = False) -> None:
    """Until the elements say exactly this, or begin with it."""
    sync_api = pytest.importorskip("playwright.sync_api")
    try:
        tab.wait_for_function(_TEXTS_ARE, arg=[selector, list(wanted), is_beginning])
    except sync_api.TimeoutError:
        found = tab.evaluate(_ALL_TEXTS, selector)
        assert (found[: len(wanted)] if is_beginning else found) == list(wanted)


def fits(tab: Page, width: int = NARROW["width"]) -> None:
    """Until nothing is wider than the screen."""
    tab.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
