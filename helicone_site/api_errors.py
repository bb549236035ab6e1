"""What the API says where a view does not say it itself: every refusal in one shape, `{"data": null, "error": "…"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import MethodNotAllowed
from rest_framework.response import Response
from rest_framework.views import exception_handler


def answer(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """The framework's own answer in our shape; one that has a shape of its own stays as it is."""
    response = exception_handler(error, dict(context))
    if response is None or not isinstance(response.data, Mapping) or set(response.data) != {"detail"}:
        return response
    response.data = {"data": None, "error": _sentence(error, context, str(response.data["detail"]))}
    return response


def _sentence(error: Exception, context: Mapping[str, Any], said: str) -> str:
    if not isinstance(error, MethodNotAllowed):
        return said
    request, view = context["request"], context["view"]
    allowed = ", ".join(method for method in view.allowed_methods if method != "OPTIONS")
    return f"{request.method} is not taken by {request.path}; send {allowed}. docs/api.md lists every endpoint."
