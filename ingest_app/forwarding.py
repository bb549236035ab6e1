"""Events a client wants told to its PostHog: ordered at the door, written with the row, sent by Celery.

The client's key is sealed at the door, bound to this one request, and stays so until it is sent; with it goes nothing
else of the request: the event is made of the row.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from accounts_app.secrets import Keyring
from ingest_app.directives import Directives
from llm.exchange import Forward

POSTHOG_HOST: Final = "https://us.i.posthog.com"


def context_of(organization_id: int, request_id: UUID) -> str:
    """What the envelope of a key is bound to."""
    return f"posthog:{organization_id}:{request_id}"


def order(told: Directives, keyring: Keyring | None, organization_id: int, request_id: UUID) -> Forward | None:
    """None where no event is wanted."""
    if not told.posthog_key or keyring is None:
        return None
    sealed = keyring.seal(told.posthog_key, context_of(organization_id, request_id))
    return Forward(told.posthog_host or POSTHOG_HOST, sealed)
