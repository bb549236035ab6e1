"""What admins do to stored provider keys: save, remove, say who may use them. Each in one transaction, audited."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Mapping

from django.conf import settings
from django.db import transaction

from accounts_app import audit, keys, service_account
from accounts_app.models import ApiKey, Membership, ProviderKey, Safety
from accounts_app.secrets import Keyring
from accounts_app.snapshot_provider_keys import HINT_LENGTH, context_of
from accounts_app.snapshot_safety import context_of as token_context
from lib import clock

SHORTEST_HINTED = 12
"""Of a shorter secret four characters would tell too much."""


@functools.cache
def keyring() -> Keyring:
    return Keyring(settings.SECRETS_KEYS)


@transaction.atomic
def save(by: Membership, provider: str, secret: str, extras: Mapping[str, str]) -> ProviderKey:
    """The organisation's key of that provider; one that is there is replaced, and its proxy keys stand for the new."""
    made, is_new = ProviderKey.objects.update_or_create(
        organization_id=by.organization_id, provider=provider,
        defaults={
            "sealed": keyring().seal(secret, context_of(by.organization_id, provider)),
            "hint": _hint(secret),
            "extras": dict(extras), "created_by": by.user,
        },
    )  # fmt: skip
    audit.record(by.organization_id, by.user, f"provider key {'added' if is_new else 'replaced'}", provider=provider)
    return made


def _hint(secret: str) -> str:
    """To recognise it by: of a service account the end of its key's id."""
    known = service_account.read(secret).private_key_id if service_account.is_one(secret) else secret
    return known[-HINT_LENGTH:] if len(known) >= SHORTEST_HINTED else ""


@transaction.atomic
def remove(by: Membership, key: ProviderKey) -> None:
    """With its proxy keys, which stand for nothing then."""
    revoked = ApiKey.objects.filter(provider_key=key, revoked_at=None).update(revoked_at=clock.now())
    audit.record(
        by.organization_id, by.user, "provider key removed", provider=key.provider, proxy_keys_revoked=revoked
    )
    key.delete()


@transaction.atomic
def create_proxy(by: Membership, key: ProviderKey, name: str) -> str:
    """A new key that stands for this one where the provider's own would stand: shown once."""
    made = keys.mint_proxy()
    row = ApiKey.objects.create(
        organization_id=by.organization_id, name=name, key_hash=keys.hash_key(made), hint=made[-HINT_LENGTH:],
        permissions="w", provider_key=key, created_by=by.user,
    )  # fmt: skip
    audit.record(by.organization_id, by.user, "proxy key created", key=row.pk, name=name, provider=key.provider)
    return made


@transaction.atomic
def set_lending(by: Membership, to_chosen: bool, chosen: Collection[int]) -> None:
    """Which API keys use stored provider keys: every one, or those chosen."""
    organization = by.organization
    organization.lends_to_chosen = to_chosen
    organization.save(update_fields=["lends_to_chosen"])
    if to_chosen:
        of = ApiKey.objects.filter(organization_id=by.organization_id, provider_key=None)
        of.filter(id__in=chosen).update(may_borrow=True)
        of.exclude(id__in=chosen).update(may_borrow=False)
    who = f"{len(chosen)} chosen" if to_chosen else "all"
    audit.record(by.organization_id, by.user, "provider keys lent", to=who)


def rewrap() -> tuple[int, int]:
    """Every envelope wrapped anew with the first key: (wrapped, already so). Raises CannotOpen; then none is."""
    ring, done = keyring(), Counter[bool]()
    with transaction.atomic():
        for key in ProviderKey.objects.select_for_update():
            done[ring.is_newest(key.sealed)] += 1
            key.sealed = ring.rewrapped(key.sealed, context_of(key.organization_id, key.provider))
            key.save(update_fields=["sealed"])
        for one in Safety.objects.select_for_update().exclude(classifier_sealed=""):
            done[ring.is_newest(one.classifier_sealed)] += 1
            one.classifier_sealed = ring.rewrapped(one.classifier_sealed, token_context(one.organization_id))
            one.save(update_fields=["classifier_sealed"])
    return done[False], done[True]
