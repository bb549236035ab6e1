"""Helicone's endpoints of properties and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from rest_framework.permissions import BasePermission

from accounts_app.permissions import MayWrite
from metrics_app import hiding, queries_names, queries_scores
from metrics_app.api import Endpoint, iso, ranged, said, usd
from metrics_app.api_bodies import INCREMENT, TIMES, ZONE, Invalid, Key, grain, is_anything, is_text, zone
from metrics_app.catalog import OTHER, PROPERTY, TIME
from metrics_app.question import Row
from requests_app.long_names import counted_name

MOST_VALUES, MOST_KEYS, VALUES_AT_ONCE, TOP = 25, 1_000, 100, 10


class Properties(Endpoint):
    """POST /v1/property/query: the keys there are, the commonest first, without the hidden ones."""

    keys = ()

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        return [{"property": key} for key in hiding.shown_keys(organization_id, limit=MOST_KEYS)]


class HiddenProperties(Endpoint):
    """POST /v1/property/hidden/query."""

    keys = ()

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        return [{"property": key} for key in hiding.hidden(organization_id)]


class HideProperty(Endpoint):
    """POST /v1/property/hide: out of the list of keys; its values stay, and are counted as before."""

    permission_classes: Sequence[type[BasePermission]] = (MayWrite,)
    keys = (Key("key", is_text, "invalid string value", is_required=True),)

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        hiding.hide(organization_id, _named(body))
        return {"ok": True}


class RestoreProperty(HideProperty):
    """POST /v1/property/restore."""

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        hiding.restore(organization_id, _named(body))
        return {"ok": True}


def _named(body: Mapping[str, Any]) -> str:
    """The key that is meant. Raises Invalid."""
    if not body["key"]:
        raise Invalid({"requestBody.key": {"message": "a property has a name", "value": ""}})
    return str(body["key"])


class PropertyValues(Endpoint):
    """POST /v1/property/{propertyKey}/search."""

    keys = (Key("searchTerm", is_text, "invalid string value", is_required=True),)

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        dim = f"p:{counted_name(path['property_key'].lower())}"
        return queries_names.names(organization_id, dim, term=body["searchTerm"], limit=MOST_VALUES)


class PropertyOverTime(Endpoint):
    """POST /v1/property/properties/over-time: requests and cost of the values of one property."""

    keys = (
        TIMES, Key("userFilter", is_anything, is_required=True), INCREMENT, ZONE,
        Key("propertyKey", is_text, "invalid string value", is_required=True),
    )  # fmt: skip

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        if not body["propertyKey"]:
            raise Invalid({"requestBody.propertyKey": {"message": "a property has a name", "value": ""}})
        asked = ranged(organization_id, {**body, "filter": body["userFilter"]}, "requests", "cost")
        question = replace(asked, dimensions=(TIME, PROPERTY + body["propertyKey"].lower()), grain=grain(body),
                           zone=zone(body["timeZoneDifference"]), limit=VALUES_AT_ONCE)  # fmt: skip
        return [
            {"property": said(row.values[0]), "total_cost": usd(row), "request_count": row["requests"],
             "created_at_trunc": iso(cast(datetime, row.at))}
            for row in self.ask(question).rows if row.values[0] is not None
        ]  # fmt: skip


class _Top(Endpoint):
    """The ten largest values of a property, and what all others come to."""

    keys = (TIMES,)
    metric, name = "cost", "cost"

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        asked = ranged(organization_id, {**body, "filter": "all"}, self.metric, "requests")
        # One more: "absent" may be among them.
        question = replace(
            asked, dimensions=(PROPERTY + path["property_key"].lower(),), order=f"-{self.metric}", limit=TOP + 1,
            has_rest=True,
        )  # fmt: skip
        rows = [row for row in self.ask(question).rows if row.values[0] is not None]
        named = [row for row in rows if row.values[0] is not OTHER]
        others = [self.value(row) or 0 for row in (*named[TOP:], *(row for row in rows if row.values[0] is OTHER))]
        top = [{"value": said(row.values[0]), self.name: self.value(row)} for row in named[:TOP]]
        return [*top, {"value": "Other", self.name: sum(others)}] if others else top

    def value(self, row: Row) -> Any:
        return usd(row) if self.metric == "cost" else row[self.metric]


class TopCosts(_Top):
    pass


class TopRequests(_Top):
    metric, name = "requests", "count"


# --- scores -------------------------------------------------------------------------------------------------------


class ScoresOverTime(Endpoint):
    """POST /v1/dashboard/scores/query: the average of each score by step; Helicone calls it a sum."""

    keys = (TIMES, Key("userFilter", is_anything, is_required=True), replace(INCREMENT, is_required=True), ZONE)

    def data(self, organization_id: int, body: Mapping[str, Any], **path: str) -> Any:
        asked = ranged(organization_id, {**body, "filter": body["userFilter"]}, "requests")
        found = queries_scores.over_time(
            replace(asked, dimensions=(TIME,), grain=grain(body), zone=zone(body["timeZoneDifference"]))
        )
        self.notes += found.notes
        return [
            {"score_key": one.key, "score_sum": one.average, "created_at_trunc": iso(one.at)} for one in found.scores
        ]
