"""Providers with an address a region: which one a request means, and its path without saying so.

Bedrock's SDKs name it in their signature, clients of Helicone in the path (`/v1/<region>/model/…`), Vertex in the
resource (`/locations/<region>/`). It becomes part of a host name, so only what looks like a region is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway_app import aws, signing
from gateway_app.routes import Route
from lib.frozen import replace

_REGION: Final = r"[a-z]{2,12}(?:-[a-z]{2,12}){1,3}-?[0-9]{1,2}"
_FIRST: Final = re.compile(rf"/v1/({_REGION})(?=/)")
_LOCATION: Final = re.compile(rf"/locations/({_REGION})/")
_WHOLE: Final = re.compile(_REGION)


def settled(route: Route, headers: Mapping[str, str]) -> Route:
    """The route with its region, where its provider has them; an unreadable one is none."""
    if route.provider is None or not route.provider.region_url:
        return route
    if found := _FIRST.match(route.path):
        return replace(route, region=found[1], path=route.path[found.end() :])
    if found := _LOCATION.search(route.path):
        return replace(route, region=found[1])
    told = headers.get(aws.REGION, "").strip() or (signing.scope_of(headers.get("authorization", "")) or ("",))[0]
    return replace(route, region=told) if _WHOLE.fullmatch(told) else route
