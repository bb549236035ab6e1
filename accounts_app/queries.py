"""Everything the accounts pages read. An organisation first, where there is one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from accounts_app.models import ApiKey, AuditEntry, Invitation, Membership, ProviderKey, Role, Safety, User
from lib import clock

AUDIT_PAGE = 100


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """What a live key says about its caller."""

    key_id: int
    organization_id: int
    permissions: str


def memberships_of(user_id: int | None) -> list[Membership]:
    found = Membership.objects.filter(user_id=user_id, user__is_active=True) if user_id else Membership.objects.none()
    return list(found.select_related("organization").order_by("organization__name", "organization_id"))


def members(organization_id: int) -> QuerySet[Membership]:
    return Membership.objects.filter(organization_id=organization_id).select_related("user").order_by("id")


def member(organization_id: int, membership_id: int) -> Membership | None:
    return members(organization_id).filter(id=membership_id).first()


def owners(organization_id: int) -> int:
    """How many there are."""
    return Membership.objects.filter(organization_id=organization_id, role=Role.OWNER).count()


def open_invitations(organization_id: int) -> QuerySet[Invitation]:
    """Those that can still be accepted, newest first."""
    waiting = Invitation.objects.filter(organization_id=organization_id, accepted_at=None)
    return waiting.filter(expires_at__gt=clock.now()).select_related("created_by").order_by("-id")


def invitation(token: str) -> Invitation | None:
    """The open invitation this token opens."""
    waiting = Invitation.objects.filter(token_hash=token_hash(token), accepted_at=None, expires_at__gt=clock.now())
    return waiting.select_related("organization", "created_by").first()


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def live_keys(organization_id: int) -> QuerySet[ApiKey]:
    """Newest first."""
    live = ApiKey.objects.filter(organization_id=organization_id, revoked_at=None)
    return live.select_related("created_by", "provider_key").order_by("-id")


def live_key(organization_id: int, key_id: int) -> ApiKey | None:
    return live_keys(organization_id).filter(id=key_id).first()


def provider_keys(organization_id: int) -> QuerySet[ProviderKey]:
    """By provider, each with `live_proxies`, how many proxy keys stand for it."""
    live = Count("proxy_keys", filter=Q(proxy_keys__revoked_at=None))
    found = ProviderKey.objects.filter(organization_id=organization_id).annotate(live_proxies=live)
    return found.select_related("created_by").order_by("provider")


def provider_key(organization_id: int, key_id: int) -> ProviderKey | None:
    return provider_keys(organization_id).filter(id=key_id).first()


def safety(organization_id: int) -> Safety:
    """What is set; where nothing is, what holds then."""
    return Safety.objects.filter(organization_id=organization_id).first() or Safety(organization_id=organization_id)


def key_owner(key_hash: str) -> KeyOwner | None:
    """Whose key that is, by its hash; None for one that is unknown or revoked."""
    found = ApiKey.objects.filter(key_hash=key_hash, revoked_at=None)
    row = found.values_list("id", "organization_id", "permissions").first()
    return KeyOwner(*row) if row else None


def user_by_email(email: str) -> User | None:
    return User.objects.filter(email=email.strip().lower()).first()


def audit_entries(organization_id: int) -> list[AuditEntry]:
    """The newest hundred."""
    entries = AuditEntry.objects.filter(organization_id=organization_id).select_related("user")
    return list(entries.order_by("-at", "-id")[:AUDIT_PAGE])
