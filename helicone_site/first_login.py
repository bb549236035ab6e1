"""The first organisation, its owner and an API key, so that a fresh start can be used at once."""

from __future__ import annotations

import json
import secrets

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts_app.keys import hash_key, mint
from accounts_app.models import ApiKey, Membership, Organization, Role, User
from helicone_site import places
from lib import env, files

EMAIL = "owner@localhost"
KEY_HINT_LENGTH = 4


def make() -> None:
    """Where there is no organisation yet: makes one and writes its login to FIRST_LOGIN_FILE.

    The file is durable before the rows are committed: a start killed in between leaves a login that does not work yet
    and is replaced by the next start, never one that works and nobody knows.
    """
    if Organization.objects.exists():
        return
    login: dict[str, str | int] = {
        "url": settings.PUBLIC_URL,
        "email": env.text("FIRST_EMAIL") or EMAIL,
        "password": secrets.token_urlsafe(12),
        "organization_id": 0,
        "api_key": mint(),
    }
    try:
        with transaction.atomic():
            login["organization_id"] = _create(login)
            files.replace(places.FIRST_LOGIN_FILE, json.dumps(login, indent=2) + "\n")
    except IntegrityError:
        # Another machine made it this very moment; its operator has the login.
        return


def _create(login: dict[str, str | int]) -> int:
    """The owner first: their unique e-mail is what makes two starts at once wait for each other."""
    owner = User.objects.create_superuser(str(login["email"]), str(login["password"]))
    organization = Organization.objects.create(name="My organisation")
    Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
    key = str(login["api_key"])
    ApiKey.objects.create(
        organization=organization, name="First key", key_hash=hash_key(key), hint=key[-KEY_HINT_LENGTH:],
        created_by=owner,
    )  # fmt: skip
    return int(organization.pk)
