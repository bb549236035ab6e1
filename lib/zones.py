"""The time zones a reader can choose: those that Python and Postgres both know by name."""

from __future__ import annotations

import zoneinfo
from functools import cache


@cache
def known() -> frozenset[str]:
    """To list them opens every file of the zone database, so it is done once. `localtime` is this machine's own."""
    return frozenset(zoneinfo.available_timezones()) - {"localtime"}
