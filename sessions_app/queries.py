"""What the pages and the API ask about sessions. The organisation comes first in every question.

The list is answered by `session` (one row each, kept by the line), one session's steps by the ground.

    TooSlow     of the requests room: the statement took longer than it may
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from llm.exchange import MODEL_KINDS
from metrics_app import histogram
from requests_app.filters import EVERYTHING, Node, escaped
from requests_app.filters import compile as compile_filter
from requests_app.queries import TooSlow
from sessions_app.tree import Step

MOST_STEPS = 20_000
"""Steps one session page reads; of a longer session it shows the first and says so."""
MOST_SUMMED = 50_000
"""Sessions a list is summed over."""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session as counted: sums over all it ever held, also what retention has since removed."""

    session_id: str
    name: str | None
    requests: int
    steps: int
    errors: int
    priced: int
    cost_nano_usd: int
    input_tokens: int
    output_tokens: int
    first_at: datetime
    last_at: datetime
    end_users: tuple[str, ...]
    model_names: tuple[str, ...]
    duration_p50_ms: float | None = None
    """Of its model calls, nearest rank within 1 %; None where none has told its duration."""
    duration_p95_ms: float | None = None

    @property
    def wall_ms(self) -> int:
        """From the first request to the last answer."""
        return (self.last_at - self.first_at) // timedelta(milliseconds=1)

    @property
    def known_cost(self) -> int | None:
        """Nano-USD of what is priced; None where nothing is."""
        return self.cost_nano_usd if self.priced or not self.requests else None

    @property
    def unpriced(self) -> int:
        """Calls without a cost beyond those that failed, which usually are not charged."""
        return max(self.requests - self.priced - self.errors, 0)


@dataclass(frozen=True, slots=True)
class Sort:
    """One way to order the list. What it sorts by is a whole number, or for `is_time` a time."""

    expression: str
    label: str
    is_time: bool = False


SORTS: Mapping[str, Sort] = {
    "newest": Sort("last_at", "Newest", is_time=True),
    "cost": Sort("cost_nano_usd", "Costliest"),
    "duration": Sort("(extract(epoch FROM last_at - first_at) * 1000000)::bigint", "Longest"),
    "requests": Sort("requests", "Most requests"),
    "errors": Sort("errors", "Most errors"),
}
"""Each is read from an index of its own, whose last column is the session's id."""

Seen = tuple[datetime | int, str]
"""Where a page ended: the last row's sort value and session id."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which sessions: those active in [start, end), None for no bound; `after` is the last row already seen."""

    start: datetime | None = None
    end: datetime | None = None
    search: str = ""
    name: str | None = None
    end_user_id: str | None = None
    errors_only: bool = False
    filter: Node = EVERYTHING
    """Of requests: a session is found by any request of it that is so."""
    sort: str = "newest"
    is_ascending: bool = False
    after: Seen | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    rows: tuple[SessionRow, ...]
    next: Seen | None
    """What `after` is on the next page; None on the last."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over every session a question selects."""

    sessions: int = 0
    requests: int = 0
    errors: int = 0
    priced: int = 0
    cost_nano_usd: int = 0
    with_errors: int = 0
    is_whole: bool = True
    """False: only the MOST_SUMMED latest are counted."""


_COLUMNS = (
    "session_id, name, requests, steps, errors, priced, cost_nano_usd, input_tokens, output_tokens, "
    "first_at, last_at, end_users, model_names, duration_hist"
)


def session_page(organization_id: int, question: Question) -> Page:
    """One page of sessions in the question's order."""
    sort = SORTS[question.sort]
    where, values = _where(organization_id, question)
    operator, direction = (">", "ASC") if question.is_ascending else ("<", "DESC")
    if question.after:
        where += f" AND ({sort.expression}, session_id) {operator} (%(after)s, %(after_id)s)"
        values |= {"after": question.after[0], "after_id": question.after[1]}
    rows = ask(
        f"SELECT {_COLUMNS}, {sort.expression} FROM session WHERE {where} "  # noqa: S608
        f"ORDER BY {sort.expression} {direction}, session_id {direction} LIMIT %(limit)s",
        {**values, "limit": question.limit + 1},
    )
    shown = rows[: question.limit]
    following = (shown[-1][-1], shown[-1][0]) if len(rows) > question.limit else None
    return Page(_sessions(shown), following)


def totals(organization_id: int, question: Question) -> Totals:
    """What all the question's sessions add up to, whichever page is shown; at most the MOST_SUMMED latest of them."""
    where, values = _where(organization_id, question)
    ((*sums,),) = ask(
        "SELECT count(*), coalesce(sum(requests), 0)::bigint, coalesce(sum(errors), 0)::bigint, "  # noqa: S608
        "coalesce(sum(priced), 0)::bigint, coalesce(sum(cost_nano_usd), 0)::bigint, count(*) FILTER (WHERE errors > 0) "
        "FROM (SELECT requests, errors, priced, cost_nano_usd FROM session "
        f"WHERE {where} ORDER BY last_at DESC LIMIT %(most)s) AS latest",
        {**values, "most": MOST_SUMMED},
    )
    return replace(Totals(*sums), is_whole=sums[0] < MOST_SUMMED)


def has_any(organization_id: int) -> bool:
    """Whether the organisation ever had a session."""
    ((found,),) = ask("SELECT EXISTS (SELECT 1 FROM session WHERE organization_id = %(org)s)", {"org": organization_id})
    return bool(found)


