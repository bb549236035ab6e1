"""Whose is a path? One table, read once: the gateway's, a log door's, `web`'s, or nobody's but ours.

A key of ours standing in the path is taken out first. Then, in this order: the table of prefixes; a provider named by
the path (`/v1/gateway/<slug>/…`, `/<slug>/…`); by the first label of the host; bare API paths, decided by what the
request brings. Everything else is a page. Whether two spellings are the same is decided on the decoded path; what is
sent on stays as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import unquote

from accounts_app.keys import is_helicone_key, looks_like_key, unprefixed
from gateway_app.errors import REGION_MISSING, ProviderKeyMissing, ProviderUnknown, RegionMissing, TargetMissing
from gateway_app.lending import NOBODY, Lender
from ingest_app import otlp, uploads
from ingest_app.directives import Directives
from ingest_app.envelopes import BY_PATH
from lib.frozen import dataclass, replace
from llm import providers
from llm.providers import Provider


class Whose(StrEnum):
    GATEWAY = "gateway"
    LOG = "log"
    WEB = "web"
    HEALTH = "health"


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is what is sent on, as written, key and provider prefix taken out."""

    whose: Whose
    path: str
    path_key: str | None = None
    provider: Provider | None = None
    """Whom the path or the host names."""
    region: str = ""
    """Of a provider with an address a region."""
    is_client_target: bool = False
    """Of the forms that need a target named by the client."""
    is_ai_gateway: bool = False
    """Of the forms that use provider keys stored here."""
    unknown_slug: str = ""
    """`/v1/gateway/<this>` names nobody."""


HEALTH_PATHS = ("/healthz", "/healthcheck", "/api/public/health")

LOG_PATHS = tuple(sorted({*BY_PATH, *otlp.PATHS, uploads.PATH}))
"""Exact paths, as the posting formats and OTLP declare them."""

WEB_PREFIXES = (
    "/v1/agent", "/v1/alerts", "/v1/api-keys", "/v1/budgets", "/v1/credits", "/v1/customer", "/v1/dashboard",
    "/v1/dataset",
    "/v1/evals", "/v1/evaluator", "/v1/experiment", "/v1/export", "/v1/feedback", "/v1/filter", "/v1/helicone-dataset",
    "/v1/helicone-sql", "/v1/integration", "/v1/key", "/v1/log", "/v1/metrics", "/v1/organization", "/v1/pi",
    "/v1/playground", "/v1/price", "/v1/prompt", "/v1/prompt-2025", "/v1/prompts", "/v1/property", "/v1/providers",
    "/v1/public", "/v1/rate-limits", "/v1/request", "/v1/request-body", "/v1/router", "/v1/session",
    "/v1/session-guard", "/v1/stripe", "/v1/test", "/v1/trace",
    "/v1/reprice", "/v1/traces", "/v1/user", "/v1/vault", "/v1/webhooks", "/v1/wrapped", "/v1/models/multimodal",
    "/v2/experiment", "/v2/prompt-2025", "/ws", "/requests", "/sessions", "/traces", "/settings", "/login", "/logout",
    "/password", "/invitations", "/organizations", "/get-started", "/dashboard", "/users", "/properties", "/models",
    "/budgets", "/rate-limits", "/providers", "/unpriced", "/system", "/admin", "/static", "/favicon.ico",
)  # fmt: skip
"""The REST API and the pages: never a provider's, whatever a request brings."""

BARE_PREFIXES = (
    "/v1", "/v1alpha", "/v1beta", "/v1beta1", "/v2", "/chat", "/completions", "/responses", "/embeddings", "/messages",
    "/images", "/audio", "/moderations", "/files", "/batches", "/openai", "/model",
)  # fmt: skip
"""API paths that name no provider: a base URL of ours was put where a provider's stood."""

CLIENT_TARGET_SLUGS = frozenset({"gateway", "custom"})
AI_GATEWAY_SLUGS = frozenset({"ai", "router"})
ALSO_API_PATHS = frozenset({"openai", "anthropic"})
"""Slugs that real APIs have in their own paths (`https://api.groq.com/openai/v1`): not taken off where a client names
its target."""

ROOTS = frozenset({"v1", "v1alpha", "v1beta", "v1beta1", "v2", "openai", "model"})
"""First words of a whole API path; before any other the `/v1` is missing."""

MODEL_APIS = frozenset({
    "assistants", "audio", "batches", "chat", "classify", "complete", "completions", "containers", "conversations",
    "detokenize", "edits", "embed", "embeddings", "engines", "evals", "experimental", "files", "fim", "fine-tunes",
    "fine_tuning", "generate", "images", "messages", "models", "moderations", "ocr", "predictions", "rank", "ranking",
    "realtime", "rerank", "responses", "score", "skills", "speech-to-text", "summarize", "systems", "text-to-speech",
    "threads", "tokenize", "uploads", "vector_stores", "video", "videos", "organizations", "gateway",
})  # fmt: skip
"""First words after `/v1` of APIs of models. With a key of ours in the provider's place any other word is a mistaken
path of our own API."""

