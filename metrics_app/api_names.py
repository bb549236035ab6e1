"""Helicone's user endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any, cast

from lib.bins import histogram, kept_range
from metrics_app import queries_names
from metrics_app.api import TOKENS, Endpoint, iso, said, usd
from metrics_app.api_bodies import (
    FILTER,
    LIMIT,
    OFFSET,
    PERCENTILES,
    SECONDS,
    Invalid,
    Key,
    Refused,
    is_boolean,
    is_mapping,
    is_number,
    is_texts,
    page,
    seconds,
    tree,
    zone,
)  # fmt: skip
from metrics_app.catalog import OTHER
from metrics_app.question import MOST_GROUPS, Answer, Question, Row, kinds_of
from requests_app.filters import EVERYTHING, Node, join, leaf

MOST_USERS, USERS_AT_ONCE = 1_000, 100
MOST_VALUES, MOST_KEYS, TOP = 25, 1_000, 10


class Users(Endpoint):
    """POST /v1/user/query: sums of some users, or of those with the most requests."""

    keys = (Key("userIds", is_texts, "invalid array"), SECONDS)

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        since, until = seconds(body)
        wanted = (
            join("or", [leaf("user", "=", user) for user in body["userIds"]]) if body.get("userIds") else EVERYTHING
        )
        found = self.ask(
            Question(organization_id, ("requests", "cost", *TOKENS), ("user",), since=since, until=until,
                     filter=wanted, order="-requests", limit=USERS_AT_ONCE)
        )  # fmt: skip
        return [
            {"count": row["requests"], "prompt_tokens": row[TOKENS[0]], "completion_tokens": row[TOKENS[1]],
             "user_id": said(row.values[0]), "cost": usd(row)}
            for row in found.rows
        ]  # fmt: skip


# --- users with conditions on their sums --------------------------------------------------------------------------

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": eq, "not-equals": ne, "gte": ge, "lte": le, "lt": lt, "gt": gt,
}
_TEXT_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "equals": eq, "not-equals": ne,
    "contains": lambda known, asked: asked.lower() in known.lower(),
    "not-contains": lambda known, asked: asked.lower() not in known.lower(),
    "like": lambda known, asked: _is_like(known, asked),
    "ilike": lambda known, asked: _is_like(known.lower(), asked.lower()),
}
SORTS = {
    "id": "user_id", "user_id": "user_id", "active_for": "active_for", "first_active": "first_active",
    "last_active": "last_active", "total_requests": "total_requests", "cost": "cost",
    "average_requests_per_day_active": "average_requests_per_day_active",
    "average_tokens_per_request": "average_tokens_per_request", "total_prompt_tokens": "total_prompt_tokens",
    "total_completion_tokens": "total_completion_tokens", "rate_limited_count": "total_requests",
}  # fmt: skip
"""What a list is sorted by. Nothing counts who was limited: that order is the one of requests."""
ORDERS: Mapping[str, str] = {
    "user_id": "user", "active_for": "active_days", "first_active": "first_at", "last_active": "last_at",
    "total_requests": "requests", "cost": "cost", "total_prompt_tokens": TOKENS[0],
    "total_completion_tokens": TOKENS[1],
}  # fmt: skip
"""Those an answer can be ordered by itself; the others are worked out of its rows."""


@dataclass(frozen=True, slots=True)
class _Condition:
    """On a user's sums, as Helicone's `users_view` names them."""

    column: str
    operator: str
    value: Any

    def holds(self, user: Mapping[str, Any]) -> bool:
        known, value = user[self.column], self.value
        if known is None:
            return False
        if self.column == "user_id":
            return _TEXT_COMPARISONS[self.operator](known, value)
        if self.column in ("first_active", "last_active"):
            known, value = datetime.fromisoformat(known), datetime.fromisoformat(str(value))
            value = value.replace(tzinfo=known.tzinfo) if value.tzinfo is None else value
        else:
            value = float(value)
        return _COMPARISONS[self.operator](known, value)


def _is_like(known: str, pattern: str) -> bool:
    """As SQL's LIKE: % is any text, _ any character, a backslash takes either's meaning away."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re.fullmatch("".join(wild.get(part) or re.escape(part[-1]) for part in parts), known, re.DOTALL) is not None


