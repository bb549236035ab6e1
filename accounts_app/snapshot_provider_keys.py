"""The organisation's own keys of providers, as `edge` holds them: opened in memory, closed elsewhere. No Django."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import field
from typing import Final

from accounts_app.secrets import CannotOpen, Keyring
from accounts_app.snapshot import Part, Rows, Snapshot
from lib.frozen import dataclass

log = logging.getLogger("accounts_app")

NAME: Final = "provider_keys"
QUERY: Final = "SELECT id, organization_id, provider, sealed, extras FROM provider_key"
HINT_LENGTH: Final = 4


def context_of(organization_id: int, provider: str) -> str:
    """What an envelope of a provider key is bound to."""
    return f"provider_key:{organization_id}:{provider}"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A credential ready for use. It is in no repr, no log and no row."""

    id: int
    organization_id: int
    provider: str
    secret: str = field(repr=False)
    extras: Mapping[str, str] = field(default_factory=dict)
    """What else its provider needs (llm/providers: `stored_extras`): a base URL, a region."""


@dataclass(frozen=True, slots=True)
class StoredKeys:
    by_organization: Mapping[int, Mapping[str, StoredKey]] = field(default_factory=dict)
    """Then by provider's slug."""
    by_id: Mapping[int, StoredKey] = field(default_factory=dict)

    def of(self, organization_id: int) -> Mapping[str, StoredKey]:
        return self.by_organization.get(organization_id, {})


NONE: Final = StoredKeys()


class Opener:
    """Opens each envelope once, however often the snapshot is read."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._opened: dict[tuple[str, str], str] = {}

    def read(self, rows: Rows) -> StoredKeys:
        opened: dict[tuple[str, str], str] = {}
        found = []
        for row in rows:
            name = (context_of(row["organization_id"], row["provider"]), row["sealed"])
            try:
                opened[name] = self._opened.get(name) or self._keyring.open(name[1], name[0])
            except CannotOpen as reason:
                log.warning("provider_key_closed id=%s reason=%s", row["id"], reason)
                continue
            found.append(
                StoredKey(row["id"], row["organization_id"], row["provider"], opened[name], row["extras"] or {})
            )
        self._opened = opened
        of: dict[int, dict[str, StoredKey]] = {}
        for key in found:
            of.setdefault(key.organization_id, {})[key.provider] = key
        return StoredKeys(of, {key.id: key for key in found})


def part(keyring: Keyring) -> Part:
    """For `Keeper`: on disk and in the snapshot file as it is in Postgres, closed."""
    return Part(NAME, QUERY, Opener(keyring).read)


def stored(snapshot: Snapshot | None) -> StoredKeys:
    parts: Mapping[str, object] = getattr(snapshot, "parts", {})
    found = parts.get(NAME)
    return found if isinstance(found, StoredKeys) else NONE
