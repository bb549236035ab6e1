"""Which tables cover a range: whole buckets of the coarsest tier, finer ones at the edges; the ground is the finest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from metrics_app import calendar
from metrics_app.rollup_statements import DAY, MINUTE, Tier
from metrics_app.sql import GROUND, Piece

SLACK = timedelta(hours=12)
"""A tier is not asked about the last of what it keeps: trimming may be at it."""


def pieces(since: datetime | None, until: datetime | None, tiers: Sequence[Tier], *, at: datetime) -> list[Piece]:
    """[since, until) cut up, oldest first. `tiers` come coarsest first; `at` is now."""
    found = _cut(since, until, list(tiers), at=at)
    return [piece for piece in found if not piece.since or not piece.until or piece.since < piece.until]


def _cut(since: datetime | None, until: datetime | None, tiers: list[Tier], *, at: datetime) -> list[Piece]:
    if not tiers:
        return [Piece(GROUND, since, until)]
    tier, *finer = tiers
    low = since and calendar.ceiling(since, tier.width)
    high = until and calendar.floor(until, tier.width)
    kept_from = None if tier.kept is None else calendar.ceiling(at - tier.kept + SLACK, timedelta(days=1))
    if kept_from and (low is None or low < kept_from):
        return _beyond(since, until, tiers, kept_from=kept_from, at=at)
    if low and high and low >= high:
        return _cut(since, until, finer, at=at)
    left = _cut(since, low, finer, at=at) if since and low and since < low else []
    right = _cut(high, until, finer, at=at) if until and high and high < until else []
    return [*left, Piece(tier.table, low, high), *right]


def _beyond(
    since: datetime | None, until: datetime | None, tiers: list[Tier], *, kept_from: datetime, at: datetime
) -> list[Piece]:
    """A range that begins before what the first of the tiers keeps."""
    if tiers[0] is MINUTE:
        return _cut(since, until, [], at=at)
    day = since and calendar.floor(since, DAY.width)
    if until and until <= kept_from:
        return [Piece(DAY.table, day, calendar.ceiling(until, DAY.width))]
    return [Piece(DAY.table, day, kept_from), *_cut(kept_from, until, tiers, at=at)]
