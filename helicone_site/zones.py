"""Pages ask in the reader's zone: the person's choice, else what their browser said in the `zone` cookie, else UTC."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from urllib.parse import unquote

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from lib import zones


def zone_of(request: HttpRequest) -> zoneinfo.ZoneInfo:
    chosen = getattr(request.user, "time_zone", "")
    for name in (chosen, unquote(request.COOKIES.get("zone", ""))):
        if name in zones.known():
            return zoneinfo.ZoneInfo(name)
    return zoneinfo.ZoneInfo("UTC")


def readers(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: Django's current time zone is the reader's while their request is answered."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        with timezone.override(zone_of(request)):
            return get_response(request)

    return respond
