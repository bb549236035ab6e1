"""Four applications of one invented shop, each telling what it did on a day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from helicone_site.demo.step import Step
from helicone_site.demo.stories import coding, nightly, search, support

APPS = (support, coding, search, nightly)


def day(told: date) -> list[Step]:
    """Everything that happened on a day (UTC), in order; sessions may run past midnight."""
    steps = [step for app in APPS for scene in app.scenes(told) for step in scene.steps]
    return sorted(steps, key=lambda step: step.at)


def days(until: datetime, length: int) -> Iterator[Step]:
    """The days before `until` and what has passed of its own, oldest first."""
    for back in range(length, -1, -1):
        yield from (step for step in day(until.date() - timedelta(days=back)) if step.at < until)