AI_MODELS = frozenset({"/ai/v1/models", "/ai/models"})
"""The AI gateway has no provider of its own to ask for a list: ours is answered."""
_EXACT = {**dict.fromkeys(HEALTH_PATHS, Whose.HEALTH), **dict.fromkeys(LOG_PATHS, Whose.LOG)}
_WEB = frozenset(WEB_PREFIXES)
_BARE = frozenset(BARE_PREFIXES)


def resolve(
    raw_path: str, *, headers: Mapping[str, str], host: str = "", own_host: str = "", has_target: bool = False,
    target: Provider | None = None,
) -> Route:  # fmt: skip
    """Whose the request is. Pure; never raises. `host` and `own_host` without port, `headers` lower-case.

    `has_target`: the client names a target by a directive; `target`: the provider that is, where it is one we know.
    """
    path, path_key = _without_key(raw_path)
    words = _words(path)
    decoded = "/" + "/".join(words)
    if (owner := _EXACT.get(decoded.rstrip("/") or "/")) is not None:
        return Route(owner, path, path_key)
    is_list = decoded.rstrip("/") == "/v1/models" and _wants_our_models(headers, path_key, has_target=has_target)
    if is_list or decoded.rstrip("/") in AI_MODELS:
        return Route(Whose.WEB, path, path_key)
    if _has_prefix(words, _WEB):
        return Route(Whose.WEB, path, path_key)
    route = (
        _by_gateway_path(path, words, has_target=has_target, target=target)
        or _by_host(path, host, own_host)
        or (None if has_target and words and _is_of_target(words[0], target) else _by_first_word(path, words))
        or _bare(path, words, headers, has_target=has_target)
    )
    return replace(route, path_key=path_key) if path_key else route


def _without_key(path: str) -> tuple[str, str | None]:
    """The path without the segment that is a key of ours."""
    path = "/" + path.lstrip("/")
    if "k-helicone" not in path:
        return path, None
    segments = path.split("/")
    for place, segment in enumerate(segments):
        if is_helicone_key(segment):
            return "/".join((*segments[:place], *segments[place + 1 :])) or "/", segment
    return path, None


def _words(path: str) -> list[str]:
    """The decoded segments; empty for `/`."""
    if path == "/":
        return []
    words = path.split("/")[1:]
    return [unquote(word) for word in words] if "%" in path else words


def _has_prefix(words: list[str], prefixes: frozenset[str]) -> bool:
    prefix = ""
    for word in words[:3]:
        prefix = f"{prefix}/{word}"
        if prefix in prefixes:
            return True
    return False


def _rest(path: str, count: int) -> str:
    """The path after its first `count` segments."""
    pieces = path.split("/", count + 1)
    return "/" + pieces[count + 1] if len(pieces) > count + 1 else "/"


def _by_gateway_path(
    path: str, words: list[str], *, has_target: bool, target: Provider | None
) -> Route | None:
    """`/v1/gateway/<slug>/…`; with a target named, also `/v1/gateway/<API path>`."""
    if words[:2] != ["v1", "gateway"]:
        return None
    slug = words[2] if len(words) > 2 else ""
    if words[2:4] == ["openai", "deployments"] or _is_anothers(slug, target):
        slug = ""
    if (route := _by_slug(slug, _rest(path, 3))) is not None:
        return route
    if has_target:
        return Route(Whose.GATEWAY, _rest(path, 2), is_client_target=True)
    return Route(Whose.GATEWAY, _rest(path, 3), unknown_slug=slug or "(nothing)")


def _by_first_word(path: str, words: list[str]) -> Route | None:
    """`/<slug>/…`, with something behind it; Azure's own paths begin with a word that is a slug too."""
    if len(words) < 2 or words[:2] == ["openai", "deployments"]:
        return None
    return _by_slug(words[0], _rest(path, 1))


def _is_of_target(word: str, target: Provider | None) -> bool:
    """Whether a first word belongs to the path of the target a client names, and is no name for the target."""
    return word in ALSO_API_PATHS or _is_anothers(word, target)


def _is_anothers(word: str, target: Provider | None) -> bool:
    """Whether a word names another provider than the target: `https://api.groq.com/openai/v1` has such a word in its
    path, and `https://router.huggingface.co/together/v1`. One without an address of its own can only be called by its
    name and a target."""
    named = providers.by_path_slug(word)
    return target is not None and named is not None and named.slug == word != target.slug and bool(named.base_url)


def _by_slug(slug: str, rest: str) -> Route | None:
    slug = slug.lower()
    if slug in AI_GATEWAY_SLUGS:
        return Route(Whose.GATEWAY, _rest(rest, 1) if slug == "router" else rest, is_ai_gateway=True)
    if slug in CLIENT_TARGET_SLUGS:
        return Route(Whose.GATEWAY, rest, is_client_target=True)
    provider = providers.by_path_slug(slug)
    return Route(Whose.GATEWAY, rest, provider=provider) if provider else None


