"""The keys clients speak with: minting, hashing, and where in a request they may stand. No Django: `edge` uses it."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
GROUPS, GROUP_LENGTH = 4, 7
KEY = re.compile(r"[sp]k(-helicone)?(-eu)?(-rl|-cp)?(-[A-Za-z0-9_]{7}){4}")
PREFIXES = ("sk-helicone-", "pk-helicone-")
PROXY_PREFIXES = ("sk-helicone-proxy-", "pk-helicone-proxy-")
"""Keys that stand for one stored provider key, in the place of that provider's own."""
AUTH_HEADER = "helicone-auth"
CREDENTIAL_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""Where a provider's own credential stands; a key of ours found there never goes further."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whom a live key speaks for."""

    organization_id: int
    key_id: int
    key_name: str
    permissions: str
    """`r`, `w` or `rw`."""
    asks_stream_usage: bool = False
    """Providers are asked for the token counts of streams whose clients say nothing of it."""
    may_borrow: bool = False
    """Where it brings no provider's credential, the organisation's own is used."""
    provider_key_id: int | None = None
    """Of a proxy key: the one provider key it stands for."""

    @property
    def may_write(self) -> bool:
        return "w" in self.permissions

    @property
    def may_read(self) -> bool:
        return "r" in self.permissions


@dataclass(frozen=True, slots=True)
class Presented:
    """The key a request brought, and what is left of its provider credentials without it."""

    key: str | None = None
    place: str = ""
    """`helicone-auth`, `path`, or the name of the credential header it stood in."""
    credentials: Mapping[str, str | None] | None = None
    """Credential headers to send on otherwise than they came; None for one that is dropped."""
    proxy_key: str | None = None
    """The proxy key among the credentials, be it `key` or beside it."""


def mint() -> str:
    """A new secret key: `sk-helicone-` and 140 random bits."""
    return PREFIXES[0] + _groups()


def mint_proxy() -> str:
    """A new proxy key, as Helicone's vault makes them: groups and a UUID."""
    return f"{PROXY_PREFIXES[0]}{_groups()}-{uuid.uuid4()}"


def _groups() -> str:
    groups = ("".join(secrets.choice(BASE32) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    return "-".join(groups)


def hash_key(key: str) -> str:
    """SHA-256 hex of `Bearer <key>`: the form Helicone stores, so its keys can be brought along."""
    return hashlib.sha256(b"Bearer " + key.encode()).hexdigest()


def looks_like_key(text: str) -> bool:
    """Whether the text has the shape of one of our keys."""
    return text.startswith(("sk-", "pk-")) and KEY.fullmatch(text) is not None


def is_helicone_key(text: str) -> bool:
    """Like `looks_like_key`, without the very old `sk-` form that a provider's key could be mistaken for."""
    return text.startswith(PREFIXES)


def is_proxy_key(text: str) -> bool:
    return text.startswith(PROXY_PREFIXES)


def unprefixed(value: str) -> str:
    """The credential without the word Bearer."""
    scheme, _, rest = value.strip().partition(" ")
    return rest.strip() if scheme.lower() == "bearer" and rest else value.strip()


def present(headers: Mapping[str, str], path_key: str | None = None) -> Presented:
    """The key by order of precedence: its own header, the path, inside a credential header (lower-case names)."""
    found, credentials = _among_credentials(headers)
    if auth := headers.get(AUTH_HEADER):
        return Presented(unprefixed(auth), AUTH_HEADER, credentials, found.proxy_key)
    if path_key:
        return Presented(path_key, "path", credentials, found.proxy_key)
    return found if found.key else Presented()


def _among_credentials(headers: Mapping[str, str]) -> tuple[Presented, dict[str, str | None] | None]:
    """The first key standing in a credential header, and those headers without any key of ours."""
    found = Presented()
    rest: dict[str, str | None] = {}
    proxy_key = None
    for name in CREDENTIAL_HEADERS:
        value = headers.get(name)
        if value is None or "k-helicone-" not in value:
            continue
        parts = [part.strip() for part in value.split(",")]
        ours = [part for part in parts if is_helicone_key(unprefixed(part))]
        if ours:
            rest[name] = ", ".join(part for part in parts if part not in ours) or None
            found = found if found.key else Presented(unprefixed(ours[0]), name)
            proxy_key = next(filter(is_proxy_key, map(unprefixed, ours)), proxy_key)
    if not rest:
        return found, None
    return Presented(found.key, found.place, rest, proxy_key), rest