def names(organization_id: int, contains: str = "", limit: int = 50) -> tuple[str, ...]:
    """Session names, latest used first, for suggestions."""
    rows = ask(
        "SELECT name FROM session WHERE organization_id = %(org)s AND name ILIKE %(like)s "
        "GROUP BY name ORDER BY max(last_at) DESC LIMIT %(limit)s",
        {"org": organization_id, "like": f"%{escaped(contains)}%", "limit": limit},
    )
    return tuple(name for (name,) in rows)


def session(organization_id: int, session_id: str) -> SessionRow | None:
    rows = ask(
        f"SELECT {_COLUMNS} FROM session WHERE organization_id = %(org)s AND session_id = %(id)s",  # noqa: S608
        {"org": organization_id, "id": session_id},
    )
    return _sessions(rows)[0] if rows else None


STEP_COLUMNS = """id, requested_at, duration_ms, session_path, kind, kind = ANY(%(kinds)s), name, provider, model,
    status, status NOT BETWEEN 200 AND 399, cached, end_user_id, cost_nano_usd, cost_reason,
    input_tokens, output_tokens, time_to_first_token_ms,
    CASE WHEN status NOT BETWEEN 200 AND 399 THEN left(coalesce(error_message, error_type, ''), 300) ELSE '' END,
    '', '', span_id, parent_span_id, trace_id, door"""
"""Field for field what a Step is made of; the two empty texts are its previews."""
_STEPS = f"""
SELECT {STEP_COLUMNS} FROM llm_request
WHERE organization_id = %(org)s AND session_id = %(id)s
    AND requested_at >= %(first)s AND requested_at <= %(last)s
ORDER BY requested_at, id LIMIT %(limit)s
"""  # noqa: S608
_SPOKEN_STEPS = _STEPS.replace("'', '', span_id", "request_preview, response_preview, span_id")


def steps(organization_id: int, of: SessionRow, *, limit: int = MOST_STEPS) -> list[Step]:
    """The first `limit` steps of a session in time order, without previews."""
    return _steps(_STEPS, organization_id, of, limit=limit, since=of.first_at)


def spoken_steps(organization_id: int, of: SessionRow, *, since: datetime, limit: int) -> list[Step]:
    """Steps from `since` on with one line of what was asked and answered."""
    return _steps(_SPOKEN_STEPS, organization_id, of, limit=limit, since=since)


def _steps(query: str, organization_id: int, of: SessionRow, *, limit: int, since: datetime) -> list[Step]:
    values = {
        "org": organization_id, "id": of.session_id, "first": since, "last": of.last_at,
        "kinds": sorted(MODEL_KINDS), "limit": limit,
    }  # fmt: skip
    return [Step(*row) for row in ask(query, values)]


def _where(organization_id: int, question: Question) -> tuple[str, dict[str, Any]]:
    """The condition on `session` and its values. Every value is bound."""
    filtered, filter_values = _of_requests(question.filter)
    conditions = [
        ("organization_id = %(org)s", True),
        ("last_at >= %(start)s", question.start is not None),
        ("first_at < %(end)s", question.end is not None),
        ("(session_id ILIKE %(like)s OR name ILIKE %(like)s)", bool(question.search)),
        ("coalesce(name, '') = %(name)s", question.name is not None),
        ("end_users @> ARRAY[%(user)s]", bool(question.end_user_id)),
        ("errors > 0", question.errors_only),
        (filtered, bool(filtered)),
    ]
    values = {
        "org": organization_id, "start": question.start, "end": question.end, "like": f"%{escaped(question.search)}%",
        "name": question.name, "user": question.end_user_id, **filter_values,
    }  # fmt: skip
    return " AND ".join(text for text, applies in conditions if applies), values


def _of_requests(tree: Node) -> tuple[str, dict[str, Any]]:
    """A condition on `session` that one of its requests meets; empty for a tree that says everything."""
    if tree == EVERYTHING:
        return "", {}
    clause = compile_filter(tree)
    first, *rest = clause.sql.split("%s")
    written = first + "".join(f"%(filter_{place})s{text}" for place, text in enumerate(rest))
    exists = (
        "EXISTS (SELECT 1 FROM llm_request r WHERE r.organization_id = session.organization_id "  # noqa: S608
        "AND r.session_id = session.session_id AND r.requested_at BETWEEN session.first_at AND session.last_at "
        f"AND {written})"
    )
    return exists, {f"filter_{place}": value for place, value in enumerate(clause.values)}


def _sessions(rows: Sequence[Sequence[Any]]) -> tuple[SessionRow, ...]:
    """Each of `rows` begins with _COLUMNS; its two arrays come as lists."""
    percentiles = histogram.grouped_quantiles([bytes(row[13]) for row in rows], (0.5, 0.95)).tolist()
    found = []
    for row, lengths in zip(rows, percentiles, strict=True):
        facts: Sequence[Any] = [tuple(value) if isinstance(value, list) else value for value in row[:13]]
        found.append(SessionRow(*facts, *(None if math.isnan(one) else one for one in lengths)))
    return tuple(found)


def ask(query: str, values: Mapping[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    """Every row, in a short transaction with a time limit. Raises TooSlow."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, TRUE)", [str(settings.READER_TIMEOUT_MS)])
            cursor.execute(query, values)
            found: list[tuple[Any, ...]] = cursor.fetchall()
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooSlow("Query timeout. Try a shorter time range or simpler filters.") from error
        raise
    return found


def storable(text: str) -> str:
    """The text as it would have been stored: without what Postgres refuses."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
