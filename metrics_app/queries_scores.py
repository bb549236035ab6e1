"""Averages of scores over time, from the requests that have any: nothing counts scores as they come.

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
    piece, notes, layout = queries.readable(question)
    condition = sql.condition(layout, piece)
    at = sql.bucket("r.requested_at", question.grain or "hour", question.zone)
    with reader(queries.GROUND_TIMEOUT_MS) as cursor:
        cursor.execute(
            f"SELECT s.key, {at} AS t, avg(s.value::float8) FROM llm_request r, jsonb_each_text(r.scores) s "
            f"WHERE {condition.sql} AND r.scores IS NOT NULL AND r.scores <> '{{}}' GROUP BY 1, 2 ORDER BY 2, 1",
            condition.values,
        )
        return Scores(tuple(Score(*row) for row in cursor.fetchall()), notes)
