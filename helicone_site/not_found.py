"""What is said at an address that is nobody's, and where we failed: a page to readers, JSON to clients of the API."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import defaults

API = "/v1/"


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if not request.path.startswith(API):
        return defaults.page_not_found(request, exception)
    sentence = f"{request.method} {request.path} is not an endpoint here. docs/api.md lists those there are."
    return JsonResponse({"data": None, "error": sentence}, status=404)


def broken(request: HttpRequest) -> HttpResponseBase:
    """An error nobody expected."""
    if not request.path.startswith(API):
        return defaults.server_error(request)
    sentence = "The server met an error it did not expect; its log says which."
    return JsonResponse({"data": None, "error": sentence}, status=500)
