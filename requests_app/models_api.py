"""`GET /v1/models`: the models the price list knows, as OpenAI lists them. Public, and no organisation's own."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from lib.clock import now
from llm.providers import MAKERS
from requests_app.models import ModelPrice


class Models(APIView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def get(self, request: Request) -> Response:
        return Response({"object": "list", "data": listed()})


def listed() -> list[dict[str, Any]]:
    """By id; where several sell a model it is the first maker's, else the first's by name. `created` is when its price
    began, 0 where that is not known."""
    at = now()
    rows = ModelPrice.objects.filter(
        Q(starts_at=None) | Q(starts_at__lte=at), Q(ends_at=None) | Q(ends_at__gt=at),
        organization_id=None, is_current=True,
    ).exclude(model_key="")  # fmt: skip
    found: dict[str, tuple[tuple[int, str], float]] = {}
    for name, provider, starts_at in rows.values_list("model_key", "provider", "starts_at"):
        rank = (MAKERS.index(provider) if provider in MAKERS else len(MAKERS), provider)
        created = starts_at.timestamp() if starts_at else 0
        found[name] = min(found.get(name, (rank, created)), (rank, created))
    return [
        {"id": name, "object": "model", "created": int(created), "owned_by": provider}
        for name, ((_, provider), created) in sorted(found.items())
    ]
