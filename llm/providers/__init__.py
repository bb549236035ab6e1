"""Who is spoken to: one TOML a provider, found by being here, read once and checked.

Every key stands in `Provider`; a file needs `slug` and `name` and whatever it differs in. Helicone's proxies keep only
the origin of a target and append the path as the client sent it: `base_url` is such an origin, without a path.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final
from urllib.parse import urlsplit

from lib.frozen import dataclass

# ValueError
#   └ BadProvider   a TOML says something that cannot be


class BadProvider(ValueError):
    """A provider file that cannot be used, with the sentence that says why."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider as its TOML describes it."""

    slug: str
    """Our id of it, in rows and URLs: lower case, digits, dashes. PROVIDER_URL_<SLUG> replaces its base_url."""
    name: str
    """For people."""
    helicone_name: str = ""
    """Upper-case name in Helicone's API; empty: the slug in upper case."""
    helicone_aliases: tuple[str, ...] = ()
    otel_names: tuple[str, ...] = ()
    """Values of `gen_ai.provider.name` and the older `gen_ai.system`."""
    base_url: str = ""
    """Origin calls go to; empty where every customer has an own host (Azure) or there is none (custom)."""
    region_url: str = ""
    """The same where every region has its own, with `{region}` in its place."""
    aws_service: str = ""
    """Name AWS signatures are made for; calls are signed here with credentials that come beside them."""
    api_path: str = "/v1"
    """Where its OpenAI-shaped (or own) API begins below the origin: for snippets, never added to a client's path."""
    openai_path: str = ""
    """The same of its API of OpenAI's shape, where it has one beside its own."""
    hosts: tuple[str, ...] = ()
    """Host names that are this provider; `*` stands for one or more characters, `:11434` for a port."""
    path_slugs: tuple[str, ...] = ()
    """First path segments meaning it (`/v1/gateway/<slug>/…`, `/<slug>/…`); its slug always does."""
    host_labels: tuple[str, ...] = ()
    """First labels of our own Host meaning it (`oai.example.com`)."""
    dialect: str = "openai_chat"
    """Name of a file in llm/dialects that is spoken here where the bytes do not tell."""
    prices: tuple[str, ...] = ()
    """Price lists asked in this order: ids of genai-prices. Empty: only the operator's own prices."""
    runner_prices: str = ""
    """The list of whom the end of a model's name says to run it: `{runner}` is `novita` for `org/model:novita`."""
    credential_headers: tuple[str, ...] = ("authorization",)
    """Headers that carry the client's key for this provider; never logged."""
    credential_query: str = ""
    """Query parameter that carries it, where there is one; never logged."""

    stored_extras: tuple[str, ...] = ()
    """What must be kept with a stored key of it beside the secret; names of EXTRAS."""

    stream_usage: str = "on_request"
    """Whether its streams tell token counts only on request, `always`, or `never` (where asking would be an error)."""

    def url_in(self, region: str) -> str:
        """The origin calls go to; empty where nobody can know."""
        if not region or not self.region_url:
            return self.base_url
        url = self.region_url.replace("{region}", region)
        return f"{url}.cn" if region.startswith("cn-") and url.endswith(".amazonaws.com") else url

    def price_lists(self, model: str) -> tuple[tuple[str, ...], str]:
        """(price lists to look in, the model's name in them)."""
        bare, _, runner = model.rpartition(":")
        if self.runner_prices and bare:
            return (self.runner_prices.replace("{runner}", runner.lower()),), bare
        return self.prices, model

    @property
    def openai_api(self) -> str | None:
        """Where its API of OpenAI's shape begins; None where it has none."""
        return self.openai_path or (self.api_path if self.dialect == "openai_chat" else None)

    @property
    def helicone(self) -> str:
        return self.helicone_name or self.slug.upper()


MAKERS: Final = ("openai", "anthropic", "google", "mistral", "xai", "deepseek", "cohere")
"""Slugs of who makes models, in the order they are asked of a model several sell."""
EXTRAS: Final = ("base_url", "api_version", "access_key_id", "region", "project")
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_TUPLES: Final = frozenset(field.name for field in fields(Provider) if str(field.type).startswith("tuple"))
_KEYS: Final = frozenset(field.name for field in fields(Provider))


@cache
def all_providers() -> tuple[Provider, ...]:
    """Every provider, by slug."""
    files = [file for file in resources.files(__name__).iterdir() if file.name.endswith(".toml")]
    found = [read(file.name, file.read_text(encoding="utf-8")) for file in files]
    _check_unique(found)
    return tuple(sorted(found, key=lambda provider: provider.slug))


