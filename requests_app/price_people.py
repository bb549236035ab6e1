"""The frame of the API of prices: its answers, and who may change costs by it.

    Refused    any 4xx, with a sentence
"""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.models import ApiKey, Membership, Role, User
from accounts_app.permissions import MayRead, MayWrite, caller_of, is_at_least
from lib.json_parser import AnyJSON
from requests_app.price_rules import Author, BadRule


class Refused(APIException):
    """422: the body asks for what cannot be; 409: not now; 404: not there; 403: not by this caller."""

    def __init__(self, message: str, status: int = 422, *, field: str = "") -> None:
        super().__init__(message)
        self.status_code = status
        self.body = {"data": None, "error": message, **({"field": field} if field else {})}


def result(data: Any, status: int = 200) -> Response:
    return Response({"data": data, "error": None}, status=status)


class PriceView(APIView):
    """Reading takes read permission, any other method write permission."""

    parser_classes = (AnyJSON,)

    def get_permissions(self) -> list[BasePermission]:
        return [MayRead() if self.request.method in ("GET", "HEAD", "OPTIONS") else MayWrite()]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, BadRule):
            exc = Refused(str(exc), field=exc.field)
        return Response(exc.body, exc.status_code) if isinstance(exc, Refused) else super().handle_exception(exc)


def number(text: str) -> int:
    """An id out of an address; 0 for what is none."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 19 else 0


def person_behind(request: Request) -> User | None:
    """The member who calls, or who made the key that does."""
    caller = caller_of(request)
    if caller.user_id is not None:
        return User.objects.filter(pk=caller.user_id).first()
    key = ApiKey.objects.filter(pk=caller.key_id or 0).select_related("created_by").first()
    return key.created_by if key else None


def admin_behind(request: Request) -> Author:
    """Raises Refused: prices change what everybody's costs say, so a key is worth what its maker is."""
    organization_id, person = caller_of(request).organization_id, person_behind(request)
    member = Membership.objects.filter(organization_id=organization_id, user=person).first() if person else None
    if member is None or not is_at_least(member.role, Role.ADMIN):
        raise Refused("This takes the role admin, or a key that somebody who has it has made.", 403)
    return Author(organization_id, person)
