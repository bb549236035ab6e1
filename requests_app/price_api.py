"""An organisation's own prices as a REST API: `/v1/price`. Reading takes any key; writing, one an admin has made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from accounts_app.permissions import MayRead, caller_of
from llm.pricing import PriceRow
from requests_app import price_rules
from requests_app.models import ModelPrice
from requests_app.price_people import PriceView, Refused, admin_behind, number, result
from requests_app.price_rules import Author, Rule


def _told(row: ModelPrice | PriceRow) -> dict[str, Any]:
    return {
        "id": str(row.id), "name": row.model_key, "provider": row.provider, "match": row.match, "prices": row.prices,
        "startsAt": row.starts_at.isoformat() if row.starts_at else None,
        "endsAt": row.ends_at.isoformat() if row.ends_at else None,
        "scope": "everybody" if row.organization_id is None else "organization", "source": row.source,
    }  # fmt: skip


def _rule(request: Request, author: Author, *, before: ModelPrice | None = None) -> Rule:
    data = request.data
    if not isinstance(data, Mapping):
        raise Refused("The body is a JSON object.", field="")
    known = {"name", "provider", "match", "prices", "startsAt", "endsAt"}
    if strange := sorted(str(key) for key in data if key not in known):
        raise Refused(f"There is no field {strange[0]}. There are: {', '.join(sorted(known))}.", field=strange[0])
    said = {**(_told(before) if before else {}), **data}
    return Rule(
        author.organization_id, _text(said, "name"), _text(said, "provider"), _object(said, "match"),
        {key: _as_text(value) for key, value in _object(said, "prices").items()},
        _moment(said, "startsAt"), _moment(said, "endsAt"),
    )  # fmt: skip


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _text(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key, "")
    if not isinstance(value, str):
        raise Refused(f"{key}: a text.", field=key)
    return value


def _object(said: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = said.get(key)
    if not isinstance(value, dict):
        raise Refused(f"{key}: a JSON object.", field=key)
    return value


def _moment(said: Mapping[str, Any], key: str) -> datetime | None:
    value = said.get(key)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(f"{key}: a time as 2026-07-01T00:00:00Z, or null.", field=key) from error


class _Prices(PriceView):
    def one(self, request: Request, price_id: str) -> ModelPrice:
        found = price_rules.one(caller_of(request).organization_id, number(price_id))
        if found is None:
            raise Refused("There is no price with this id, or it has been changed since.", 404)
        return found

    def own(self, request: Request, price_id: str) -> ModelPrice:
        found = self.one(request, price_id)
        if found.organization_id is None:
            raise Refused("This price is everybody's: who runs this server changes it on the page.", 403)
        return found


class Prices(_Prices):
    """GET, POST /v1/price"""

    def get(self, request: Request) -> Response:
        rows = price_rules.current(caller_of(request).organization_id)
        return result([_told(row) for row in rows[: price_rules.MOST_RULES]])

    def post(self, request: Request) -> Response:
        author = admin_behind(request)
        return result(_told(price_rules.add(author, _rule(request, author))), 201)


class OnePrice(_Prices):
    """GET, PATCH, DELETE /v1/price/{id}"""

    def get(self, request: Request, price_id: str) -> Response:
        found = self.one(request, price_id)
        past = [{**_told(row), "isCurrent": row.is_current} for row in price_rules.history(found)]
        return result({**_told(found), "history": past})

    def patch(self, request: Request, price_id: str) -> Response:
        author, found = admin_behind(request), self.own(request, price_id)
        return result(_told(price_rules.change(author, found, _rule(request, author, before=found))))

    def delete(self, request: Request, price_id: str) -> Response:
        author = admin_behind(request)
        price_rules.remove(author, self.own(request, price_id))
        return result(None)


class PriceTest(PriceView):
    """POST /v1/price/test; asks only, so reading is enough."""

    def get_permissions(self) -> list[BasePermission]:
        return [MayRead()]

    def post(self, request: Request) -> Response:
        said = request.data if isinstance(request.data, Mapping) else {}
        model = _text(said, "model")
        if not model:
            raise Refused("model: the name of a model.", field="model")
        organization_id = caller_of(request).organization_id
        found = price_rules.find(organization_id, _text(said, "provider").lower(), model, at=_moment(said, "at"))
        return result({
            "price": _told(found.row) if found.row else None, "beaten": [_told(row) for row in found.beaten],
        })
