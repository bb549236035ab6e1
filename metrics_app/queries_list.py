"""What the list of requests adds up to, from the counts where they know it to the row.

TooSlow        of the requests room: the statement took longer than it may
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

from lib.clock import now
from metrics_app import calendar, queries, queries_kept
from metrics_app.catalog import TIME
from metrics_app.question import GRAINS, LENGTHS, Grain, Question
from requests_app.queries import Question as Listed
from requests_app.queries import time_range
from requests_app.queries_sums import Bucket, Summary

FEW = 20_000
"""So many rows are summed from the ground, in steps of any length."""


def counted(of: Listed) -> int | None:
    """How many rows of any kind the ground holds; None where counts cannot tell to the row. Raises TooSlow."""
    if of.since and of.until and of.since > of.until:
        return 0
    found = queries.of_rows(_question(of, ("requests",)))
    return None if found is None else cast(int, found.total["requests"])


def summed(of: Listed, most: int) -> Summary | None:
    """Sums, and at most so many buckets of whole hours or days; None for few rows, and where counts cannot tell."""
    if (counted(of) or 0) <= FEW:
        return None
    since, until = time_range(of)
    until = until or now()
    since = since or queries_kept.first_day(of.organization_id) or until
    grain = _grain(since, until, most=most)
    metrics = ("requests", "errors", "priced", "cost", "duration_p95")
    found = queries.of_rows(_question(of, metrics, grain)) if grain else None
    if found is None or grain is None:
        return None
    by_time = {row.at: row for row in found.rows}
    buckets = []
    for at in sorted({*calendar.starts(since, until, grain, UTC), *(at for at in by_time if at)}):
        row = by_time.get(at)
        sums = (cast(int, row["requests"]), cast(int, row["errors"])) if row else (0, 0)
        buckets.append(Bucket(max(at, since), min(calendar.following(at, grain, UTC), until), *sums))
    requests, errors, priced, cost = (cast(int, found.total[key] or 0) for key in metrics[:4])
    return Summary(requests, errors, priced, cost, cast("float | None", found.total["duration_p95"]), tuple(buckets))


def _question(of: Listed, metrics: tuple[str, ...], grain: Grain | None = None) -> Question:
    return Question(
        of.organization_id, metrics, (TIME,) if grain else (), since=of.since, until=of.until, filter=of.filter,
        grain=grain, zone=UTC, kinds=None,
    )  # fmt: skip


def _grain(since: datetime, until: datetime, *, most: int) -> Grain | None:
    """The finest of hours or longer that makes no more buckets; the first and the last may be cut."""
    for grain in GRAINS:
        if LENGTHS[grain] >= timedelta(hours=1) and (until - since) / LENGTHS[grain] <= most - 1:
            return grain
    return None
