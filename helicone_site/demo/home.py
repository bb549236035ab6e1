"""Where invented calls go: never among real ones.

An installation nobody has used takes them in its first organisation, so that the first login shows them. One that holds
requests already gets an organisation "Demo" beside it, with the same owners. Which it was is remembered.
"""

from __future__ import annotations

import json
from pathlib import Path

from django.db import transaction

from accounts_app import keys
from accounts_app.models import ApiKey, Membership, Organization, Role
from lib import files
from requests_app.models import LLMRequest

NAME = "Demo"


def key(first_login: Path, memory: Path) -> str:
    """The API key to send with. Raises OSError, ValueError or KeyError where there has been no first start."""
    if memory.exists():
        return str(json.loads(memory.read_text())["api_key"])
    login = json.loads(first_login.read_text())
    organization_id, api_key = int(login["organization_id"]), str(login["api_key"])
    if LLMRequest.objects.filter(organization_id=organization_id).exists():
        organization_id, api_key = _beside(organization_id)
    files.replace(memory, json.dumps({"organization_id": organization_id, "api_key": api_key}))
    return api_key


@transaction.atomic
def _beside(organization_id: int) -> tuple[int, str]:
    """A new organisation with the owners of that one, and a key to it."""
    demo = Organization.objects.create(name=NAME)
    owners = Membership.objects.filter(organization_id=organization_id, role=Role.OWNER)
    Membership.objects.bulk_create(
        Membership(organization=demo, user_id=one.user_id, role=Role.OWNER) for one in owners
    )
    api_key = keys.mint()
    ApiKey.objects.create(
        organization=demo, name="demo", key_hash=keys.hash_key(api_key), hint=api_key[-4:], permissions="rw"
    )
    return demo.pk, api_key
