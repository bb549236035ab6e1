"""Helicone's session endpoints: its words, its units, its strictness.

    422  {"message": "Validation Failed", "details": {"requestBody.limit": {"message": …, "value": …}}}
    500  {"data": null, "error": "Invalid timezone difference"}, and where a question takes too long
    400  {"data": null, "error": …} for what is no JSON
    200  {"data": …, "error": null}

Times are text without a zone, already moved by `timezoneDifference` minutes (JavaScript's sign: UTC − local).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast

from rest_framework.exceptions import ParseError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.permissions import ApiKeyAuthentication, Caller, MayRead
from lib.bins import Bin, histogram, kept_range
from lib.clock import EPOCH, now
from lib.json_parser import AnyJSON
from metrics_app.api_bodies import PERCENTILES, Invalid, Refused, is_boolean, is_number
from requests_app import filter_json
from requests_app.filters import EVERYTHING, FilterError, Node
from requests_app.queries import TooSlow
from sessions_app import queries_groups as groups
from sessions_app.queries import storable

MOST_NAMES = 50
NAMES_REACH = timedelta(days=150)
LARGEST_LIMIT = 1000


# --- bodies -----------------------------------------------------------------------------------------------------


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _times(value: Any) -> bool:
    keys = {"startTimeUnixMs", "endTimeUnixMs"}
    return isinstance(value, dict) and value.keys() == keys and all(is_number(each) for each in value.values())


def _percentile(value: Any) -> bool:
    return isinstance(value, str) and value in PERCENTILES


def _anything(value: Any) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a body: what it may hold, and what is said where it holds something else."""

    name: str
    is_right: Callable[[Any], bool]
    complaint: str
    is_required: bool = False


_TIMES = "expected {startTimeUnixMs: number, endTimeUnixMs: number}, in milliseconds"
SESSION_KEYS = (
    Key("search", _text, "invalid string value", True),
    Key("timeFilter", _times, _TIMES, True),
    Key("nameEquals", _text, "invalid string value"),
    Key("timezoneDifference", is_number, "invalid float number", True),
    Key("filter", _anything, "", True),
    Key("offset", is_number, "invalid float number"),
    Key("limit", is_number, "invalid float number"),
)
NAME_KEYS = (
    Key("nameContains", _text, "invalid string value", True),
    Key("timezoneDifference", is_number, "invalid float number", True),
    Key("pSize", _percentile, f"should be one of the following; {sorted(PERCENTILES)}"),
    Key("useInterquartile", is_boolean, "invalid boolean value"),
    Key("timeFilter", _times, _TIMES),
    Key("filter", _anything, ""),
)


def check(body: Any, keys: Sequence[Key]) -> dict[str, Any]:
    """The body, if it has all required keys, no unknown one, and each holds what it may. Raises Invalid."""
    if not isinstance(body, dict):
        raise Invalid({"requestBody": {"message": "invalid object", "value": body}})
    known = {key.name: key for key in keys}
    wrong: dict[str, dict[str, Any]] = {}
    for name in body.keys() - known.keys():
        wrong[name] = {"message": f'"{name}" is an excess property and therefore is not allowed', "value": name}
    for name, key in known.items():
        if name not in body:
            if key.is_required:
                wrong[name] = {"message": f"'{name}' is required"}
        elif not key.is_right(body[name]):
            wrong[name] = {"message": key.complaint, "value": body[name]}
    if wrong:
        raise Invalid({f"requestBody.{name}": detail for name, detail in sorted(wrong.items())})
    return body


def _filter(body: Mapping[str, Any]) -> Node:
    try:
        return filter_json.parse(body["filter"]) if "filter" in body else EVERYTHING
    except FilterError as error:
        raise Invalid({f"requestBody.{error.path or 'filter'}": {
            "message": error.message, "value": error.value,
        }}) from None  # fmt: skip


def _zone(body: Mapping[str, Any]) -> timedelta:
    minutes = body["timezoneDifference"]
    if abs(minutes) > 1440:
        raise Refused("Invalid timezone difference")
    return timedelta(minutes=minutes)


def _moment(milliseconds: float) -> datetime:
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        edge = datetime.max if milliseconds > 0 else datetime.min
        return edge.replace(tzinfo=UTC)


def _session_question(body: Mapping[str, Any]) -> groups.Question:
    times, name = body["timeFilter"], body.get("nameEquals")
    return groups.Question(
        since=_moment(times["startTimeUnixMs"]),
        until=_moment(times["endTimeUnixMs"]),
        search=storable(body["search"]),
        name=None if name is None else storable(name),
        filter=_filter(body),
        offset=max(int(body.get("offset", 0)), 0),
        limit=min(max(int(body.get("limit", 0)), 0), LARGEST_LIMIT) or 50,
    )