def read(file: str, text: str) -> Provider:
    """One TOML as a Provider. Raises BadProvider naming the file and what to change."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadProvider(f"{file} is not TOML: {error}") from error
    if unknown := given.keys() - _KEYS:
        raise BadProvider(f"{file} has keys nobody reads: {', '.join(sorted(unknown))}")
    if not _SLUG.fullmatch(str(given.get("slug", ""))) or not given.get("name"):
        raise BadProvider(f"{file} needs a slug (lower case, digits, dashes) and a name")
    provider = Provider(**{key: _typed(file, key, value) for key, value in given.items()})
    _check_url(file, provider)
    return provider


def _typed(file: str, key: str, value: Any) -> Any:
    if key in _TUPLES:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadProvider(f"{file}: {key} must be a list of texts")
        return tuple(value)
    if not isinstance(value, str):
        raise BadProvider(f"{file}: {key} must be a text")
    return value


def _check_url(file: str, provider: Provider) -> None:
    for key, url in (("base_url", provider.base_url), ("region_url", provider.region_url)):
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path):
            raise BadProvider(f"{file}: {key} must be an origin such as https://api.example.com, without a path")
    if provider.stream_usage not in ("on_request", "always", "never"):
        raise BadProvider(f"{file}: stream_usage must be on_request, always or never")
    if unknown := set(provider.stored_extras) - set(EXTRAS):
        raise BadProvider(f"{file}: stored_extras has names nobody reads: {', '.join(sorted(unknown))}")


def _check_unique(found: Iterable[Provider]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for provider in found:
        names = [("slug", provider.slug), *(("host", host) for host in provider.hosts)]
        names += [("path slug", slug) for slug in {provider.slug, *provider.path_slugs}]
        names += [("host label", label) for label in provider.host_labels]
        for name in names:
            if name in taken:
                raise BadProvider(f"{provider.slug} and {taken[name]} both claim the {name[0]} {name[1]}")
            taken[name] = provider.slug


# --- looking one up ---------------------------------------------------------------------------------------------------


def by_slug(slug: str) -> Provider | None:
    return _slugs().get(slug)


def by_path_slug(slug: str) -> Provider | None:
    """The provider a path segment names, in any case."""
    return _path_slugs().get(slug.lower())


def by_host_label(label: str) -> Provider | None:
    """The provider the first label of our own Host names."""
    return _host_labels().get(label.lower())


def by_helicone_name(name: str) -> Provider | None:
    return _helicone_names().get(name.upper())


def by_otel_name(name: str) -> Provider | None:
    return _otel_names().get(name.lower())


@lru_cache(maxsize=4096)
def by_host(host: str) -> Provider | None:
    """The provider a target host belongs to: exact names first, then the longest pattern. A port matters only to a
    pattern that names one, and to no other."""
    whole = host.lower().rstrip(".")
    name = _without_port(whole)
    for pattern, is_match, provider in _host_patterns():
        if pattern == name or is_match(name) or (pattern.startswith("*:") and is_match(whole)):
            return provider
    return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


@cache
def _host_patterns() -> tuple[tuple[str, Callable[[str], Any], Provider], ...]:
    entries = [(host, provider) for provider in all_providers() for host in provider.hosts]
    entries.sort(key=lambda entry: (not entry[0].startswith("*:"), "*" in entry[0], -len(entry[0])))
    return tuple((host, _pattern(host).fullmatch, provider) for host, provider in entries)


def _pattern(host: str) -> re.Pattern[str]:
    return re.compile(".+".join(re.escape(piece) for piece in host.split("*")))


def _index(names: Callable[[Provider], Iterable[str]]) -> Mapping[str, Provider]:
    """Name to provider; where two have a name, the first by slug stands."""
    found: dict[str, Provider] = {}
    for provider in all_providers():
        for name in names(provider):
            found.setdefault(name, provider)
    return found


@cache
def _slugs() -> Mapping[str, Provider]:
    return _index(lambda provider: (provider.slug,))


@cache
def _path_slugs() -> Mapping[str, Provider]:
    return _index(lambda provider: (provider.slug, *provider.path_slugs))


@cache
def _host_labels() -> Mapping[str, Provider]:
    return _index(lambda provider: provider.host_labels)


@cache
def _helicone_names() -> Mapping[str, Provider]:
    return _index(lambda provider: (provider.helicone, *provider.helicone_aliases))


@cache
def _otel_names() -> Mapping[str, Provider]:
    return _index(lambda provider: (*provider.otel_names, provider.slug))
