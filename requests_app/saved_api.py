"""Saved filters as Helicone's REST API: `/v1/filter`. What is saved here is shared by the organisation."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.permissions import MayRead, MayWrite, caller_of
from lib.json_parser import AnyJSON
from requests_app import saved
from requests_app.models import SavedFilter

MOST_FILTERS = 1_000


def _result(data: Any, status: int = 200) -> Response:
    return Response({"data": data, "error": None}, status=status)


def _told(found: SavedFilter) -> dict[str, Any]:
    return {
        "id": str(found.pk), "name": found.name, "filter": saved.helicone_tree(found),
        "createdAt": found.created_at.isoformat(),
    }  # fmt: skip


def _shared(request: Request) -> QuerySet[SavedFilter]:
    return SavedFilter.objects.filter(organization_id=caller_of(request).organization_id, is_shared=True)


def _one(request: Request, filter_id: str) -> SavedFilter:
    found = _shared(request).filter(pk=int(filter_id)).first() if filter_id.isdecimal() else None
    if found is None:
        raise NotFound("There is no filter with this id.")
    return found


def _name(data: Any) -> str:
    name = data.get("name") if isinstance(data, dict) else None
    if not isinstance(name, str) or not name.strip() or len(name) > saved.LONGEST_NAME or "\x00" in name:
        raise ParseError(f"name: a text of at most {saved.LONGEST_NAME} characters")
    return name.strip()


def _tree(data: Any) -> Any:
    tree = data.get("filter") if isinstance(data, dict) else None
    if (tree != "all" and not isinstance(tree, dict)) or "\\u0000" in json.dumps(tree):
        raise ParseError('filter: a filter as JSON, or "all"')
    return tree


class _Filters(APIView):
    parser_classes = (AnyJSON,)

    def get_permissions(self) -> list[BasePermission]:
        return [MayRead() if self.request.method in ("GET", "HEAD", "OPTIONS") else MayWrite()]


class SavedFilters(_Filters):
    """GET, POST /v1/filter"""

    def get(self, request: Request) -> Response:
        return _result([_told(found) for found in _shared(request).order_by("-created_at")[:MOST_FILTERS]])

    def post(self, request: Request) -> Response:
        caller = caller_of(request)
        made = SavedFilter.objects.create(
            organization_id=caller.organization_id, name=_name(request.data), tree=_tree(request.data), query="",
            created_by_id=caller.user_id,
        )  # fmt: skip
        return _result({"id": str(made.pk)}, 201)


class OneSavedFilter(_Filters):
    """GET, PATCH, DELETE /v1/filter/{id}"""

    def get(self, request: Request, filter_id: str) -> Response:
        return _result(_told(_one(request, filter_id)))

    def patch(self, request: Request, filter_id: str) -> Response:
        found = _one(request, filter_id)
        if not isinstance(request.data, dict):
            raise ParseError("an object with a name, a filter or both is expected")
        if "name" in request.data:
            found.name = _name(request.data)
        if "filter" in request.data:
            found.tree, found.query = _tree(request.data), ""
        found.save()
        return _result(_told(found))

    def delete(self, request: Request, filter_id: str) -> Response:
        _one(request, filter_id).delete()
        return _result(None)
