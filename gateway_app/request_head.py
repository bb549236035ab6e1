"""What a request's head says of how it is read, answered and recorded."""

from __future__ import annotations

from collections.abc import Mapping

from gateway_app.errors import Shape
from gateway_app.headers import Framing
from gateway_app.routes import Route
from gateway_app.targets import without_credentials
from ingest_app.directives import Directives


def framing(found: Mapping[str, str]) -> tuple[Framing, bool]:
    """How the client frames its body, and whether there is none."""
    if "transfer-encoding" in found:
        return Framing(is_chunked=True), False
    length = found.get("content-length")
    if length is None:
        return Framing(), True
    return Framing(length=int(length)), int(length) == 0


def shape(route: Route, found: Mapping[str, str]) -> Shape:
    """Anthropic's for who speaks to Anthropic, AWS's for its SDKs, OpenAI's for everybody else."""
    provider = route.provider
    if provider is not None and provider.aws_service:
        return "aws"
    is_anthropic = "anthropic-version" in found or route.path.endswith("/v1/messages")
    is_anthropic = is_anthropic or (provider is not None and provider.slug == "anthropic")
    return "anthropic" if is_anthropic else "openai"


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
    kept = without_credentials(query)
    slug = provider.slug if provider is not None else host or route.unknown_slug
    return slug[:200], f"{base[:500].rstrip('/')}{route.path}" + (f"?{kept}" if kept else "")