def _name_question(body: Mapping[str, Any]) -> groups.Question:
    times = body.get("timeFilter")
    return groups.Question(
        since=_moment(times["startTimeUnixMs"]) if times else now() - NAMES_REACH,
        until=_moment(times["endTimeUnixMs"]) if times else None,
        filter=_filter(body),
        limit=MOST_NAMES,
    )


# --- endpoints --------------------------------------------------------------------------------------------------


class SessionEndpoint(APIView):
    """A question about sessions in JSON."""

    authentication_classes = (ApiKeyAuthentication,)
    permission_classes = (MayRead,)
    parser_classes = (AnyJSON,)
    renderer_classes = (JSONRenderer,)
    keys: ClassVar[Sequence[Key]] = SESSION_KEYS

    def post(self, request: Request) -> Response:
        try:
            body = check(request.data, self.keys)
            caller = cast(Caller, request.auth)
            return Response({"data": self.answer(caller.organization_id, body), "error": None})
        except Invalid as error:
            return Response({"message": "Validation Failed", "details": error.details}, status=422)
        except FilterError as error:  # one that is too large is found out where it is compiled
            details = {f"requestBody.{error.path or 'filter'}": {"message": error.message}}
            return Response({"message": "Validation Failed", "details": details}, status=422)
        except ParseError as error:
            return Response({"data": None, "error": str(error)}, status=400)
        except Refused as error:
            return Response({"data": None, "error": str(error)}, status=500)
        except TooSlow as error:
            said = dict.fromkeys(("error", "message", "details"), str(error))
            return Response({"data": None, **said}, status=500)

    def answer(self, organization_id: int, body: Mapping[str, Any]) -> Any:
        raise NotImplementedError


class SessionQuery(SessionEndpoint):
    def answer(self, organization_id: int, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        zone = _zone(body)
        return [_session(group, zone) for group in groups.groups(organization_id, _session_question(body))]


class SessionCount(SessionEndpoint):
    def answer(self, organization_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        _zone(body)
        found = groups.sums(organization_id, _session_question(body))
        cost, sessions = found.cost_nano_usd / 1e9, max(found.sessions, 1)
        return {
            "count": found.sessions,
            "total_cost": cost,
            "avg_cost": cost / sessions,
            "avg_latency": found.duration_ms / sessions,
            "avg_requests": found.requests / sessions,
        }


class SessionNames(SessionEndpoint):
    keys = NAME_KEYS

    def answer(self, organization_id: int, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        zone, question = _zone(body), _name_question(body)
        contains = replace(question, name_contains=storable(body["nameContains"]))
        return [_name(use, zone) for use in groups.names(organization_id, contains)]


class SessionMetrics(SessionEndpoint):
    """`nameContains` is compared whole here, as in Helicone; empty means the sessions without a name."""

    keys = NAME_KEYS

    def answer(self, organization_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        _zone(body)
        question = replace(_name_question(body), name=storable(body["nameContains"]))
        found = groups.measures(organization_id, question)
        columns: dict[str, list[float]] = {
            "session_count": [one.requests for one in found],
            "session_duration": [one.seconds for one in found],
            "session_cost": [one.usd for one in found],
        }
        part = PERCENTILES[body.get("pSize", "p75")]
        is_inner = bool(body.get("useInterquartile"))
        drawn = {
            name: [_bin(each) for each in histogram(kept_range(values, part, is_inner=is_inner))]
            for name, values in columns.items()
        }
        average = {name: [{"average": _mean(values)}] for name, values in columns.items()}
        return {**drawn, "average": average}


# --- answers ----------------------------------------------------------------------------------------------------


def _session(group: groups.Group, zone: timedelta) -> dict[str, Any]:
    return {
        "created_at": _local(group.first_at, zone),
        "latest_request_created_at": _local(group.last_at, zone),
        "session_id": group.session_id,
        "session_name": group.name,
        "total_cost": group.cost_nano_usd / 1e9,
        "total_requests": group.requests,
        "prompt_tokens": group.input_tokens,
        "completion_tokens": group.output_tokens,
        "total_tokens": group.input_tokens + group.output_tokens,
        "avg_latency": group.average_ms,
        "user_ids": list(group.end_users),
    }


def _name(use: groups.NameUse, zone: timedelta) -> dict[str, Any]:
    return {
        "name": use.name,
        "created_at": _local(use.first_at, zone),
        "last_used": _local(use.last_at, zone),
        "first_used": _local(use.first_at, zone),
        "session_count": use.sessions,
        "avg_latency": use.average_ms,
    }


def _bin(one: Bin) -> dict[str, Any]:
    return {"range_start": str(one.start), "range_end": str(one.end), "value": one.count}


def _local(moment: datetime, zone: timedelta) -> str:
    """`2026-07-01 09:30:00.000`."""
    return (moment.astimezone(UTC) - zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
