"""Helicone's metric and provider endpoints: its paths, words and units; tokens in its meaning, money in USD.

Endpoint    checks the body, asks, answers {"data": …, "error": null}; a partial answer has `notes` beside it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, cast

from rest_framework.exceptions import ParseError
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.permissions import ApiKeyAuthentication, MayRead, caller_of
from lib.clock import now
from lib.json_parser import AnyJSON
from llm.providers import by_slug
from metrics_app import question as questions
from metrics_app.api_bodies import (
    FILTER,
    INCREMENT,
    LIMIT,
    OFFSET,
    TIMES,
    ZONE,
    Invalid,
    Key,
    Refused,
    check,
    grain,
    is_boolean,
    is_text,
    page,
    times,
    tree,
    zone,
)  # fmt: skip
from metrics_app.catalog import METRICS, OTHER, TIME, Value
from metrics_app.queries import answer
from metrics_app.question import Answer, BadQuestion, Question, Row, kinds_of
from requests_app.filters import EVERYTHING, FilterError, Leaf, Node, join, leaf
from requests_app.queries import TooSlow

MOST_ROWS = 10_000
TOKENS = ("uncached_input_tokens", "visible_output_tokens")
"""Helicone's prompt and completion tokens."""
RANGE_KEYS = (FILTER, TIMES)
SERIES_KEYS = (FILTER, TIMES, INCREMENT, ZONE)
TABLE_KEYS = (FILTER, TIMES, OFFSET, LIMIT)


class Endpoint(APIView):
    """A question in JSON. What it answers with is `data`."""

    authentication_classes = (ApiKeyAuthentication,)
    permission_classes: Sequence[type[BasePermission]] = (MayRead,)
    parser_classes = (AnyJSON,)
    renderer_classes = (JSONRenderer,)
    keys: ClassVar[Sequence[Key]] = RANGE_KEYS

    def post(self, request: Request, **path: str) -> Response:
        self.notes: list[str] = []
        try:
            body = check(request.data if request.data is not None else {}, self.keys)
            data = self.data(caller_of(request).organization_id, body, **path)
            return Response({"data": data, "error": None, **({"notes": self.notes} if self.notes else {})})
        except Invalid as error:
            return Response({"message": "Validation Failed", "details": error.details}, status=422)
        except FilterError as error:
            details = {f"requestBody.{error.path or 'filter'}": {"message": error.message}}
            return Response({"message": "Validation Failed", "details": details}, status=422)
        except (Refused, BadQuestion, ParseError) as error:
            return Response({"data": None, "error": str(error)}, status=400)
        except TooSlow as error:
            said = dict.fromkeys(("error", "message", "details"), str(error))
            return Response({"data": None, **said}, status=500)

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        raise NotImplementedError

    def ask(self, question: Question) -> Answer:
        """The answer; where it is partial, the caller is told."""
        found = answer(question)
        if found.is_partial:
            self.notes += found.notes
        return found


def ranged(organization_id: int, body: Mapping[str, Any], *metrics: str, narrower: Node = EVERYTHING) -> Question:
    """The question of a body with `filter` and `timeFilter`."""
    since, until = times(body)
    asked = tree(body["filter"])
    return Question(
        organization_id, metrics, since=since, until=until, filter=join("and", (asked, narrower)),
        kinds=kinds_of(asked),
    )  # fmt: skip


def usd(row: Row) -> float | None:
    """Cost in USD; None where no price is known."""
    nano = row["cost"]
    return None if nano is None else cast(int, nano) / 1e9


def iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def said(value: Value) -> str:
    """A value of a dimension as text; what was not told is empty."""
    return "Other" if value is OTHER else "" if value is None else str(value)


# --- one number ---------------------------------------------------------------------------------------------------


class Scalar(Endpoint):
    """One metric over a range; `narrower` is ANDed to the filter."""

    metric = "requests"
    narrower: Node = EVERYTHING

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        total = self.ask(ranged(organization_id, body, self.metric, narrower=self.narrower)).total
        return usd(total) if self.metric == "cost" else total[self.metric]


class TokensPerRequest(Endpoint):
    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        total = self.ask(ranged(organization_id, body, "requests", *TOKENS)).total
        count = cast(int, total["requests"])
        prompt, completion = (cast(int, total[key]) / count if count else None for key in TOKENS)
        return {
            "average_prompt_tokens_per_response": prompt,
            "average_completion_tokens_per_response": completion,
            "average_total_tokens_per_response": None if prompt is None else prompt + cast(float, completion),
        }


class RequestCount(Endpoint):
    keys = (FILTER, Key("isCached", is_boolean, "invalid boolean value"))

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        asked = tree(body["filter"])
        narrower = leaf("cached", "=", body["isCached"]) if "isCached" in body else EVERYTHING
        question = Question(
            organization_id, ("requests",), filter=join("and", (asked, narrower)), kinds=kinds_of(asked)
        )
        return self.ask(question).total["requests"]


# --- over time ----------------------------------------------------------------------------------------------------


