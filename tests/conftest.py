"""What every test may ask for. The cast (Alice, Bob, Charlie) is described in tests/factories.py."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.conf import settings
from django.core.cache import cache
from hypothesis import HealthCheck
from hypothesis import settings as laws

from tests import factories

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
UNTIMED = laws(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # however busy the machine is
laws.register_profile("settled", UNTIMED, derandomize=True)  # the same code is judged by the same examples
laws.register_profile("search", UNTIMED, max_examples=1_000)
laws.load_profile("settled")
settings.WHITENOISE_AUTOREFRESH = True
"""Nothing is collected in tests, and a client made per test must not look through every static file."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clients", metavar="FOLDER", help="where the clients of tests/clients are installed")


LONG = ("/faults/", "/journeys/", "browser.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long first: one process runs all of a file, and nobody shall wait for the last one."""
    items.sort(key=lambda item: not any(word in item.path.as_posix() for word in LONG))


@pytest.fixture
def cast(db: None) -> factories.Cast:
    return factories.cast()


@pytest.fixture(autouse=True)
def fresh_cache():
    """Counts of one test do not reach the next."""
    yield
    cache.clear()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A real browser; skips where there is none, unless REQUIRE_BROWSER=1.

    One per module: while it is there, an event loop runs in this thread, and `asyncio.run` of other modules refuses.
    """
    program = os.environ.get("CHROMIUM_BIN") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        message = "No Chromium on PATH; name one with CHROMIUM_BIN."
        pytest.fail(message) if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip(message)
    playwright = pytest.importorskip("playwright.sync_api")
    with pytest.MonkeyPatch.context() as patch, playwright.sync_playwright() as started:
        # Django would take the thread with a loop in it for asynchronous code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = started.chromium.launch(executable_path=program, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()
