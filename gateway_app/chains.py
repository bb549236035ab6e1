"""Who is to be called, and who after that: from a request and what its organization has stored.

    Helicone-Fallbacks with targets ▸ Helicone-Route ▸ Helicone-Fallbacks with models ▸ a list in `model`
        ▸ a stored route for this model ▸ the request's own target

A candidate that cannot be called is left out, and the reason told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

import orjson

from accounts_app.snapshot import Snapshot
from gateway_app import ai_words, fallbacks, headers, lending, model_lists, models_known, online, retries, stored_routes
from gateway_app.ai_words import Words
from gateway_app.calling import Skipped, detail
from gateway_app.candidates import Candidate, Incoming, Prepared, prepared
from gateway_app.connection import Headers
from gateway_app.errors import BodyTooLarge, GatewayError, NoCandidate, ProviderKeyMissing, RouteUnknown
from gateway_app.fallbacks import ANY_FAILURE, Codes, FallbackTarget
from gateway_app.lending import NOBODY, Lender
from gateway_app.model_lists import Wanted
from gateway_app.retries import Retries
from gateway_app.routes import AI_GATEWAY_NEEDS, target_url
from gateway_app.stored_routes import StoredRoute
from ingest_app import directives as names
from lib.frozen import dataclass, replace
from llm import providers
from llm.exchange import Problem
from llm.providers import Provider

LONGEST_BODY: Final = 32 * 2**20
"""Bytes of a body that is kept to be sent again, or changed."""
ERROR_HEADER: Final = b"helicone-retry-error"
_SHAPED: Final = re.compile(
    r"/(chat/completions|completions|embeddings|responses|moderations|images/[a-z]+|audio/[a-z]+)/?$"
)
"""Ends of paths that other providers have too."""
_RETRY_HEADERS: Final = (
    "Helicone-Retry-Enabled", "Helicone-Retry-Num", "Helicone-Retry-Factor", "Helicone-Retry-Min-Timeout",
    "Helicone-Retry-Max-Timeout",
)  # fmt: skip


class Known(NamedTuple):
    """What `edge` knows beside the request."""

    snapshot: Snapshot | None
    organization_id: int | None
    """None where nobody is logged for."""
    provider_urls: Mapping[str, str]
    store: Lender = NOBODY
    """Keys for other providers than the request's own, whatever credential it brings."""

    def url_of(self, provider: Provider) -> tuple[str, bool]:
        """Where a provider is, empty where nobody says; and whether that stands with a key stored here."""
        if url := self.provider_urls.get(provider.slug):
            return url, False
        url = self.store.base_url(provider.slug)
        return url or provider.base_url, bool(url)

    @property
    def routes(self) -> tuple[StoredRoute, ...]:
        return () if self.organization_id is None else stored_routes.of(self.snapshot, self.organization_id)


