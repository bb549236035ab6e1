"""Sessions as Helicone's API counts them: requests of a stretch of time grouped by session id and name.

A list asks the ground, because a filter or a time range may take only part of a session. Where nothing but time
narrows a question, the ground is asked about no more than the page can hold, and sums over all sessions come from
their own table (`queries_whole`). Cost, tokens and latency are those of calls to models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from operator import add
from typing import Any

from llm.exchange import MODEL_KINDS
from requests_app.filters import EVERYTHING, UNCACHED_INPUT, UNREASONED_OUTPUT, Clause, Node, escaped
from sessions_app import queries_whole
from sessions_app.filters import split
from sessions_app.queries import ask

MOST_MEASURED = 100_000
"""Groups a histogram is drawn from, newest first."""
MOST_CUT = 5_000
"""Sessions that lie over an edge of the range, whose part inside is read from the ground one by one."""

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
    sessions: int = 0
    requests: int = 0
    cost_nano_usd: int = 0
    duration_ms: int = 0


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


_IS_CALL = f"FILTER (WHERE r.kind IN ({', '.join(repr(kind) for kind in sorted(MODEL_KINDS))}))"
_GROUP = (
    "r.session_id, coalesce(r.session_name, ''), min(r.requested_at) AS first_at, max(r.requested_at), "
    f"count(*) AS requests, coalesce(sum(r.cost_nano_usd) {_IS_CALL}, 0)::bigint AS cost, "
    f"coalesce(sum({UNCACHED_INPUT}) {_IS_CALL}, 0)::bigint, "
    f"coalesce(sum({UNREASONED_OUTPUT}) {_IS_CALL}, 0)::bigint, coalesce(avg(r.duration_ms) {_IS_CALL}, 0)::float8, "
    "coalesce(array_agg(DISTINCT r.end_user_id) FILTER (WHERE r.end_user_id IS NOT NULL), '{}'), "
    f"coalesce(sum(r.duration_ms) {_IS_CALL}, 0)::bigint AS duration_ms"
)


def groups(organization_id: int, question: Question) -> list[Group]:
    """A page of groups, latest begun first."""
    asked = _grouped(organization_id, question, extra=_newest(organization_id, question))
    rows = ask(f"{asked.sql} ORDER BY first_at DESC, 1, 2 LIMIT %s OFFSET %s",
                 (*asked.values, question.limit, question.offset))  # fmt: skip
    return [Group(*row[:10]) for row in rows]


def sums(organization_id: int, question: Question) -> Sums:
    """Over every group; where only time narrows, over every session by its id."""
    if not _is_only_of_time(question):
        return _grouped_sums(organization_id, question)
    whole, cut = queries_whole.sums(organization_id, since=question.since, until=question.until)
    if len(cut) > MOST_CUT:
        return _grouped_sums(organization_id, question)
    part = _grouped_sums(organization_id, question, Clause("r.session_id = ANY(%s)", (list(cut),))) if cut else Sums()
    return Sums(*map(add, astuple(Sums(*whole)), astuple(part)))


def _grouped_sums(organization_id: int, question: Question, extra: Clause | None = None) -> Sums:
    asked = _grouped(organization_id, question, extra)
    ((*found,),) = ask(
        "SELECT count(*), coalesce(sum(requests), 0)::bigint, coalesce(sum(cost), 0)::bigint, "  # noqa: S608
        f"coalesce(sum(duration_ms), 0)::bigint FROM ({asked.sql}) g",
        asked.values,
    )
    return Sums(*found)


def names(organization_id: int, question: Question) -> list[NameUse]:
    """Session names, latest first used first; where only time and name narrow, every session under its latest name."""
    if _is_only_of_time(replace(question, name_contains="")):
        rows = queries_whole.names(
            organization_id, since=question.since, until=question.until, contains=question.name_contains,
            limit=question.limit,
        )  # fmt: skip
        return [NameUse(*row) for row in rows]
    where = _where(organization_id, question)
    rows = ask(
        "SELECT coalesce(r.session_name, ''), min(r.requested_at) AS first_at, max(r.requested_at), "  # noqa: S608
        "count(DISTINCT r.session_id), "
        f"coalesce(avg(r.duration_ms) {_IS_CALL}, 0)::float8 "
        f"FROM llm_request r WHERE {where.sql} GROUP BY 1 ORDER BY first_at DESC, 1 LIMIT %s",
        (*where.values, question.limit),
    )
    return [NameUse(*row) for row in rows]


def measures(organization_id: int, question: Question) -> list[Measures]:
    """Every group's three measures, at most MOST_MEASURED of the latest begun; where only time and name narrow, those
    of every session under its latest name."""
    if question.name is not None and _is_only_of_time(replace(question, name=None)):
        rows = queries_whole.measures(
            organization_id, since=question.since, until=question.until, name=question.name, limit=MOST_MEASURED
        )
        return [Measures(*row) for row in rows]
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


def _is_only_of_time(question: Question) -> bool:
    return (
        question.filter == EVERYTHING and not question.search and question.name is None and not question.name_contains
    )


def _newest(organization_id: int, question: Question) -> Clause | None:
    """Where nothing narrows the question but time, only the sessions its page can hold.

    So many sessions as the page reaches have begun in the range since `begun`, each a group or more; so a group of the
    page begins no earlier, and its first request is found between there and the end.
    """
    if not _is_only_of_time(question):
        return None
    since, until = question.since or BEGINNING, question.until or END
    begun = queries_whole.begun(organization_id, since=since, until=until, place=question.limit + question.offset)
    if begun is None:
        return None
    found = ask(
        "SELECT DISTINCT session_id FROM llm_request WHERE organization_id = %s AND session_id IS NOT NULL "
        "AND requested_at >= %s AND requested_at < %s",
        (organization_id, begun, until),
    )
    return Clause("r.session_id = ANY(%s)", ([session_id for (session_id,) in found],))
