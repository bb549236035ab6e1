"""Averages of scores over time, from the requests that have any, found by an index: nothing counts scores before.

TooSlow        of the requests room: the statement took longer than it may
BadQuestion    more points than anybody draws
"""
# ruff: noqa: S608 - what is put together here are entries of the catalogue and columns; every value is bound

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from metrics_app import queries, sql
from metrics_app.question import Question
from requests_app.queries import reader

MOST_SCORED = 50_000
"""Requests with scores that are read, the newest of them."""


@dataclass(frozen=True, slots=True)
class Score:
    """The average of one score in the step that begins at `at`."""

    key: str
    at: datetime
    average: float


@dataclass(frozen=True, slots=True)
class Scores:
    """By time and name. `notes` say where only the newest requests were read."""

    scores: tuple[Score, ...]
    notes: tuple[str, ...]


def over_time(question: Question) -> Scores:
    """`question` has a grain; its metrics do not matter."""
    piece, layout = queries.whole_ground(question)
    condition = sql.condition(layout, piece)
    at = sql.bucket("r.requested_at", question.grain or "hour", question.zone)
    with reader(queries.GROUND_TIMEOUT_MS) as cursor:
        cursor.execute(
            f"WITH scored AS MATERIALIZED (SELECT r.requested_at, {at} AS t, r.scores FROM llm_request r "
            f"WHERE {condition.sql} AND r.scores IS NOT NULL AND r.scores <> '{{}}' "
            "ORDER BY r.requested_at DESC LIMIT %s), "
            "met AS (SELECT count(*) AS rows, min(requested_at) AS oldest FROM scored) "
            "SELECT s.key, t, avg(s.value::float8), (SELECT oldest FROM met WHERE rows >= %s) "
            "FROM scored, jsonb_each_text(scores) s GROUP BY 1, 2 ORDER BY 2, 1",
            (*condition.values, MOST_SCORED, MOST_SCORED),
        )
        rows = cursor.fetchall()
    since = rows[0][3] if rows else None
    return Scores(tuple(Score(*row[:3]) for row in rows), (queries.newest_note(since),) if since else ())
