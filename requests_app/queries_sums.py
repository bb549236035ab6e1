"""What a list adds up to, and the values it can be narrowed by: from the ground, within time limits."""
# ruff: noqa: S608 - what is put together here are columns and clauses of catalogues; every value is bound

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from django.db.backends.utils import CursorWrapper
from django.utils.module_loading import import_string

from lib.clock import now
from requests_app.filters import Entry, FilterError, entry_of, escaped
from requests_app.queries import Question, reader, single, time_range, where

SUMMARY_TIMEOUT_MS = 5_000
COUNT_TIMEOUT_MS = 2_000
COUNTED_EXACTLY = 10_000
SUGGESTIONS, SUGGESTED_FROM, SUGGESTED_DAYS = 20, 20_000, 30
"""How many values are offered, from how many of the newest rows, at most how old."""
MOST_NAMES = 1_000
"""How many names of properties are looked through for those to offer."""
FAILED = "r.status NOT BETWEEN 200 AND 399"


@dataclass(frozen=True, slots=True)
class Count:
    value: int
    is_exact: bool


def count(question: Question, *, most: int = COUNTED_EXACTLY) -> Count:
    """How many rows; where no counts know, counted no further than `most`. Raises TooSlow."""
    if (known := _known(question)) is not None:
        return Count(known, is_exact=True)
    condition, values = where(question)
    with reader(COUNT_TIMEOUT_MS) as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM llm_request r WHERE {condition} LIMIT %s) AS counted",
            [*values, most + 1],
        )
        found = single(cursor)
    return Count(min(found, most), is_exact=found <= most)


_COUNTERS: list[str] = []
_SUMMERS: list[str] = []


def contribute(counter: str, *, summer: str) -> None:
    """Once, at start, by a room above that keeps counts: dotted paths of functions that know without reading them how
    many rows a Question finds, and its Summary in at most so many buckets; or answer None."""
    if counter not in _COUNTERS:
        _COUNTERS.append(counter)
        _SUMMERS.append(summer)


def count_all(question: Question) -> int:
    """How many rows, all of them. Raises TooSlow."""
    if (known := _known(question)) is not None:
        return known
    condition, values = where(question)
    with reader() as cursor:
        cursor.execute(f"SELECT count(*) FROM llm_request r WHERE {condition}", values)
        return int(single(cursor))


def _known(question: Question) -> int | None:
    told: Iterator[int | None] = (import_string(counter)(question) for counter in _COUNTERS)
    return next((known for known in told if known is not None), None)


def count_by_day(question: Question) -> dict[date, int]:
    """How many rows of each day (UTC) that has any, exactly. Raises TooSlow."""
    condition, values = where(question)
    with reader() as cursor:
        cursor.execute(
            "SELECT (r.requested_at AT TIME ZONE 'UTC')::date, count(*) "
            f"FROM llm_request r WHERE {condition} GROUP BY 1 ORDER BY 1",
            values,
        )
        return dict(cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Bucket:
    since: datetime
    until: datetime
    requests: int
    failed: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Sums over all rows of a question; money in nano-USD, of the `priced` ones only."""

    requests: int
    failed: int
    priced: int
    cost_nano_usd: int
    duration_p95_ms: float | None
    buckets: tuple[Bucket, ...]

    @property
    def failed_share(self) -> float | None:
        return self.failed / self.requests if self.requests else None


def summary(question: Question, *, buckets: int = 48) -> Summary:
    """With the requests over time: in equal buckets from the ground, in hours or days from counts. Raises TooSlow."""
    for summer in _SUMMERS:
        known: Summary | None = import_string(summer)(question, buckets)
        if known is not None:
            return known
    with reader(SUMMARY_TIMEOUT_MS) as cursor:
        since, until = _ends(cursor, question)
        width = max((until - since) / buckets, timedelta(microseconds=1))
        condition, values = where(replace(question, since=since, until=question.until))
        cursor.execute(
            "SELECT least(floor(extract(epoch FROM r.requested_at - %s) / %s), %s)::int, count(*), "
            f"count(*) FILTER (WHERE {FAILED}), count(r.cost_nano_usd), coalesce(sum(r.cost_nano_usd), 0) "
            f"FROM llm_request r WHERE {condition} GROUP BY 1",
            [since, width.total_seconds(), buckets - 1, *values],
        )
        sums = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute(
            "SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY r.duration_ms) "
            f"FROM llm_request r WHERE {condition} AND r.duration_ms IS NOT NULL",
            values,
        )
        p95 = single(cursor)
    drawn = tuple(
        Bucket(since + width * index, since + width * (index + 1), *sums.get(index, (0, 0))[:2])
        for index in range(buckets)
    )
    requests, failed, priced, cost = (sum(int(row[i]) for row in sums.values()) for i in range(4))
    return Summary(requests, failed, priced, cost, p95, drawn)


def _ends(cursor: CursorWrapper, question: Question) -> tuple[datetime, datetime]:
    """The range as two moments: an open start is the organisation's oldest row, an open end is now."""
    since, until = time_range(question)
    until = until or now()
    if since is None:
        cursor.execute(
            "SELECT requested_at FROM llm_request WHERE organization_id = %s ORDER BY requested_at LIMIT 1",
            [question.organization_id],
        )
        since = single(cursor) or until - timedelta(days=1)
    return since, max(until, since + timedelta(seconds=1))


# --- values to choose from ------------------------------------------------------------------------------------


def suggestions(organization_id: int, key: str, *, name: str = "", term: str = "") -> list[str]:
    """Values of an entry seen lately, the commonest first. Raises FilterError for one that has none to offer."""
    entry = entry_of(key)
    if not entry.is_suggested:
        raise FilterError(f"{entry.words} has no list of values.", path=key)
    return _commonest(organization_id, _suggested(entry), [name] if entry.is_map else [], term)


_SIEVES: list[str] = []


def leave_out(sieve: str) -> None:
    """Once, at start, by a room above where members hide properties: the dotted path of a function that takes an
    organization and names of properties, and answers with those to offer."""
    if sieve not in _SIEVES:
        _SIEVES.append(sieve)


def property_keys(organization_id: int, *, term: str = "") -> list[str]:
    """Names of properties seen lately, the commonest first, without the hidden ones."""
    found = _commonest(organization_id, "jsonb_object_keys(r.properties)", [], term, limit=MOST_NAMES)
    for sieve in _SIEVES:
        found = import_string(sieve)(organization_id, found)
    return found[:SUGGESTIONS]


def _suggested(entry: Entry) -> str:
    if entry.key == "problem":
        return f"split_part(unnest({entry.sql}), ': ', 1)"
    return f"({entry.sql} ->> %s)" if entry.is_map else f"({entry.sql})::text"


def _commonest(organization_id: int, sql: str, names: list[str], term: str, *, limit: int = SUGGESTIONS) -> list[str]:
    with reader(COUNT_TIMEOUT_MS) as cursor:
        cursor.execute(
            f"SELECT value FROM (SELECT {sql} AS value FROM (SELECT * FROM llm_request r "
            "WHERE r.organization_id = %s AND r.requested_at >= %s ORDER BY r.requested_at DESC LIMIT %s) AS r) "
            "AS seen WHERE value ILIKE %s AND value <> '' GROUP BY value ORDER BY count(*) DESC, value LIMIT %s",
            [
                *names,
                organization_id,
                now() - timedelta(days=SUGGESTED_DAYS),
                SUGGESTED_FROM,
                f"%{escaped(term)}%",
                limit,
            ],
        )
        return [value for (value,) in cursor.fetchall()]
