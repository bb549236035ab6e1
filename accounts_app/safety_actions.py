"""What admins do to screens and redaction, audited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from accounts_app import audit
from accounts_app.models import Membership, Safety
from accounts_app.provider_key_actions import keyring
from accounts_app.snapshot_safety import context_of


@transaction.atomic
def set_screens(by: Membership, *, classifier_token: str, **fields: Any) -> None:
    """An empty token leaves the one there is, unless the classifier is another or none."""
    now, _ = Safety.objects.select_for_update().get_or_create(organization_id=by.organization_id)
    if classifier_token:
        now.classifier_sealed = keyring().seal(classifier_token, context_of(by.organization_id))
    elif fields["classifier_url"] != now.classifier_url:
        now.classifier_sealed = ""
    for name, value in fields.items():
        setattr(now, name, value)
    now.save()
    audit.record(by.organization_id, by.user, "screens changed", **{name: str(value) for name, value in fields.items()})


@transaction.atomic
def set_redaction(by: Membership, kinds: Sequence[str], patterns: Sequence[tuple[str, str]]) -> None:
    now, _ = Safety.objects.select_for_update().get_or_create(organization_id=by.organization_id)
    now.redacted_kinds, now.redacted_patterns = list(kinds), [list(pair) for pair in patterns]
    now.save()
    names = [name for name, _ in patterns]
    audit.record(by.organization_id, by.user, "redaction changed", kinds=", ".join(kinds), patterns=", ".join(names))
