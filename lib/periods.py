"""Stretches of time as pages ask for them: `?range=24h`, or `?from=…&to=…` in the reader's own zone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

PRESETS: Mapping[str, tuple[str, timedelta | None]] = {
    "15m": ("Last 15 minutes", timedelta(minutes=15)),
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
    "90d": ("Last 90 days", timedelta(days=90)),
    "all": ("All time", None),
}
DEFAULT = "24h"


class BadPeriod(ValueError):
    """The stretch asked for cannot be read, or ends before it starts."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` (inclusive) to `until` (exclusive), UTC; None is open. `preset` is empty for a custom one."""

    since: datetime | None
    until: datetime | None
    preset: str = ""

    @property
    def is_live(self) -> bool:
        """New rows can still fall into it."""
        return self.until is None


def read(query: Mapping[str, str], *, now: datetime, zone: tzinfo = UTC, default: str = DEFAULT) -> Period:
    """The period of a query string; `from` and `to` win over `range`. Raises BadPeriod."""
    if query.get("from") or query.get("to"):
        since, until = (_moment(query.get(key, ""), zone) for key in ("from", "to"))
        if since and until and since >= until:
            raise BadPeriod("The range ends before it starts.")
        return Period(since, until)
    name = query.get("range") or default
    if name not in PRESETS:
        raise BadPeriod(f"There is no range {name!r}. There are: {', '.join(PRESETS)}.")
    length = PRESETS[name][1]
    return Period(now - length if length else None, None, name)


def _moment(text: str, zone: tzinfo) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadPeriod(f"{text!r} is no time; write it as 2026-07-01T09:30.") from None