@dataclass(frozen=True, slots=True)
class Chain:
    """`ready` in the order they are tried, at least one."""

    ready: tuple[Prepared, ...]
    is_list: bool = False
    """Several were asked for: the answer says which one it is of."""
    tells_all: bool = False
    """Where all fail, the client is told of each."""
    notes: tuple[Problem, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    """Asked for, and none of `ready`."""
    complaint: str = ""
    """Why the client's wish for retries is not, or not wholly, followed."""

    @property
    def question_url(self) -> str:
        """Whom the answer is asked of and how, beside the body the first of them gets, for the cache: all of them, as
        any of them may give it."""
        first = self.ready[0]
        if self.is_list:
            return "|".join(f"{one.whole_url}#{one.candidate.model}{_besides(one.candidate)}" for one in self.ready)
        return first.whole_url + _besides(first.candidate) if first.candidate.dropped else first.whole_url


def _besides(candidate: Candidate) -> str:
    """What of its question stands in no other candidate's body."""
    if not candidate.override and not candidate.dropped:
        return ""
    try:
        return "#" + orjson.dumps([candidate.override, candidate.dropped]).decode()
    except TypeError:  # nested deeper than can be written: like no other
        return f"#{uuid4()}"


def is_plain(incoming: Incoming, known: Known) -> bool:
    """Whether the request goes to its own target, once. Cheap: asked for every request."""
    told = incoming.directives
    if told.retry_enabled or told.fallbacks or told.route or told.token_limit or incoming.route.is_ai_gateway:
        return False
    if incoming.is_empty or incoming.scope["method"] != "POST":
        return True
    models, routes = model_lists.glance(incoming.first), known.routes
    if not models and not incoming.is_complete and (known.store.keys or routes):
        return False
    return not any(model_lists.is_list(model) or stored_routes.for_model(routes, model) for model in models)


def plain(incoming: Incoming, known: Known) -> Chain:
    """Raises TargetMissing and so on, and as `prepared`."""
    return Chain((prepared(_own(incoming, known), incoming),))


def chain(incoming: Incoming, known: Known) -> Chain:
    """Raises FallbacksInvalid, RouteUnknown, NoCandidate, ProviderKeyMissing, BodyTooLarge, and as `plain`."""
    told = incoming.directives
    listed = fallbacks.read(told.fallbacks) if told.fallbacks else ()
    if targets := [one for one in listed if isinstance(one, FallbackTarget)]:
        return _of_targets(incoming, known, targets)
    rules = retries.read(told)
    if not incoming.is_complete:
        return _unreplayable(incoming, known, asks_retries=rules is not None)
    own = _own_if_any(incoming, known)
    if own is None and not known.store.keys:
        raise ProviderKeyMissing(AI_GATEWAY_NEEDS)
    wishes = _wishes(incoming, known, own, [one for one in listed if isinstance(one, str)])
    if wishes is None and own is not None:
        own = _worded(replace(own, retries=rules), incoming, _words(incoming))
        return Chain((prepared(own, incoming),), complaint=_complaint(incoming))
    found, skipped = _Resolver(incoming, known, own).all(wishes or _Wishes(()))
    if not found:
        raise _nobody(skipped)
    return Chain(
        tuple(found), is_list=True, tells_all=True, notes=notes_of(skipped), skipped=tuple(skipped),
        complaint=_complaint(incoming),
    )  # fmt: skip


def notes_of(skipped: Sequence[Skipped]) -> tuple[Problem, ...]:
    """What the row says of who was passed over."""
    return tuple(Problem("target_skipped", f"{one.label}: {one.reason}") for one in skipped)


def own_provider(incoming: Incoming, known: Known) -> Provider | None:
    """Whom the request goes to anyway, where that is one we know."""
    own = _own_if_any(incoming, known)
    return providers.by_slug(own.provider) if own is not None else None


def _own_if_any(incoming: Incoming, known: Known) -> Candidate | None:
    return None if _is_nobodys(incoming) and not _is_spoken_to(incoming, known) else _own(incoming, known)


def _is_nobodys(incoming: Incoming) -> bool:
    """Whether the request names no target of its own, and relies on keys stored here."""
    return incoming.route.is_ai_gateway and not (incoming.directives.target_url or incoming.directives.openai_api_base)


def _is_spoken_to(incoming: Incoming, known: Known) -> bool:
    """Whether a key is stored for the provider whose API the request speaks, and its model names nobody else."""
    spoken, model = incoming.route.provider, model_lists.model_of(incoming.first)
    searches = model_lists.is_online(model) or ai_words.read(incoming.first).web is not None
    named, is_certain = model_lists.named_in(model.removesuffix(online.SUFFIX))
    is_named = named is not None and (is_certain or incoming.lender.has(named.slug))
    is_asked_for = model_lists.is_list(model) or searches or is_named
    if spoken is None or not incoming.lender.has(spoken.slug) or is_asked_for:
        return False
    return not models_known.offering(known.snapshot, model, tuple(incoming.lender.keys))


def _own(incoming: Incoming, known: Known) -> Candidate:
    lender = incoming.lender
    slug, url, is_client_named = target_url(incoming.route, incoming.directives, known.provider_urls, lender)
    is_stored = bool(url) and url == lender.base_url(slug)
    return Candidate(slug, url, is_client_named, is_stored=is_stored, borrows=lender is not NOBODY)


def _words(incoming: Incoming) -> Words:
    """What its body says in words only the AI gateway knows; to a target a client names it goes as it came."""
    return ai_words.read(incoming.first) if _is_nobodys(incoming) else ai_words.NOTHING


def _worded(candidate: Candidate, incoming: Incoming, words: Words) -> Candidate:
    """Without what only the AI gateway knows of a body, and with the same in the provider's own words."""
    if not words.said:
        return candidate
    slug, path = candidate.provider, incoming.route.path if candidate.path is None else candidate.path
    override = {**candidate.override, **ai_words.override(words, slug, path)}
    return replace(candidate, override=override, dropped=ai_words.dropped(words, slug))


def _complaint(incoming: Incoming) -> str:
    if not incoming.directives.problems:
        return ""
    return " ".join(filter(None, (names.complaint(incoming.directives, header) for header in _RETRY_HEADERS)))


def _unreplayable(incoming: Incoming, known: Known, *, asks_retries: bool) -> Chain:
    """A body too long to be kept goes on as it comes, once, where nothing in it must be changed."""
    told = incoming.directives
    is_list = any(map(model_lists.is_list, model_lists.glance(incoming.first)))
    if is_list or told.fallbacks or told.route or _is_nobodys(incoming):
        raise BodyTooLarge(f"The body of a call with fallbacks may have {LONGEST_BODY} bytes at most.")
    once = plain(incoming, known)
    if not asks_retries:
        return once
    reason = f"the body is longer than {LONGEST_BODY} bytes, so the call is made once"
    return replace(once, notes=(Problem("not_replayable"),), complaint=f"{_complaint(incoming)} {reason}".strip())


def answered_by(chain: Chain, ready: Prepared, incoming: Incoming) -> Headers:
    """Of several the one whose answer it is; at the AI gateway whoever it is, and that a stored key pays for it."""
    told = [(b"helicone-fallback-index", b"%d" % ready.candidate.index)] if chain.is_list else []
    is_ai_gateway = incoming.route.is_ai_gateway and ready.loan is not None
    model = ready.candidate.model or (model_lists.model_of(incoming.first) if is_ai_gateway else "")
    if model:
        told.append((b"helicone-model", headers.printable(model).encode()))
        told.append((b"helicone-provider", headers.printable(ready.provider).encode()))
    return [*told, (b"helicone-gateway-mode", b"BYOK")] if is_ai_gateway else told


# --- Helicone-Fallbacks with targets ----------------------------------------------------------------------------------


def _of_targets(incoming: Incoming, known: Known, targets: Sequence[FallbackTarget]) -> Chain:
    if not incoming.is_complete:
        raise BodyTooLarge(f"The body of a call with fallbacks may have {LONGEST_BODY} bytes at most.")
    fallbacks.overridden(incoming.first, targets[-1].override)  # what cannot be changed is said before a call is made
    rules = retries.read(incoming.directives)
    kind = incoming.headers.get("content-type")
    found = []
    for place, one in enumerate(targets):
        slug, url, is_client_named = _named(one.url, known)
        sent = {"content-type": kind, **one.headers} if kind else one.headers
        found.append(prepared(Candidate(
            slug, url, is_client_named, index=place, label=_label(url), headers=sent, override=one.override,
            goes_on=one.codes, retries=rules,
        ), incoming))
    return Chain(tuple(found), is_list=True, complaint=_complaint(incoming))


def _named(url: str, known: Known) -> tuple[str, str, bool]:
    """(slug, URL, whether a client named it), as for Helicone-Target-URL."""
    provider = providers.by_host(url.partition("://")[2].partition("/")[0].rpartition("@")[2])
    slug = provider.slug if provider else ""
    return slug, known.provider_urls.get(slug) or url, slug not in known.provider_urls


def _label(url: str) -> str:
    """Without a login."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


# --- lists of models --------------------------------------------------------------------------------------------------


class _Wish(NamedTuple):
    wanted: Wanted
    place: int
    goes_on: Codes
    retries: Retries | None


class _Wishes(NamedTuple):
    them: tuple[_Wish, ...]
    excluded: frozenset[str] = frozenset()


def _wishes(incoming: Incoming, known: Known, own: Candidate | None, listed: Sequence[str]) -> _Wishes | None:
    """None where the request goes to its own target and nowhere else. `listed`: models of Helicone-Fallbacks."""
    told, model = incoming.directives, model_lists.model_of(incoming.first)
    if told.route:
        route = stored_routes.named(known.routes, told.route)
        if route is None:
            raise RouteUnknown(f"No route is called {told.route[:100]!r} here. Routes are made under Settings, Routes.")
        return _of_route(route, model, retries.read(told))
    if not listed and not model_lists.is_list(model):
        if (route := stored_routes.for_model(known.routes, model)) is not None:
            return _of_route(route, model, retries.read(told))
        if own is not None:
            return None
    provider = providers.by_slug(own.provider) if own else None
    read = model_lists.read(",".join((model, *listed)), own=provider, has_aliases=own is None)
    rules = retries.read(told)
    return _Wishes(tuple(_Wish(one, place, ANY_FAILURE, rules) for place, one in enumerate(read.wanted)), read.excluded)


def _of_route(route: StoredRoute, model: str, rules: Retries | None) -> _Wishes:
    return _Wishes(tuple(
        _Wish(Wanted(one.model or model, providers.by_slug(one.provider) if one.provider else None), place,
              one.goes_on, replace(rules or Retries(), calls=one.calls) if one.calls > 1 else rules)
        for place, one in enumerate(route.targets)
    ))


class _Resolver:
    """From what is wished for to what can be called."""

    def __init__(self, incoming: Incoming, known: Known, own: Candidate | None) -> None:
        self._incoming = incoming
        self._known = known
        self._own = own
        self._excluded: frozenset[str] = frozenset()
        self._skipped: list[Skipped] = []
        self._words = _words(incoming)

    def all(self, wishes: _Wishes) -> tuple[list[Prepared], list[Skipped]]:
        self._excluded = wishes.excluded
        asked = [(wish, one) for wish in wishes.them for one in self._expanded(wish)]
        found = [ready for wish, one in asked if (ready := self._one(wish, one)) is not None]
        return found, self._skipped

    def _expanded(self, wish: _Wish) -> list[Wanted]:
        """Of a model nobody says the provider of: the request's own, or those with a key that have it."""
        wanted = wish.wanted
        if wanted.provider is not None or self._own is not None:
            return [wanted]
        keys, spoken = self._known.store.keys, self._incoming.route.provider
        offering = models_known.offering(self._known.snapshot, wanted.model, tuple(sorted(keys)))
        if not offering and spoken is not None and spoken.slug in keys:
            offering = (spoken,)  # a model newer than the price table, asked for in its provider's own way
        if not offering:
            self._skip(wanted.label, "no provider with a key stored here is known to have it", "model_not_supported")
        return [wanted._replace(provider=provider) for provider in offering]

    def _one(self, wish: _Wish, wanted: Wanted) -> Prepared | None:
        own, provider = self._own, wanted.provider
        if own is not None and (provider is None or provider.slug == own.provider):
            candidate: Candidate | None = own
        else:
            assert provider is not None  # `_expanded` has found one
            candidate = self._elsewhere(wanted, provider)
        if candidate is None or candidate.provider in self._excluded:
            if candidate is not None:
                self._skip(wanted.label, "its provider is excluded", "disallowed")
            return None
        model = wanted.deployment or wanted.model
        override: Mapping[str, Any] | None = {"model": model} if model else {}
        web = self._words.web
        if wanted.is_online or (web is not None and candidate.provider not in online.NATIVE):
            path = self._incoming.route.path if candidate.path is None else candidate.path
            override = online.override(candidate.provider, path, model, self._incoming.first, web)
        if override is None:
            self._skip(wanted.label, "it has no search of the web that can be asked for here", "model_not_supported")
            return None
        candidate = replace(
            candidate, index=wish.place, label=wanted.label, override=override,
            goes_on=wish.goes_on, retries=wish.retries, model=model,
        )  # fmt: skip
        try:
            return prepared(_worded(candidate, self._incoming, self._words), self._incoming)
        except GatewayError as error:
            self._skip(wanted.label, error.message, "invalid_format")
            return None

    def _elsewhere(self, wanted: Wanted, provider: Provider) -> Candidate | None:
        """Another provider than the request's own, with the key stored for it and its API of OpenAI's shape."""
        key = self._known.store.keys.get(provider.slug)
        url, is_stored = self._known.url_of(provider)
        path, header = _path_at(provider, self._incoming.route.path)
        if key is None:
            reason = f"no key of {provider.name} is stored under Settings, Provider keys"
            self._skip(wanted.label, reason, "missing_provider_key")
            return None
        if not url:
            reason = f"{provider.name} has an address for each customer, and none is set (PROVIDER_URL_…)"
            self._skip(wanted.label, reason, "model_not_supported")
            return None
        if path is None:
            reason = f"{provider.name} speaks another API on this path, and requests are not translated"
            self._skip(wanted.label, reason, "model_not_supported")
            return None
        dropped = {name: None for name in self._incoming.headers if headers.is_secret(name)}
        loan = lending.loan(key, provider, at=header)
        loan = replace(loan, headers={**dropped, **loan.headers})
        return Candidate(provider.slug, url, path=path, query="", is_stored=is_stored, loan=loan)

    def _skip(self, label: str, reason: str, kind: str) -> None:
        self._skipped.append(Skipped(label, reason, kind))


def _path_at(provider: Provider, path: str) -> tuple[str | None, str]:
    """Where a provider takes what the client sends to this path, and the header its key stands in."""
    if provider.dialect == "anthropic_messages" and path.endswith("/messages"):
        return "/v1/messages", "x-api-key"
    api, found = provider.openai_api, _SHAPED.search(path)
    if api is None or found is None:
        return None, ""
    names_bearer = "authorization" in provider.credential_headers
    return f"{api}/{found[1]}", "authorization" if names_bearer else provider.credential_headers[0]


def _nobody(skipped: Sequence[Skipped]) -> GatewayError:
    reasons = "; ".join(f"{one.label}: {one.reason}" for one in skipped)
    details = [detail(*one) for one in skipped]
    return NoCandidate(f"None of the models asked for can be called. {reasons}.", details)
