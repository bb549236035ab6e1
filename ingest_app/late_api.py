"""What is said about a request afterwards, in Helicone's words: feedback, scores, properties.

Each is one record down the line, told to be durable; readers see it a moment later. The request may be named by our
id or its client's, and need not be there yet: what is said of it waits.

_Refused(APIException)    400 or 422 with a sentence, 503 where nothing can be kept now
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework.exceptions import APIException
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts_app.permissions import ApiKeyAuthentication, MayWrite, caller_of
from ingest_app import directives, late, records
from ingest_app.directives import cleaned
from ingest_app.records import Amendment
from ingest_app.spool import SpoolUnavailable
from lib.clock import now
from lib.json_parser import AnyJSON
from requests_app.filters import FEEDBACK

MOST_SCORES = 100
NO_UUID = "Invalid requestId: must be a valid UUID"


class _Refused(APIException):
    """In Helicone's validation shape where a field of the body is at fault."""

    def __init__(self, message: str, *, field: str = "", status: int = 422) -> None:
        super().__init__()
        self.status_code = status
        self.body: dict[str, Any] = {"data": None, "error": message}
        if field:
            self.body = {"message": "Validation Failed", "details": {f"requestBody.{field}": {"message": message}}}


class _View(APIView):
    authentication_classes = [ApiKeyAuthentication]
    permission_classes = [MayWrite]
    parser_classes = [AnyJSON]
    renderer_classes = [JSONRenderer]

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, _Refused):
            return Response(exc.body, exc.status_code)
        if isinstance(exc, SpoolUnavailable | TimeoutError):
            text = "This cannot be kept just now: the spool is full or its disk refuses. Send it again later."
            return Response({"data": None, "error": text}, 503, headers={"retry-after": "5"})
        return super().handle_exception(exc)


def _send(
    request: Request, request_id: str, *, scores: Mapping[str, float | None] | None = None,
    properties: Mapping[str, str | None] | None = None,
) -> None:  # fmt: skip
    """Durable when it returns. Raises _Refused, SpoolUnavailable, TimeoutError."""
    fact = Amendment(caller_of(request).organization_id, _identifier(request_id), now(), properties, scores)
    late.send(records.amendment(fact))


def _identifier(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _Refused(NO_UUID, status=400) from None


def _said(request: Request, field: str) -> Any:
    body = request.data
    if not isinstance(body, Mapping):
        raise _Refused("The body must be a JSON object.")
    if field not in body:
        raise _Refused(f"'{field}' is required", field=field)
    return body[field]


def _rating(request: Request) -> float:
    rating = _said(request, "rating")
    if not isinstance(rating, bool):
        raise _Refused("invalid boolean value", field="rating")
    return int(rating)


class Feedback(_View):
    """POST /v1/request/{id}/feedback: {"rating": true}"""

    def post(self, request: Request, request_id: str) -> Response:
        _send(request, request_id, scores={FEEDBACK: _rating(request)})
        return Response({"data": None, "error": None}, 201)


class AnyFeedback(_View):
    """POST /v1/feedback: {"helicone-id": "…", "rating": true}"""

    def post(self, request: Request) -> Response:
        request_id = _said(request, "helicone-id")
        _send(request, str(request_id), scores={FEEDBACK: _rating(request)})
        return Response({"message": "Feedback added successfully.", "helicone_id": request_id})


class Scores(_View):
    """POST /v1/request/{id}/score: {"scores": {"accuracy": 93, "is_safe": true}}; null takes one away."""

    def post(self, request: Request, request_id: str) -> Response:
        said = _said(request, "scores")
        if not isinstance(said, Mapping) or not 0 < len(said) <= MOST_SCORES:
            raise _Refused(f"an object of 1 to {MOST_SCORES} scores is expected", field="scores")
        _send(request, request_id, scores={_score_name(name): _score(name, value) for name, value in said.items()})
        return Response({"data": None, "error": None}, 201)


class Evaluation(_View):
    """POST /v1/evals/{id}: {"name": "accuracy", "score": 93}"""

    def post(self, request: Request, request_id: str) -> Response:
        name = str(_said(request, "name"))
        _send(request, request_id, scores={_score_name(name): _score(name, _said(request, "score"))})
        return Response({"data": None, "error": None})


class Property(_View):
    """PUT /v1/request/{id}/property: {"key": "plan", "value": "gold"}; null takes it away."""

    def put(self, request: Request, request_id: str) -> Response:
        key, value = _said(request, "key"), _said(request, "value")
        if not isinstance(key, str) or not cleaned(key):
            raise _Refused("a name is expected", field="key")
        if not isinstance(value, str | None):
            raise _Refused("text is expected", field="value")
        if directives.is_named(key):
            raise _Refused(f"{key} is no property: it is said with the call itself", field="key")
        kept = None if value is None else cleaned(value)[: directives.MAX_PROPERTY_VALUE]
        _send(request, request_id, properties={cleaned(key).lower()[: directives.MAX_PROPERTY_KEY]: kept})
        return Response({"data": None, "error": None}, 201)


def _score_name(name: str) -> str:
    kept = cleaned(name)
    if not kept or len(kept) > directives.MAX_PROPERTY_KEY:
        raise _Refused(f"a name of 1 to {directives.MAX_PROPERTY_KEY} characters is expected", field="scores")
    return kept


def _score(name: str, value: Any) -> float | None:
    """A boolean is 1 or 0, as Helicone keeps it."""
    if value is None:
        return None
    if not isinstance(value, bool | int | float) or not math.isfinite(value) or abs(value) > records.LARGEST_SCORE:
        raise _Refused(f"{name[:50]!r} must be a number or a boolean", field="scores")
    return float(value) if isinstance(value, float) and not value.is_integer() else int(value)
