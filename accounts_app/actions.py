"""Every change members make to their organisation, with its rules and its audit entry, in one transaction each.

    NotAllowed
    ├── LastOwner        an organisation keeps at least one owner
    ├── AboveYou         only owners make, change or remove owners
    └── AlreadyMember
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction

from accounts_app import audit, keys, queries
from accounts_app.models import ApiKey, Invitation, Membership, Organization, Role, User
from lib import clock

INVITATION_LASTS = timedelta(days=14)
HINT_LENGTH = 4


class NotAllowed(Exception):
    """This may not be done; the message says why."""


class LastOwner(NotAllowed):
    """An organization keeps at least one owner. Make somebody else an owner first."""


class AboveYou(NotAllowed):
    """Only an owner may make, change or remove an owner."""


class AlreadyMember(NotAllowed):
    """This person is a member already."""


def reason(error: NotAllowed) -> str:
    return str(error) or (type(error).__doc__ or "")


@transaction.atomic
def create_organization(user: User, name: str) -> Membership:
    organization = Organization.objects.create(name=name)
    membership = Membership.objects.create(organization=organization, user=user, role=Role.OWNER)
    audit.record(organization.pk, user, "organization created", name=name)
    return membership


@transaction.atomic
def set_stream_usage(by: Membership, is_asked: bool) -> None:
    """Whether streamed chats ask their provider for token counts where the client says nothing of it."""
    before = by.organization.asks_stream_usage
    if before != is_asked:
        by.organization.asks_stream_usage = is_asked
        by.organization.save(update_fields=["asks_stream_usage"])
        audit.record(by.organization_id, by.user, "stream usage setting changed", before=before, after=is_asked)


@transaction.atomic
def rename_organization(by: Membership, name: str) -> None:
    before = by.organization.name
    by.organization.name = name
    by.organization.save(update_fields=["name"])
    audit.record(by.organization_id, by.user, "organization renamed", before=before, after=name)


@transaction.atomic
def invite(by: Membership, email: str, role: Role) -> str:
    """The token of a new invitation; an older open one to the same address stops working. Raises NotAllowed."""
    if role == Role.OWNER and by.role != Role.OWNER:
        raise AboveYou
    if Membership.objects.filter(organization_id=by.organization_id, user__email=email).exists():
        raise AlreadyMember(f"{email} is a member already.")
    queries.open_invitations(by.organization_id).filter(email=email).delete()
    token = secrets.token_urlsafe(24)
    Invitation.objects.create(
        organization_id=by.organization_id,
        email=email,
        role=role,
        token_hash=queries.token_hash(token),
        created_by=by.user,
        expires_at=clock.now() + INVITATION_LASTS,
    )
    audit.record(by.organization_id, by.user, "invitation created", email=email, role=role.value)
    return token


@transaction.atomic
def withdraw(by: Membership, invitation_id: int) -> None:
    found = queries.open_invitations(by.organization_id).filter(id=invitation_id).first()
    if found is not None:
        audit.record(by.organization_id, by.user, "invitation withdrawn", email=found.email)
        found.delete()


@transaction.atomic
def join(invitation: Invitation, user: User) -> Membership:
    """The membership the invitation gives; one that is there already keeps its role. Raises NotAllowed."""
    taken = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(accepted_at=clock.now())
    if not taken:
        raise NotAllowed("This invitation has been used already.")
    membership, _ = Membership.objects.get_or_create(
        organization=invitation.organization, user=user, defaults={"role": invitation.role}
    )
    audit.record(invitation.organization_id, user, "invitation accepted", email=user.email, role=membership.role)
    return membership


@transaction.atomic
def join_anew(invitation: Invitation, name: str, *, password: str) -> Membership:
    """A new person for the invited address, and their membership."""
    user = User.objects.create_user(invitation.email, password, name=name)
    return join(invitation, user)


@transaction.atomic
def change_role(by: Membership, target: Membership, role: Role) -> None:
    """Raises AboveYou, LastOwner."""
    target = _settled(target)
    _may_touch(by, target)
    if role == Role.OWNER and by.role != Role.OWNER:
        raise AboveYou
    if role != Role.OWNER:
        _keep_an_owner(target)
    before, target.role = target.role, role
    target.save(update_fields=["role"])
    audit.record(
        by.organization_id, by.user, "role changed", email=target.user.email, before=before, after=role.value
    )


@transaction.atomic
def remove(by: Membership, target: Membership) -> None:
    """Out of the organisation, or, of oneself, leaving it. Raises AboveYou, LastOwner."""
    target = _settled(target)
    if target.pk != by.pk:
        _may_touch(by, target)
    _keep_an_owner(target)
    audit.record(by.organization_id, by.user, "member removed", email=target.user.email, role=target.role)
    target.delete()


@transaction.atomic
def set_password(user: User, password: str, *, action: str) -> None:
    """Written down in every organisation the person is of: each of them trusts that password."""
    user.set_password(password)
    user.save(update_fields=["password"])
    for one in queries.memberships_of(user.pk):
        audit.record(one.organization_id, user, action, email=user.email)



def _settled(target: Membership) -> Membership:
    """The membership as it stands, with its organisation locked: of two owners leaving at once one stays."""
    Organization.objects.select_for_update().get(pk=target.organization_id)
    return Membership.objects.select_related("user").get(pk=target.pk)


def _may_touch(by: Membership, target: Membership) -> None:
    if target.role == Role.OWNER and by.role != Role.OWNER:
        raise AboveYou


def _keep_an_owner(target: Membership) -> None:
    if target.role == Role.OWNER and queries.owners(target.organization_id) == 1:
        raise LastOwner


@transaction.atomic
def create_key(by: Membership, name: str, permissions: str) -> str:
    """The new key itself: shown once, only its hash is kept."""
    key = keys.mint()
    made = ApiKey.objects.create(
        organization_id=by.organization_id,
        name=name,
        key_hash=keys.hash_key(key),
        hint=key[-HINT_LENGTH:],
        permissions=permissions,
        created_by=by.user,
    )
    audit.record(by.organization_id, by.user, "key created", key=made.pk, name=name, permissions=permissions)
    return key


@transaction.atomic
def revoke_key(by: Membership, key: ApiKey) -> None:
    """From now on nobody speaks with it. Members revoke their own keys, admins any. Raises NotAllowed."""
    if key.created_by_id != by.user_id and by.role not in {Role.ADMIN, Role.OWNER}:
        raise NotAllowed("Members revoke the keys they made; any other takes an admin.")
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=clock.now())
    audit.record(by.organization_id, by.user, "key revoked", key=key.pk, name=key.name)
