"""Plain functions that make what tests need; every one takes overrides by name.

The cast of every permission test: Alice owns Acme, Bob is a member of it, Charlie owns Umbrella next door.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.test import Client

from accounts_app import keys
from accounts_app.models import ApiKey, Membership, Organization, Role, User

PASSWORD = "correct-horse-battery"


@dataclass(frozen=True, slots=True)
class Cast:
    acme: Organization
    umbrella: Organization
    alice: User
    bob: User
    charlie: User


def person(email: str, **fields: Any) -> User:
    return User.objects.create_user(email, fields.pop("password", PASSWORD), **fields)


def organization(name: str = "Acme", **roles: tuple[User, Role]) -> Organization:
    """`organization("Acme", owner=(alice, Role.OWNER))`; the keyword is only for reading."""
    made = Organization.objects.create(name=name)
    for user, role in roles.values():
        membership(made, user, role)
    return made


def membership(of: Organization, user: User, role: Role = Role.MEMBER) -> Membership:
    return Membership.objects.create(organization=of, user=user, role=role)


def cast() -> Cast:
    alice, bob, charlie = (person(f"{name}@example.org", name=name.title()) for name in ("alice", "bob", "charlie"))
    acme = organization("Acme", alice=(alice, Role.OWNER), bob=(bob, Role.MEMBER))
    umbrella = organization("Umbrella", charlie=(charlie, Role.OWNER))
    return Cast(acme, umbrella, alice, bob, charlie)


def api_key(of: Organization, permissions: str = "rw", **fields: Any) -> str:
    """The key itself; its row is there."""
    key = keys.mint()
    fields = {"name": "a key", "hint": key[-4:], **fields}
    ApiKey.objects.create(organization=of, key_hash=keys.hash_key(key), permissions=permissions, **fields)
    return key


def browser(user: User | None = None) -> Client:
    """A browser, logged in as that person."""
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def bearer(key: str) -> dict[str, str]:
    """Headers of a call with that key: `client.post(url, headers=bearer(key))`."""
    return {"Authorization": f"Bearer {key}"}
