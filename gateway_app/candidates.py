"""A target a call may be made to, and the request as it would go there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, NamedTuple

from accounts_app.keys import Presented
from gateway_app import fallbacks, headers, shaping
from gateway_app.fallbacks import ANY_FAILURE, Codes
from gateway_app.headers import Framing
from gateway_app.lending import Lender, Loan
from gateway_app.relay import Outgoing, Scope
from gateway_app.retries import Retries
from gateway_app.routes import Route
from gateway_app.shaping import Asked, Shaping
from gateway_app.targets import Target, read_target, without_credentials
from ingest_app.directives import Directives
from lib.frozen import dataclass
from llm import providers


@dataclass(frozen=True, slots=True)
class Candidate:
    """What differs from the request as it came; nothing, for the target it names itself."""

    provider: str
    """Slug; empty for one nobody described."""
    url: str
    is_client_named: bool = False
    index: int = 0
    """Its place in the list it was named in."""
    label: str = ""
    """How its client named it."""
    model: str = ""
    """Sent instead of the model the body names; empty: as it is."""
    path: str | None = None
    query: str | None = None
    """Instead of the client's, like `path`."""
    headers: Mapping[str, str] | None = None
    """Instead of all the client's."""
    is_stored: bool = False
    """Its address stands with a key stored here: looked at like one a client names."""
    borrows: bool = False
    """It is the request's own target, so the key its client may borrow goes there."""
    loan: Loan | None = None
    """A stored key that goes there, whatever the client brought."""
    override: Mapping[str, Any] = field(default_factory=dict)
    """Deep-merged into the body."""
    dropped: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the body that are left out, as they came."""
    goes_on: Codes = ANY_FAILURE
    """Statuses after which the next candidate is tried."""
    retries: Retries | None = None


class Incoming(NamedTuple):
    """A request as it came in, and as much of its body as is there."""

    scope: Scope
    headers: Mapping[str, str]
    directives: Directives
    route: Route
    presented: Presented
    lender: Lender
    asks_stream_usage: bool
    framing: Framing
    is_empty: bool
    first: bytes
    is_complete: bool
    has_money: bool = False
    """What it costs counts for a budget."""


class Prepared(NamedTuple):
    """A candidate, ready to be called."""

    candidate: Candidate
    target: Target
    asked: Asked
    plan: Shaping | None
    loan: Loan | None = None

    @property
    def provider(self) -> str:
        return self.candidate.provider or self.target.origin.authority

    @property
    def name(self) -> str:
        """As its client named it."""
        return self.candidate.label or self.target.origin.text

    @property
    def whole_url(self) -> str:
        return f"{self.target.origin.text}{self.asked.path}?{self.asked.query}"

    @property
    def recorded_url(self) -> str:
        query = without_credentials(self.asked.query)
        return f"{self.target.origin.text}{self.asked.path}" + (f"?{query}" if query else "")

    def body(self, body: bytes) -> bytes:
        """What this candidate gets of a body that is there whole. Raises FallbacksInvalid."""
        body = fallbacks.overridden(body, self.candidate.override, self.candidate.dropped)
        return body if self.plan is None else self.plan.body(body)

    def outgoing(self, incoming: Incoming, sent: bytes) -> Outgoing:
        """`sent`: what goes out of the body."""
        candidate, asked, complete = self.candidate, self.asked, incoming.is_complete
        credentials = incoming.presented.credentials
        if self.loan is not None:
            credentials = {**(credentials or {}), **self.loan.headers}
        if candidate.headers is not None:
            credentials = None
        if self.plan is not None:
            credentials = self.plan.credentials(asked, self.target.origin.authority, sent, credentials)
        head = headers.request_head(
            asked.method, f"{asked.path}?{asked.query}" if asked.query else asked.path,
            host=self.target.origin.authority, headers=_raw(candidate, incoming), credentials=credentials,
            framing=Framing(length=len(sent)) if complete and not incoming.is_empty else incoming.framing,
        )  # fmt: skip
        return Outgoing(asked.method, head, sent, complete, incoming.framing.is_chunked and not complete)


def _raw(candidate: Candidate, incoming: Incoming) -> list[tuple[bytes, bytes]]:
    if candidate.headers is None:
        return incoming.scope["headers"]  # type: ignore[no-any-return]
    return [(name.encode(), value.encode()) for name, value in candidate.headers.items()]


def prepared(candidate: Candidate, incoming: Incoming) -> Prepared:
    """Raises TargetInvalid, TargetRefused, AwsKeysMissing, RegionMissing, ProviderKeyMissing."""
    named, scope = candidate.is_client_named, incoming.scope
    target = read_target(candidate.url, is_guarded=named or candidate.is_stored, keeps_path=not named)
    loan = candidate.loan
    if candidate.borrows:
        loan = incoming.lender.lend(candidate.provider, target, is_client_named=named)
    sent = incoming.headers if candidate.headers is None else candidate.headers
    path = target.path_for(incoming.route.path if candidate.path is None else candidate.path)
    query = scope["query_string"].decode("latin-1") if candidate.query is None else candidate.query
    if loan is not None:
        sent, query = {**loan.signing, **sent}, loan.query(path, query)
    asked = Asked(scope["method"], path, query, sent, incoming.route.region)
    plan = shaping.plan(
        asked, providers.by_slug(candidate.provider), target, is_client_target=named,
        told=incoming.directives.stream_usage, default=incoming.asks_stream_usage,
        has_money=incoming.has_money,
    )  # fmt: skip
    return Prepared(candidate, target, asked, plan, loan)
