"""Where buckets of time begin: the tiers' in UTC, those of pages in the reader's zone. Agrees with `sql.bucket`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from lib.clock import EPOCH
from metrics_app.question import Grain

HOUR = timedelta(hours=1)


def floor(moment: datetime, width: timedelta) -> datetime:
    """The last multiple of `width` in UTC not after the moment."""
    return EPOCH + (moment - EPOCH) // width * width


def ceiling(moment: datetime, width: timedelta) -> datetime:
    """The first multiple of `width` in UTC not before the moment."""
    return EPOCH - (EPOCH - moment) // width * width


def start(moment: datetime, grain: Grain, zone: tzinfo) -> datetime:
    """Start of the bucket a moment falls into, UTC.

    Of a zone off the hour it is the first full hour after the zone's own, as hours are what is counted.
    """
    if grain in ("minute", "hour"):
        return floor(moment, timedelta(minutes=1) if grain == "minute" else HOUR)
    local = floor(moment, HOUR).astimezone(zone).replace(tzinfo=None, fold=0)
    return ceiling(_cut(local, grain).replace(tzinfo=zone).astimezone(UTC), HOUR)


def _cut(local: datetime, grain: Grain) -> datetime:
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if grain == "6 hours":
        return midnight + timedelta(hours=local.hour // 6 * 6)
    if grain == "week":
        return midnight - timedelta(days=local.weekday())
    if grain == "month":
        return midnight.replace(day=1)
    return midnight.replace(month=1, day=1) if grain == "year" else midnight


_AFTER: dict[Grain, timedelta] = {
    "minute": timedelta(minutes=1), "hour": HOUR, "6 hours": timedelta(hours=8), "day": timedelta(hours=30),
    "week": timedelta(days=8), "month": timedelta(days=33), "year": timedelta(days=370),
}  # fmt: skip
"""Added to a start, this falls into the next bucket, whatever the clocks do."""


def following(at: datetime, grain: Grain, zone: tzinfo) -> datetime:
    """Start of the bucket after the one that begins at `at`."""
    if grain in ("minute", "hour"):
        return at + _AFTER[grain]
    return start(at + _AFTER[grain], grain, zone)


def starts(since: datetime, until: datetime, grain: Grain, zone: tzinfo) -> list[datetime]:
    """Starts of all buckets that [since, until) touches."""
    found, at = [], start(since, grain, zone)
    while at < until:
        found.append(at)
        at = following(at, grain, zone)
    return found
