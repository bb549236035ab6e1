"""The icon where browsers and crawlers look for it unasked; pages name it themselves."""

from __future__ import annotations

from functools import cache

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from helicone_site.places import BASE_DIR


@cache
def _drawing() -> bytes:
    return (BASE_DIR / "helicone_site/static/img/favicon.svg").read_bytes()


@require_safe
@cache_control(public=True, max_age=86_400)
def favicon(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_drawing(), content_type="image/svg+xml")