class Series(Endpoint):
    """Metrics by bucket, `names` mapping each to its key in an item; buckets without requests are there with zeros."""

    keys: ClassVar[Sequence[Key]] = SERIES_KEYS
    names: ClassVar[Mapping[str, str]] = {"requests": "count"}
    narrower: Node = EVERYTHING

    def question(self, organization_id: int, body: Mapping[str, Any], *metrics: str) -> Question:
        asked = ranged(organization_id, body, *metrics, narrower=self.narrower)
        return replace(asked, dimensions=(TIME,), grain=grain(body), zone=zone(body["timeZoneDifference"]))

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        found = self.ask(self.question(organization_id, body, *self.names))
        rows = {row.at: row for row in found.rows}
        return [{"time": iso(at), **self.item(rows.get(at))} for at in found.times]

    def item(self, row: Row | None) -> dict[str, Any]:
        if row is None:
            return dict.fromkeys(self.names.values(), 0)
        return {name: usd(row) if key == "cost" else row[key] for key, name in self.names.items()}


class StatusSeries(Series):
    """A row per bucket and status."""

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        question = replace(self.question(organization_id, body, "requests"), dimensions=(TIME, "status"), limit=1000)
        rows = self.ask(question).rows
        return [
            {"time": iso(cast(datetime, row.at)), "count": row["requests"], "status": row.values[0]} for row in rows
        ]


QUANTILES = {
    "latency": "duration", "prompt_tokens": "uncached_input_tokens", "completion_tokens": "visible_output_tokens",
    "total_tokens": "total_tokens",
}  # fmt: skip


class Quantiles(Series):
    keys = (*SERIES_KEYS, Key("metric", is_text, "invalid string value", is_required=True))

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        if body["metric"] not in QUANTILES:
            raise Refused("Invalid metric")
        parts = {f"{QUANTILES[body['metric']]}_p{part}": f"p{part}" for part in (75, 90, 95, 99)}
        found = self.ask(self.question(organization_id, body, *parts))
        rows = {row.at: row for row in found.rows}
        return [
            {"time": iso(at), **{name: rows[at][key] if at in rows else 0 for key, name in parts.items()}}
            for at in found.times
        ]


# --- tables -------------------------------------------------------------------------------------------------------


class Table(Endpoint):
    """The values of one dimension, those with the most requests first."""

    keys = TABLE_KEYS
    by = "country"
    metrics: ClassVar[Sequence[str]] = ("requests",)

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        offset, limit = page(body, most=MOST_ROWS)
        asked = ranged(organization_id, body, *self.metrics)
        found = self.ask(replace(asked, dimensions=(self.by,), order="-requests", limit=limit, offset=offset))
        return [self.item(row) for row in found.rows]

    def item(self, row: Row) -> dict[str, Any]:
        return {self.by: said(row.values[0]), "total_requests": row["requests"]}


class Models(Table):
    by = "model"
    metrics = ("requests", "cost", *TOKENS)

    def item(self, row: Row) -> dict[str, Any]:
        prompt, completion = (cast(int, row[key]) for key in TOKENS)
        return {
            "model": said(row.values[0]),
            "total_requests": row["requests"],
            "total_completion_tokens": completion,
            "total_prompt_token": prompt,
            "total_tokens": prompt + completion,
            "cost": usd(row),
        }


class Providers(Table):
    by = "provider"

    def item(self, row: Row) -> dict[str, Any]:
        slug = said(row.values[0])
        known = by_slug(slug)
        return {"provider": known.helicone if known else slug or "CUSTOM", "total_requests": row["requests"]}


# --- ours ---------------------------------------------------------------------------------------------------------


class AnyQuestion(Endpoint):
    """POST /v1/metrics/query: any metrics by any dimensions."""

    def post(self, request: Request, **path: str) -> Response:
        try:
            found = answer(questions.from_json(caller_of(request).organization_id, request.data, now=now()))
        except FilterError as error:
            details = {f"requestBody.{error.path or 'filter'}": {"message": error.message}}
            return Response({"message": "Validation Failed", "details": details}, status=422)
        except (BadQuestion, ParseError) as error:
            return Response({"data": None, "error": str(error)}, status=400)
        except TooSlow as error:
            return Response({"data": None, "error": str(error)}, status=500)
        return Response({"data": _whole(found), "error": None})


def _whole(found: Answer) -> dict[str, Any]:
    return {
        "rows": [_plain(found, row) for row in found.rows],
        "total": _numbers(found.total),
        "groups": found.groups,
        "grain": found.grain,
        "source": list(found.source),
        "is_partial": found.is_partial,
        "since": iso(found.since) if found.since else None,
        "until": iso(found.until) if found.until else None,
        "as_of": iso(found.as_of),
        "notes": list(found.notes),
    }


def _plain(found: Answer, row: Row) -> dict[str, Any]:
    keys = [key for key in found.question.dimensions if key != TIME]
    values = {key: {"is": "other"} if value is OTHER else value for key, value in zip(keys, row.values, strict=True)}
    return {**({TIME: iso(row.at)} if row.at else {}), **values, **_numbers(row)}


def _numbers(row: Row) -> dict[str, Any]:
    """Money in USD, times as text."""
    return {
        key: iso(number) if isinstance(number, datetime)
        else number / 1e9 if METRICS[key].unit == "nano-USD" and number is not None else number
        for key, number in row.numbers.items()
    }  # fmt: skip


THREAT, NOT_200, NO_BATCH = Leaf("threat", "=", True), Leaf("status", "!=", 200), Leaf("model", "!~", "-batch")
