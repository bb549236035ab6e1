"""The organisation's own provider keys, lent to calls whose clients bring no credential of the provider.

A stored key goes to its provider's own address and nowhere else: not to a target a client names, be its host ever so
like it (anybody can have a host under `*.openai.azure.com`), but for the address stored with the key itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final
from urllib.parse import quote, urlsplit

from accounts_app import service_account
from accounts_app.keys import CREDENTIAL_HEADERS, Presented, Speaker
from accounts_app.service_account import BadAccount, ServiceAccount
from accounts_app.snapshot import Snapshot
from accounts_app.snapshot_provider_keys import StoredKey, stored
from gateway_app import aws, signing
from gateway_app.errors import ProviderKeyMissing
from gateway_app.targets import Target, without_credentials
from lib.frozen import dataclass, replace
from llm.providers import Provider, by_slug

BARE: Final = frozenset({"x-api-key", "api-key", "x-goog-api-key"})
"""Headers that carry a key without the word Bearer."""
PROXY_UNKNOWN: Final = (
    "This proxy key is unknown or revoked, or of another organization. Make one under Settings, Provider keys."
)
PROXY_OTHER: Final = "This proxy key stands for another provider's key than the one called."


@dataclass(frozen=True, slots=True)
class Loan:
    """A stored key as one call uses it."""

    headers: Mapping[str, str | None] = field(repr=False)
    """To send otherwise than they came (None: not at all); lower-case names."""
    signing: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What a client of AWS would have sent, to sign the call with; it goes no further."""
    api_version: str = ""
    account: ServiceAccount | None = None
    """Whose access token is borne, asked for when the call is made."""

    def bearing(self, token: str) -> Loan:
        return replace(self, headers={**self.headers, "authorization": f"Bearer {token}"})

    def query(self, path: str, query: str) -> str:
        """The query with Azure's `api-version` where the path wants one and none is there."""
        if not self.api_version or "/openai/deployments/" not in path or "api-version=" in query:
            return query
        return f"{query}&api-version={quote(self.api_version)}".lstrip("&")


@dataclass(frozen=True, slots=True)
class Lender:
    """What may be lent to one request: by provider's slug."""

    keys: Mapping[str, StoredKey] = field(default_factory=dict, repr=False)
    only_for: str = ""
    """Slug a proxy key is for."""

    def base_url(self, slug: str) -> str:
        """The address stored with the key."""
        key = self.keys.get(slug)
        return key.extras.get("base_url", "") if key else ""

    def has(self, slug: str) -> bool:
        return slug in self.keys

    def aws_headers(self, provider: Provider | None) -> Mapping[str, str]:
        """What a client of AWS would have sent beside its call; empty for every other provider."""
        key = self.keys.get(provider.slug) if provider is not None and provider.aws_service else None
        if key is None or not key.extras.get("access_key_id"):
            return {}
        return aws_signing(key)

    def lend(self, slug: str, target: Target, *, is_client_named: bool) -> Loan | None:
        """Raises ProviderKeyMissing for a proxy key of another provider."""
        if self.only_for and slug != self.only_for:
            raise ProviderKeyMissing(PROXY_OTHER)
        key, provider = self.keys.get(slug), by_slug(slug)
        if key is None or provider is None or (is_client_named and not _is_own(key, provider, target)):
            return None
        return loan(key, provider)


NOBODY: Final = Lender()


def own(snapshot: Snapshot | None, speaker: Speaker | None) -> Lender:
    """What an organization lends to calls of its own to other providers than the request's."""
    if speaker is None or not speaker.may_borrow:
        return NOBODY
    return Lender(stored(snapshot).of(speaker.organization_id))


def lender(
    snapshot: Snapshot | None, speaker: Speaker | None, presented: Presented, headers: Mapping[str, str], query: str
) -> Lender:
    """Whose keys the request may use; nobody's where it brings a credential. Raises ProviderKeyMissing."""
    if speaker is None or brings_credential(presented, headers, query):
        return NOBODY
    by_proxy = speaker
    if presented.proxy_key and presented.proxy_key != presented.key:
        by_proxy = (snapshot.speaker(presented.proxy_key) if snapshot else None) or _refuse()
    if by_proxy.provider_key_id is not None or presented.proxy_key:
        key = stored(snapshot).by_id.get(by_proxy.provider_key_id or 0)
        if key is None or not key.organization_id == by_proxy.organization_id == speaker.organization_id:
            raise ProviderKeyMissing(PROXY_UNKNOWN)
        return Lender({key.provider: key}, key.provider)
    return own(snapshot, speaker)


def all_of(snapshot: Snapshot | None, organization_id: int) -> Lender:
    """All of an organisation's, for calls it wants made itself."""
    return Lender(stored(snapshot).of(organization_id))


def _refuse() -> Speaker:
    raise ProviderKeyMissing(PROXY_UNKNOWN)


def brings_credential(presented: Presented, headers: Mapping[str, str], query: str) -> bool:
    """Whether a credential of a provider came with the request, in whatever place.

    A signature an AWS SDK made for this server is none: AWS would not take it.
    """
    left = presented.credentials or {}
    told = [value for name in CREDENTIAL_HEADERS if (value := left.get(name, headers.get(name)))]
    is_told = any(not value.startswith(signing.ALGORITHM) for value in told)
    return is_told or aws.ACCESS in headers or without_credentials(query) != query


def _is_own(key: StoredKey, provider: Provider, target: Target) -> bool:
    """Whether a target a client names is the address its key is for."""
    own = {provider.base_url, key.extras.get("base_url", "")} - {""}
    return target.origin.text in {f"{parts.scheme}://{parts.netloc}".lower() for parts in map(urlsplit, own)}


def loan(key: StoredKey, provider: Provider, *, at: str = "") -> Loan:
    """The key in the header `at`, else where its provider looks for it; every other place is emptied.

    Raises ProviderKeyMissing for one that cannot be used.
    """
    emptied: dict[str, str | None] = dict.fromkeys(CREDENTIAL_HEADERS)
    if provider.aws_service and key.extras.get("access_key_id"):
        return Loan(emptied, aws_signing(key))
    if provider.slug == service_account.PROVIDER and service_account.is_one(key.secret):
        return Loan(emptied, account=_account(key))
    name = at or _header(provider, key.secret)
    emptied[name] = key.secret if name in BARE else f"Bearer {key.secret}"
    return Loan(emptied, api_version=key.extras.get("api_version", ""))


def _account(key: StoredKey) -> ServiceAccount:
    try:
        return service_account.read(key.secret)
    except BadAccount as error:
        raise ProviderKeyMissing(f"The stored service account cannot be used. {error}") from None


def aws_signing(key: StoredKey) -> dict[str, str]:
    """Headers a client of AWS would have sent: what to sign with, and where."""
    told = {aws.ACCESS: key.extras["access_key_id"], aws.SECRET: key.secret}
    return {**told, aws.REGION: key.extras["region"]} if key.extras.get("region") else told


def _header(provider: Provider, secret: str) -> str:
    """Where the key stands. Google's keys (`AIza…`) have a header of their own, its tokens are borne."""
    names = provider.credential_headers or ("authorization",)
    if provider.slug == service_account.PROVIDER and secret.startswith("AIza"):
        return "x-goog-api-key"
    return names[0]