def _parted(said: Any) -> tuple[Node, list[_Condition]]:
    """A filter's part about requests, and what it ANDs about users. Raises Invalid."""
    if isinstance(said, dict) and "left" in said and said.get("operator") == "and":
        left, right = _parted(said["left"]), _parted(said.get("right", {}))
        return join("and", (left[0], right[0])), [*left[1], *right[1]]
    if isinstance(said, dict) and "users_view" in said:
        rest = {table: columns for table, columns in said.items() if table != "users_view"}
        return tree(rest), _conditions(said["users_view"])
    if "users_view" in str(said):
        raise _wrong("Conditions on users_view can be joined by and only.")
    return tree(said), []


def _conditions(columns: Any) -> list[_Condition]:
    found = []
    for column, operators in columns.items() if is_mapping(columns) else ():
        name = {"user_cost": "cost"}.get(column, column.removeprefix("user_"))
        if name not in SORTS.values() or not is_mapping(operators):
            raise _wrong(f"users_view has no column {column!r} to filter by.")
        for operator, value in operators.items():
            known = _TEXT_COMPARISONS if name == "user_id" else _COMPARISONS
            if operator not in known:
                raise _wrong(f"{column} cannot be asked with {operator!r}, only with {', '.join(known)}.")
            _checked(name, value)
            found.append(_Condition(name, operator, value))
    return found


def _are_about_times(conditions: Sequence[_Condition]) -> bool:
    return any(one.column in ("first_active", "last_active") for one in conditions)


def _checked(column: str, value: Any) -> None:
    """Raises Invalid for a value the column is never compared with."""
    try:
        if column in ("first_active", "last_active"):
            datetime.fromisoformat(value)
        elif column != "user_id":
            float(value)
        elif not isinstance(value, str):
            raise TypeError
    except (TypeError, ValueError):
        raise _wrong(f"{value!r} cannot be compared with {column}.") from None


def _wrong(message: str) -> Invalid:
    return Invalid({"requestBody.filter": {"message": message}})


_USER = ("requests", "cost", *TOKENS, "first_at", "last_at", "active_days")


def _user(row: Row, seen: tuple[datetime | None, datetime | None]) -> dict[str, Any]:
    requests, days = cast(int, row["requests"]), cast(int, row["active_days"])
    prompt, completion = (cast(int, row[key]) for key in TOKENS)
    first, last = seen
    name = said(row.values[0])
    return {
        "id": name,
        "user_id": name,
        "active_for": days,
        "first_active": iso(first) if first else None,
        "last_active": iso(last) if last else None,
        "total_requests": requests,
        "average_requests_per_day_active": requests / days if days else None,
        "average_tokens_per_request": (prompt + completion) / requests if requests else None,
        "total_completion_tokens": completion,
        "total_prompt_tokens": prompt,
        "cost": usd(row),
    }


