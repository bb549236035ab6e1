"""Which kept replies were given most often, from the requests they answered.

An index over such requests bounds the reading; of very many the newest are read, and that is told.

TooSlow        of the requests room: the statement took longer than it may
BadQuestion    as `queries.answer`
"""
# ruff: noqa: S608 - what is put together here are columns and clauses of catalogues; every value is bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from metrics_app import queries, sql
from metrics_app.question import Question
from metrics_app.sql import GROUND, Piece
from requests_app.queries import reader

MOST_HITS = 50_000
"""Newest hits of a range that are looked at."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """One kept reply: `original` is the request it was made for; the model and the words are those of its latest hit.

    `saved_nano_usd` is over the hits whose cost is known, None where that is none."""

    original: UUID
    hits: int
    saved_nano_usd: int | None
    saved_ms: int
    first_at: datetime
    last_at: datetime
    model: str | None
    preview: str


_PART = "(usage_parts ->> 'saved_{}')::bigint"


def most_repeated(question: Question, *, limit: int) -> tuple[Sequence[Repeated], datetime | None]:
    """By hits, and since when where there were too many to look at all. `question`: range, filter, organization."""
    layout = queries.layout_of(question)
    condition = sql.condition(layout, Piece(GROUND, question.since, question.until))
    with reader(queries.GROUND_TIMEOUT_MS) as cursor:
        cursor.execute(
            "WITH hit AS MATERIALIZED (SELECT r.cached_from, r.requested_at, r.model, r.request_preview, r.usage_parts "
            f"FROM llm_request r WHERE {condition.sql} AND r.cached AND r.cached_from IS NOT NULL "
            "ORDER BY r.requested_at DESC LIMIT %s) "
            f"SELECT cached_from, count(*), sum({_PART.format('nano_usd')})::bigint, "
            f"coalesce(sum({_PART.format('ms')}), 0)::bigint, min(requested_at), max(requested_at), "
            "(array_agg(model ORDER BY requested_at DESC))[1], "
            "(array_agg(request_preview ORDER BY requested_at DESC))[1], "
            "(SELECT count(*) FROM hit), (SELECT min(requested_at) FROM hit) "
            "FROM hit GROUP BY 1 ORDER BY 2 DESC, 6 DESC, 1 LIMIT %s",
            [*condition.values, MOST_HITS, limit],
        )
        rows = cursor.fetchall()
    is_partial = bool(rows) and rows[0][-2] == MOST_HITS
    return [Repeated(*row[:-2]) for row in rows], rows[0][-1] if is_partial else None