def _by_host(path: str, host: str, own_host: str) -> Route | None:
    """`oai.example.com`: the first label names a provider, unless that is the name our own pages live under."""
    label, _, rest = host.partition(".")
    if not rest or host == own_host or label.isdigit():
        return None
    provider = providers.by_host_label(label)
    return Route(Whose.GATEWAY, path, provider=provider) if provider else None


def _bare(path: str, words: list[str], headers: Mapping[str, str], *, has_target: bool) -> Route:
    """An API path under our own name, by what the request brings; a page where it is none."""
    if has_target:
        return Route(Whose.GATEWAY, path, is_client_target=True)
    if not _has_prefix(words, _BARE):
        return Route(Whose.WEB, path)
    is_ours = "helicone-auth" not in headers and is_ai_gateway_key(headers) and words[0] != "model"
    if is_ours and words[0] == "v1" and "".join(words[1:2]) not in MODEL_APIS:
        return Route(Whose.WEB, path)
    provider = _spoken(path, words, headers)
    whole = path if words[0] in ROOTS else f"/v1{path}"
    return Route(Whose.GATEWAY, whole, provider=provider, is_ai_gateway=is_ours)


def _spoken(path: str, words: list[str], headers: Mapping[str, str]) -> Provider | None:
    """The provider whose API a bare request speaks."""
    is_messages = words[0] == "messages" or words[:2] in (["v1", "messages"], ["v1", "complete"])
    if is_messages or "anthropic-version" in headers:
        return providers.by_path_slug("anthropic")
    if words[0] == "openai":
        return providers.by_path_slug("azure")
    if words[0] == "model":
        return providers.by_path_slug("bedrock")
    if words[:2] == ["v1", "projects"] or words[:2] == ["v1beta1", "projects"]:
        return providers.by_path_slug("vertex")
    if words[0] in ("v1beta", "v1alpha") or ":generateContent" in path or ":streamGenerateContent" in path:
        return providers.by_path_slug("google")
    return providers.by_path_slug("oai")


def is_ai_gateway_key(headers: Mapping[str, str]) -> bool:
    """Whether a key of ours stands where the provider's belongs, and nothing else there."""
    return any(looks_like_key(unprefixed(headers.get(name, ""))) and is_helicone_key(unprefixed(headers[name]))
               for name in ("authorization", "x-api-key", "api-key") if name in headers)


def _wants_our_models(headers: Mapping[str, str], path_key: str | None, *, has_target: bool) -> bool:
    """`/v1/models`: the provider's list for who brings a provider's key, ours for everybody else."""
    if has_target or "helicone-auth" in headers or path_key or "anthropic-version" in headers:
        return False
    return is_ai_gateway_key(headers) or not any(name in headers for name in ("authorization", "x-api-key", "api-key"))


def target_url(
    route: Route, directives: Directives, provider_urls: Mapping[str, str], lender: Lender = NOBODY
) -> tuple[str, str, bool]:
    """(provider slug or "", base URL, whether a client named it). Raises TargetMissing, ProviderUnknown, and so on."""
    if route.unknown_slug:
        raise ProviderUnknown(
            f"No provider is called {route.unknown_slug[:50]!r} here. For one not described, send its address in "
            f"Helicone-Target-URL and call /v1/gateway/custom/<path>."
        )
    named = _client_target(route, directives)
    if named:
        return named[0], provider_urls.get(named[0]) or named[1], named[0] not in provider_urls
    slug = route.provider.slug if route.provider is not None else ""
    if route.is_ai_gateway and not lender.has(slug):
        raise ProviderKeyMissing(AI_GATEWAY_NEEDS)
    if url := provider_urls.get(slug) or lender.base_url(slug):
        return slug, url, False
    if route.provider is not None and route.provider.region_url and not route.provider.url_in(route.region):
        raise RegionMissing(REGION_MISSING)
    if route.provider is None or not route.provider.url_in(route.region):
        raise TargetMissing(
            "Nobody said whom to call. Send the provider's address in the header Helicone-Target-URL, such as "
            "https://api.example.com, or use a path such as /v1/gateway/oai/v1/chat/completions."
        )
    return route.provider.slug, route.provider.url_in(route.region), False


AI_GATEWAY_NEEDS = (
    "A Helicone key stands where the provider's key belongs, and no provider key is stored here for it. Store one "
    "under Settings, Provider keys; or send your Helicone key in 'Helicone-Auth: Bearer sk-helicone-...' and the "
    "provider's own in 'Authorization: Bearer ...' (Anthropic: 'x-api-key')."
)


def _client_target(route: Route, directives: Directives) -> tuple[str, str] | None:
    """(slug or "", URL) of the target the client names; of two the API base, as with Helicone."""
    url = directives.openai_api_base or directives.target_url
    if not url:
        return None
    known = target_provider(directives)
    if known is None and route.provider is not None and not route.provider.base_url:
        known = route.provider
    return (known.slug if known else "", url)


def target_provider(directives: Directives) -> Provider | None:
    """The provider whose host the client names as its target, where we know it."""
    url = directives.openai_api_base or directives.target_url or ""
    return providers.by_host(url.partition("://")[2].partition("/")[0].rpartition("@")[2])