class UserMetrics(Endpoint):
    """POST /v1/user/metrics/query: users and their sums, in any order."""

    keys = (
        FILTER, OFFSET, LIMIT, SECONDS, Key("timeZoneDifferenceMinutes", is_number, "invalid float number"),
        Key("sort", is_mapping, "invalid object"),
    )  # fmt: skip

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        if body["limit"] > MOST_USERS:
            raise Refused(f"Limit cannot be greater than {MOST_USERS}")
        zone(body.get("timeZoneDifferenceMinutes", 0))
        offset, limit = page(body, most=MOST_USERS)
        wanted, conditions = _parted(body["filter"])
        since, until = seconds(body)
        key, is_rising = _sorting(body.get("sort") or {"last_active": "desc"})
        question = Question(organization_id, _USER, ("user",), since=since, until=until, filter=wanted,
                            kinds=kinds_of(wanted))  # fmt: skip
        if key in ORDERS and not conditions:
            order = f"{'' if is_rising else '-'}{ORDERS[key]}"
            found = self.ask(replace(question, order=order, limit=limit, offset=offset))
            users, count = _users(organization_id, _named(found), is_exact=True), found.groups
        else:
            rows = _named(self.ask(replace(question, order="-requests", limit=MOST_GROUPS)))
            every = _users(organization_id, rows, is_exact=_are_about_times(conditions))
            held = [place for place, user in enumerate(every) if all(one.holds(user) for one in conditions)]
            known = [place for place in held if every[place][key] is not None]
            known.sort(key=lambda place: every[place][key], reverse=not is_rising)
            held = [*known, *(place for place in held if every[place][key] is None)]
            shown, count = [rows[place] for place in held[offset : offset + limit]], len(held)
            users = _users(organization_id, shown, is_exact=True)
        if key in ("first_active", "last_active"):  # counts by day tell the day; within it the page is put right
            users.sort(key=lambda user: user[key] or "", reverse=not is_rising)
        has_users = queries_names.has_any(organization_id, "user")
        return {"users": users, "count": count, "hasUsers": has_users}


def _named(found: Answer) -> list[Row]:
    """Without what stands for many."""
    return [row for row in found.rows if row.values[0] is not OTHER]


def _users(organization_id: int, rows: Sequence[Row], *, is_exact: bool) -> list[dict[str, Any]]:
    """With `is_exact` times to the microsecond where the rows have days and the requests are still there."""
    seen = [cast(queries_names.Seen, (row["first_at"], row["last_at"])) for row in rows]
    if is_exact:
        told = [(row.values[0], times) for row, times in zip(rows, seen, strict=True)]
        seen = queries_names.seen(organization_id, told)
    return [_user(row, times) for row, times in zip(rows, seen, strict=True)]


def _sorting(said: Mapping[str, Any]) -> tuple[str, bool]:
    key, direction = next(iter(said.items()))
    if key not in SORTS or direction not in ("asc", "desc"):
        known = ", ".join(SORTS)
        raise Invalid({"requestBody.sort": {"message": f"asc or desc by one of {known} is expected", "value": key}})
    return SORTS[key], direction == "asc"


class UserOverview(Endpoint):
    """POST /v1/user/metrics-overview/query: how requests and cost spread over users."""

    keys = (
        FILTER, Key("pSize", lambda value: value in PERCENTILES, f"should be one of {list(PERCENTILES)}", True),
        Key("useInterquartile", is_boolean, "invalid boolean value", True),
    )  # fmt: skip

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        wanted, conditions = _parted(body["filter"])
        question = Question(organization_id, _USER if conditions else _SPREAD, ("user",), filter=wanted,
                            kinds=kinds_of(wanted), order="-requests", limit=MOST_GROUPS)  # fmt: skip
        spread = _held(self.ask(question), conditions) if conditions else _spread(self.ask(question))
        return {
            name: _drawn([user[place] for user in spread if user[place] is not None], body)
            for place, name in enumerate(("request_count", "user_cost"))
        }


_SPREAD = ("requests", "cost")
"""All the overview draws; days and tokens would cost as much again."""


def _spread(found: Answer) -> list[tuple[Any, Any]]:
    """Requests and USD of each user."""
    return [(row["requests"], usd(row)) for row in found.rows if row.values[0] is not OTHER]


def _held(found: Answer, conditions: Sequence[_Condition]) -> list[tuple[Any, Any]]:
    """The same of those the conditions hold for."""
    users = _users(found.question.organization_id, _named(found), is_exact=_are_about_times(conditions))
    held = (user for user in users if all(one.holds(user) for one in conditions))
    return [(user["total_requests"], user["cost"]) for user in held]


def _drawn(values: list[float], body: Mapping[str, Any]) -> list[dict[str, Any]]:
    kept = kept_range(values, PERCENTILES[body["pSize"]], is_inner=body["useInterquartile"])
    return [
        {"range_start": str(one.start), "range_end": str(one.end), "value": one.count} for one in histogram(kept)
    ]  # fmt: skip
