"""What every test may ask for. The cast (Alice, Bob, Charlie) is described in tests/factories.py."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.cache import cache

from tests import factories

settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
settings.WHITENOISE_AUTOREFRESH = True
"""Nothing is collected in tests, and a client made per test must not look through every static file."""


@pytest.fixture
def cast(db: None) -> factories.Cast:
    return factories.cast()


@pytest.fixture(autouse=True)
def fresh_cache():
    """Counts of one test do not reach the next."""
    yield
    cache.clear()
