from __future__ import annotations

import zoneinfo
from types import SimpleNamespace
from typing import Any, cast

import pytest

from helicone_site import zones


def asking(*, chosen: str = "", cookie: str = "") -> Any:
    return cast(Any, SimpleNamespace(user=SimpleNamespace(time_zone=chosen), COOKIES={"zone": cookie}))


def test_a_persons_choice_goes_before_what_the_browser_said_and_unknown_zones_are_utc():
    assert zones.zone_of(asking(chosen="Europe/Berlin", cookie="Asia/Tokyo")).key == "Europe/Berlin"
    assert zones.zone_of(asking(cookie="Asia%2FTokyo")).key == "Asia/Tokyo"
    assert zones.zone_of(asking(chosen="Mars/Olympus", cookie="../../etc/passwd")).key == "UTC"


def test_the_zone_database_is_not_listed_again_for_each_page(monkeypatch: pytest.MonkeyPatch):
    zones.zone_of(asking(cookie="Asia/Tokyo"))

    def listed() -> set[str]:
        raise AssertionError("listed again")

    monkeypatch.setattr(zoneinfo, "available_timezones", listed)
    assert zones.zone_of(asking(cookie="Europe/Paris")).key == "Europe/Paris"
