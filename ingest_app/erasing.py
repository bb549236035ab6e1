"""Delete by filter: what an address asks to erase, and the orders that do it, one for each day there is something."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from alerts_app import queries
from ingest_app.records import ForgetWhere
from lib.clock import from_microseconds, microseconds, now
from lib.frozen import dataclass, replace
from requests_app import asking, filter_url, queries_sums
from requests_app.filters import ENTRIES, EQUAL, FilterError, leaves
from requests_app.queries import Question, TooSlow

OWN = frozenset(entry.key for entry in ENTRIES)
"""What a row says itself. A filter on the sums of its session would change its mind while the rows go."""

FROZEN = ("since_us", "until_us")


@dataclass(frozen=True, slots=True)
class Erasure:
    """What would go: the question, frozen in time, and how many rows of which day it finds now."""

    question: Question
    by_day: Mapping[date, int]
    chips: tuple[asking.Chip, ...]
    complaint: str = ""

    @property
    def rows(self) -> int:
        return sum(self.by_day.values())


def read(organization_id: int, query: QueryDict) -> Erasure:
    """An address of the requests page as an erasure. FROZEN holds its ends where they were at the first reading."""
    query = query.copy()
    since, until = (_moment(query.pop(key, [""])[-1]) for key in FROZEN)
    asked = asking.read(organization_id, query)
    question = replace(
        asked.question, since=since or asked.question.since,
        until=min(filter(None, (asked.question.until, until or now()))),
    )  # fmt: skip
    chips = tuple(asking.chips(asked))
    complaint = asked.complaint or _complaint(question)
    if complaint:
        return Erasure(question, {}, chips, complaint)
    try:
        return Erasure(question, queries_sums.count_by_day(question), chips)
    except TooSlow as error:
        return Erasure(question, {}, chips, str(error))


def _complaint(question: Question) -> str:
    strange = sorted({one.key for one in leaves(question.filter)} - OWN)
    if strange:
        return f"Requests cannot be deleted by {', '.join(strange)}: it changes while they go."
    try:
        filter_url.dump(question.filter)
    except FilterError as error:
        return error.message
    return ""


def staying(erasure: Erasure) -> list[str]:
    """What admins have set for a user, session or value the filter names; they stay until somebody changes them."""
    asked = [one for one in leaves(erasure.question.filter) if one.operator == EQUAL and one.value is not None]
    return [
        words for one in asked if one.key in ("user", "session", "property")
        for words in queries.naming(erasure.question.organization_id, one.key, one.name, str(one.value))
    ]  # fmt: skip


def orders(erasure: Erasure) -> list[ForgetWhere]:
    """One for each day that has rows, oldest first."""
    question, at = erasure.question, now()
    text = urlencode(filter_url.dump(question.filter))
    return [
        ForgetWhere(question.organization_id, text, *_bounds(question, day), at) for day in sorted(erasure.by_day)
    ]


def _bounds(question: Question, day: date) -> tuple[datetime, datetime]:
    start = datetime.combine(day, time(), UTC)
    end = start + timedelta(days=1)
    return max(start, question.since or start), min(end, question.until or end)


def freeze(query: QueryDict, erasure: Erasure) -> str:
    """The address for the second reading."""
    query = query.copy()
    for key, moment in zip(FROZEN, (erasure.question.since, erasure.question.until), strict=True):
        if moment:
            query[key] = str(microseconds(moment))
    return query.urlencode()


def thaw(query: QueryDict) -> str:
    """The address of the list again."""
    query = query.copy()
    for key in FROZEN:
        query.pop(key, None)
    return query.urlencode()


def _moment(text: str) -> datetime | None:
    try:
        return from_microseconds(int(text))
    except (ValueError, OverflowError):
        return None


def told(erasure: Erasure) -> dict[str, Any]:
    """For the audit log: what was asked and how much it was; never what stood in it."""
    filter_text = " and ".join(f"{chip.words} {chip.operator} {chip.value}".strip() for chip in erasure.chips)
    detail: dict[str, Any] = {"filter": filter_text or "everything", "rows": erasure.rows}
    if erasure.question.since:
        detail["since"] = erasure.question.since.isoformat(timespec="seconds")
    if erasure.question.until:
        detail["until"] = erasure.question.until.isoformat(timespec="seconds")
    return detail
