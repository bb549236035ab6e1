"""Who changed what, when: written in the transaction of the change itself."""

from __future__ import annotations

from accounts_app.models import AuditEntry, User


def record(organization_id: int, user: User | None, action: str, **detail: str | int) -> None:
    """`action` is two words, `thing verb-ed`: "key created", "member removed". Never a secret in `detail`."""
    AuditEntry.objects.create(organization_id=organization_id, user=user, action=action, detail=detail)
