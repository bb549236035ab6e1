"""What Helicone's metric, user and property endpoints are sent: checked strictly, read into our words.

Invalid    422: {"message": "Validation Failed", "details": {"requestBody.limit": {"message": …, "value": …}}}
Refused    400: {"data": null, "error": "Invalid time filter"}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

from lib.clock import EPOCH
from metrics_app.question import Grain
from requests_app import filter_json
from requests_app.filters import FilterError, Node

INCREMENTS: Mapping[str, Grain] = {
    "min": "minute", "hour": "hour", "day": "day", "week": "week", "month": "month", "year": "year",
}  # fmt: skip
PERCENTILES = {"p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
LAST_SECONDS = 10**11
"""Beyond it a number of seconds is one of milliseconds: clients send both."""


class Invalid(Exception):
    """The body is not what the endpoint takes; `details` by place."""

    def __init__(self, details: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__("Validation Failed")
        self.details = details


class Refused(Exception):
    """The body is well formed and asks for what there is not."""


def is_text(value: Any) -> bool:
    return isinstance(value, str) and "\x00" not in value


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def is_anything(value: Any) -> bool:
    return True


def is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def is_times(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"start", "end"} and all(map(is_text, value.values()))


def is_seconds(value: Any) -> bool:
    keys = {"startTimeUnixSeconds", "endTimeUnixSeconds"}
    return isinstance(value, dict) and value.keys() == keys and all(map(is_number, value.values()))


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a body: what it may hold, and what is said where it holds something else."""

    name: str
    is_right: Callable[[Any], bool]
    complaint: str = "invalid value"
    is_required: bool = False


FILTER = Key("filter", is_anything, is_required=True)
TIMES = Key("timeFilter", is_times, "expected {start: string, end: string}", is_required=True)
SECONDS = Key("timeFilter", is_seconds, "expected {startTimeUnixSeconds: number, endTimeUnixSeconds: number}")
OFFSET = Key("offset", is_number, "invalid float number", is_required=True)
LIMIT = Key("limit", is_number, "invalid float number", is_required=True)
INCREMENT = Key("dbIncrement", is_text, "invalid string value")
ZONE = Key("timeZoneDifference", is_number, "invalid float number", is_required=True)


def check(body: Any, keys: Sequence[Key]) -> dict[str, Any]:
    """The body, if it has all required keys, no unknown one, and each holds what it may. Raises Invalid."""
    if not isinstance(body, dict):
        raise Invalid({"requestBody": {"message": "invalid object"}})
    known = {key.name: key for key in keys}
    wrong: dict[str, dict[str, Any]] = {
        name: {"message": f'"{name}" is an excess property and therefore is not allowed', "value": name}
        for name in body.keys() - known.keys()
    }
    for name, key in known.items():
        if name not in body:
            if key.is_required:
                wrong[name] = {"message": f"'{name}' is required"}
        elif not key.is_right(body[name]):
            wrong[name] = {"message": key.complaint, "value": body[name]}
    if wrong:
        raise Invalid({f"requestBody.{name}": detail for name, detail in sorted(wrong.items())})
    return body


def tree(said: Any, key: str = "filter") -> Node:
    """Raises Invalid."""
    try:
        return filter_json.parse(said, key)
    except FilterError as error:
        value = error.value if isinstance(error.value, str | int | float | bool) else None
        raise Invalid({f"requestBody.{error.path or key}": {"message": error.message, "value": value}}) from None


def times(body: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """[since, until) of a `timeFilter`. Raises Refused."""
    try:
        since, until = (_moment(body["timeFilter"][key]) for key in ("start", "end"))
    except (ValueError, OverflowError):
        raise Refused("Invalid time filter") from None
    if since > until:
        raise Refused("Invalid time filter")
    return since, until


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text.strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def seconds(body: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """[since, until) of a `timeFilter` in seconds, or in milliseconds as Helicone's own page sends it."""
    if "timeFilter" not in body:
        return None, None
    said = (body["timeFilter"][key] for key in ("startTimeUnixSeconds", "endTimeUnixSeconds"))
    try:
        since, until = (EPOCH + timedelta(seconds=n if abs(n) < LAST_SECONDS else n / 1000) for n in said)
    except OverflowError:
        raise Refused("Invalid time filter") from None
    return since, until


def zone(minutes: float) -> tzinfo:
    """Of JavaScript's offset, UTC − local. Raises Refused."""
    if abs(minutes) >= 1440:
        raise Refused("Invalid time zone difference")
    return timezone(-timedelta(minutes=minutes))


def grain(body: Mapping[str, Any]) -> Grain:
    """Raises Refused."""
    name = body.get("dbIncrement", "hour")
    if name not in INCREMENTS:
        raise Refused("Invalid time increment")
    return INCREMENTS[name]


def page(body: Mapping[str, Any], *, most: int) -> tuple[int, int]:
    """(offset, limit). Raises Refused."""
    if body["offset"] < 0 or body["limit"] < 0:
        raise Refused("Invalid offset or limit")
    return int(body["offset"]), min(max(int(body["limit"]), 1), most)
