"""How far back counts and single requests go, and what an answer made of these says where it reaches further.

TooSlow        of the requests room: the statement took longer than it may
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from metrics_app.question import Answer
from requests_app.queries import reader


def kept_from(organization_id: int) -> datetime | None:
    """The oldest moment retention has left single requests of; None for all of time."""
    with reader() as cursor:
        cursor.execute("SELECT ground_from FROM counting_state WHERE organization_id = %s", [organization_id])
        found: datetime | None = (cursor.fetchone() or (None,))[0]
    return found


def first_day(organization_id: int) -> datetime | None:
    """The day of the organisation's first request that is counted."""
    with reader() as cursor:
        cursor.execute(
            "SELECT least((SELECT min(bucket) FROM usage_day WHERE organization_id = %s), "
            "(SELECT min(minute) FROM usage_delta WHERE organization_id = %s))",
            [organization_id, organization_id],
        )
        found: datetime | None = (cursor.fetchone() or (None,))[0]
    return found


def lacking(answer: Answer) -> Answer:
    """An answer from single requests, partial where some of its range are removed."""
    kept = kept_from(answer.question.organization_id)
    if kept is None or (answer.since and answer.since >= kept):
        return answer
    note = (
        f"Only requests since {kept:%Y-%m-%d %H:%M} UTC are counted: older ones are removed by retention, and what is "
        "left of them, their counts, cannot answer this."
    )
    return replace(answer, is_partial=True, notes=(*answer.notes, note))


def forgotten(answer: Answer) -> Answer:
    """It says so where retention has removed counts of its range, of which nothing is known any more."""
    with reader() as cursor:
        cursor.execute(
            "SELECT max(before_at) FROM retention_run WHERE organization_id = %s AND what = 'counts'",
            [answer.question.organization_id],
        )
        before: datetime | None = (cursor.fetchone() or (None,))[0]
    if before is None or (answer.since and answer.since >= before):
        return answer
    note = f"Nothing is counted before {before:%Y-%m-%d}: retention has removed the counts too."
    return replace(answer, notes=tuple(dict.fromkeys((*answer.notes, note))))
