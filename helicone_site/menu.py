"""The frame's menu, gathered from every room's `AppConfig.menu` and `AppConfig.settings_menu`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from accounts_app import queries
from lib.menu import MenuItem

LOWER_GROUP = 100
"""Items of this order or above are set, not looked at; a line stands between."""


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    url: str
    key: str
    icon: str
    is_current: bool


@cache
def items(attribute: str) -> tuple[MenuItem, ...]:
    """What the rooms declare under that name, in order."""
    found = (item for room in apps.get_app_configs() for item in getattr(room, attribute, ()))
    return tuple(sorted(found, key=lambda item: (item.order, item.label)))


def lines(path: str, wanted: Iterable[MenuItem]) -> list[Line]:
    """The items as links; one whose page is not there is left out. The longest address that fits is current."""
    made = [(item, url) for item in wanted if (url := _address(item.url_name))]
    fits = {url: max((_fit(path, one) for one in (url, *map(_address, item.also))), default=0) for item, url in made}
    best = max(fits.values(), default=0)
    return [Line(item.label, url, item.key, item.url_name, 0 < fits[url] == best) for item, url in made]


def _fit(path: str, url: str) -> int:
    """Length of the address where the path is it or lies under it, else 0."""
    return len(url) if url and (path == url or path.startswith(f"{url.rstrip('/')}/")) else 0


def _address(url_name: str) -> str:
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return ""


def frame(request: HttpRequest) -> dict[str, Any]:
    """Context processor: what base.html needs around every page. Evaluated only where a template asks."""
    return {
        "menu_upper": lambda: lines(request.path, (i for i in items("menu") if i.order < LOWER_GROUP)),
        "menu_lower": lambda: lines(request.path, (i for i in items("menu") if i.order >= LOWER_GROUP)),
        "settings_menu": lambda: lines(request.path, items("settings_menu")),
        "organizations": lambda: queries.memberships_of(request.user.pk),
        "public_url": settings.PUBLIC_URL,
    }
