"""Keys of providers that an organization has stored, as `edge` knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from accounts_app.snapshot import Snapshot

PART: Final = "provider_keys"
"""Of the snapshot: organization id → slug → secret."""


def stored(snapshot: Snapshot | None, organization_id: int) -> Mapping[str, str]:
    """Secrets by slug; empty where nothing is stored."""
    keys: Mapping[int, Mapping[str, str]] = getattr(snapshot, "parts", {}).get(PART) or {}
    return keys.get(organization_id, {})
