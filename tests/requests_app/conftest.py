from __future__ import annotations

import pytest

from accounts_app import keys
from accounts_app.models import ApiKey, Membership, Organization, Role, User


class Company:
    """An organisation with one member of every role and a key of every permission."""

    def __init__(self, name: str) -> None:
        self.organization = Organization.objects.create(name=name)
        self.id = self.organization.pk
        for role in Role:
            user = User.objects.create_user(f"{role.value}@{name}.example", "correct horse battery")
            Membership.objects.create(organization=self.organization, user=user, role=role)
            setattr(self, role.value, user)

    def key(self, permissions: str = "rw") -> str:
        key = keys.mint()
        ApiKey.objects.create(
            organization=self.organization,
            name="test",
            key_hash=keys.hash_key(key),
            hint=key[-4:],
            permissions=permissions,
        )
        return key


@pytest.fixture
def acme(db) -> Company:
    return Company("acme")


@pytest.fixture
def globex(db) -> Company:
    return Company("globex")


@pytest.fixture
def looking(client, acme):
    """A browser of one of acme's viewers."""
    client.force_login(acme.viewer)
    return client
