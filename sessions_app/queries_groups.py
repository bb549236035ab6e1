"""Sessions as Helicone's API counts them: requests of a stretch of time grouped by session id and name.

Unlike `queries`, which reads sessions whole from their own table, this asks the ground, because a filter or a time
range may take only part of a session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from requests_app.filters import EVERYTHING, UNCACHED_INPUT, UNREASONED_OUTPUT, Clause, Node, escaped
from sessions_app.filters import split
from sessions_app.queries import ask

MOST_MEASURED = 100_000
"""Groups a histogram is drawn from, newest first."""

BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Question:
    """Which requests, and of their groups which. Bounds are exclusive on both sides, None is open."""

    since: datetime | None = None
    until: datetime | None = None
    search: str = ""
    name: str | None = None
    name_contains: str = ""
    filter: Node = EVERYTHING
    offset: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Group:
    """Costs in nano-USD of what is priced, tokens in Helicone's meaning, latency in ms."""

    session_id: str
    name: str
    first_at: datetime
    last_at: datetime
    requests: int
    cost_nano_usd: int
    input_tokens: int
    output_tokens: int
    average_ms: float
    end_users: Sequence[str]


@dataclass(frozen=True, slots=True)
class Sums:
    sessions: int
    requests: int
    cost_nano_usd: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class NameUse:
    name: str
    first_at: datetime
    last_at: datetime
    sessions: int
    average_ms: float


@dataclass(frozen=True, slots=True)
class Measures:
    """One session: requests, seconds from its first request to its last, USD."""

    requests: int
    seconds: float
    usd: float


_GROUP = (
    "r.session_id, coalesce(r.session_name, ''), min(r.requested_at) AS first_at, max(r.requested_at), "
    "count(*) AS requests, coalesce(sum(r.cost_nano_usd), 0)::bigint AS cost, "
    f"coalesce(sum({UNCACHED_INPUT}), 0)::bigint, coalesce(sum({UNREASONED_OUTPUT}), 0)::bigint, "
    "coalesce(avg(r.duration_ms), 0)::float8, "
    "coalesce(array_agg(DISTINCT r.end_user_id) FILTER (WHERE r.end_user_id IS NOT NULL), '{}'), "
    "coalesce(sum(r.duration_ms), 0)::bigint AS duration_ms"
)


def groups(organization_id: int, question: Question) -> list[Group]:
    """A page of groups, latest begun first."""
    asked = _grouped(organization_id, question, extra=_newest(organization_id, question))
    rows = ask(f"{asked.sql} ORDER BY first_at DESC, 1, 2 LIMIT %s OFFSET %s",
                 (*asked.values, question.limit, question.offset))  # fmt: skip
    return [Group(*row[:10]) for row in rows]


def sums(organization_id: int, question: Question) -> Sums:
    """Over every group."""
    asked = _grouped(organization_id, question)
    ((*found,),) = ask(
        "SELECT count(*), coalesce(sum(requests), 0)::bigint, coalesce(sum(cost), 0)::bigint, "  # noqa: S608
        f"coalesce(sum(duration_ms), 0)::bigint FROM ({asked.sql}) g",
        asked.values,
    )
    return Sums(*found)


def names(organization_id: int, question: Question) -> list[NameUse]:
    """Session names, latest first used first."""
    where = _where(organization_id, question)
    rows = ask(
        "SELECT coalesce(r.session_name, ''), min(r.requested_at) AS first_at, max(r.requested_at), "  # noqa: S608
        "count(DISTINCT r.session_id), coalesce(avg(r.duration_ms), 0)::float8 "
        f"FROM llm_request r WHERE {where.sql} GROUP BY 1 ORDER BY first_at DESC, 1 LIMIT %s",
        (*where.values, question.limit),
    )
    return [NameUse(*row) for row in rows]


def measures(organization_id: int, question: Question) -> list[Measures]:
    """Every group's three measures, at most MOST_MEASURED of the latest begun."""
    found = groups(organization_id, replace(question, offset=0, limit=MOST_MEASURED))
    return [
        Measures(one.requests, (one.last_at - one.first_at).total_seconds(), one.cost_nano_usd / 1e9) for one in found
    ]


def _grouped(organization_id: int, question: Question, extra: Clause | None = None) -> Clause:
    where, having = _where(organization_id, question), split(question.filter)[1]
    narrower = f" AND {extra.sql}" if extra else ""
    return Clause(
        f"SELECT {_GROUP} FROM llm_request r WHERE {where.sql}{narrower} "  # noqa: S608
        f"GROUP BY 1, 2 HAVING {having.sql}",
        (*where.values, *(extra.values if extra else ()), *having.values),
    )


def _where(organization_id: int, question: Question) -> Clause:
    pattern = f"%{escaped(question.search)}%"
    wanted = split(question.filter)[0]
    conditions: list[tuple[str, tuple[Any, ...], bool]] = [
        ("r.organization_id = %s AND r.session_id IS NOT NULL", (organization_id,), True),
        ("r.requested_at > %s", (question.since,), question.since is not None),
        ("r.requested_at < %s", (question.until,), question.until is not None),
        ("(r.session_id ILIKE %s OR r.session_name ILIKE %s)", (pattern, pattern), bool(question.search)),
        ("coalesce(r.session_name, '') = %s", (question.name,), question.name is not None),
        ("coalesce(r.session_name, '') ILIKE %s", (f"%{escaped(question.name_contains)}%",),
         bool(question.name_contains)),
        (wanted.sql, wanted.values, True),
    ]  # fmt: skip
    kept = [(sql, values) for sql, values, applies in conditions if applies]
    return Clause(" AND ".join(sql for sql, _ in kept), tuple(value for _, values in kept for value in values))


def _newest(organization_id: int, question: Question) -> Clause | None:
    """Where nothing narrows the question but time, only the sessions its page can hold.

    Those begun inside the range stand in `session` with the very time they are sorted by. Those begun before it are
    all taken, since where they stand depends on their requests.
    """
    if question.filter != EVERYTHING or question.search or question.name is not None or question.name_contains:
        return None
    since, until = question.since or BEGINNING, question.until or END
    return Clause(
        "r.session_id = ANY(ARRAY("
        "(SELECT session_id FROM session WHERE organization_id = %s AND first_at > %s AND first_at < %s "
        "ORDER BY first_at DESC LIMIT %s) UNION ALL "
        "(SELECT session_id FROM session WHERE organization_id = %s AND first_at <= %s AND last_at > %s)))",
        (organization_id, since, until, question.limit + question.offset, organization_id, since, since),
    )
