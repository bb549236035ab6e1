"""What a request's head says of how it is read, answered and recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from gateway_app.errors import Shape
from gateway_app.headers import Framing
from gateway_app.routes import Route
from gateway_app.targets import without_credentials
from ingest_app.directives import Directives

_GOOGLES: Final = ("google", "google-vertex")
_OF_GEMINI: Final = re.compile(r":(?:stream)?generatecontent$|:(?:counttokens|(?:batch)?embedcontents?)$")
_OF_OPENAI: Final = re.compile(r"/openai/|/chat/completions$|/embeddings$")
"""Google's doors of OpenAI's shape."""
_OF_BEDROCK: Final = re.compile(r"^(?:/v1/[a-z]{2,4}(?:-[a-z]+)+-\d)?/model/[^/]+/(?:converse|invoke)(?:-[a-z-]+)?$")


def framing(found: Mapping[str, str]) -> tuple[Framing, bool]:
    """How the client frames its body, and whether there is none."""
    if "transfer-encoding" in found:
        return Framing(is_chunked=True), False
    length = found.get("content-length")
    if length is None:
        return Framing(), True
    return Framing(length=int(length)), int(length) == 0


def shape(route: Route, found: Mapping[str, str]) -> Shape:
    """Whose error its client reads: that of Anthropic, Google or AWS for who speaks to them, else of OpenAI."""
    provider, path = route.provider, route.path.lower()
    if (provider is not None and provider.aws_service) or _OF_BEDROCK.search(path):
        return "aws"
    is_anthropic = "anthropic-version" in found or path.endswith("/v1/messages") or "/publishers/anthropic/" in path
    if is_anthropic or (provider is not None and provider.slug == "anthropic"):
        return "anthropic"
    is_google = provider is not None and provider.slug in _GOOGLES and not _OF_OPENAI.search(path)
    return "google" if is_google or _OF_GEMINI.search(path) else "openai"


def country(found: Mapping[str, str]) -> str | None:
    """Two letters a proxy in front has found out; XX and T1 (Tor) say nothing."""
    code = found.get("cf-ipcountry", "").upper()
    return code if len(code) == 2 and code.isalpha() and code != "XX" else None


def meant(route: Route, told: Directives, query: str) -> tuple[str, str]:
    """(provider's slug or name, URL without credentials) of a request that went nowhere, as far as it says."""
    named = (told.openai_api_base or told.target_url or "").strip()
    scheme, _, rest = named.partition("://")
    host = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    provider = route.provider
    base = f"{scheme}://{host}" if host else provider.url_in(route.region) if provider is not None else ""
    base = base if _is_url(base) else ""
    kept = without_credentials(query)
    slug = provider.slug if provider is not None else host or route.unknown_slug
    return slug[:200], f"{base[:500].rstrip('/')}{route.path}" + (f"?{kept}" if kept else "")


def _is_url(text: str) -> bool:
    try:
        urlsplit(text)
    except ValueError:
        return False
    return True
