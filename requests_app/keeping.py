"""What members say about keeping: their organisation's policy and its pinned sessions. Every change is written down."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django.core.cache import cache
from django.db import transaction
from psycopg.errors import QueryCanceled

from accounts_app import audit
from accounts_app.models import Membership, User
from requests_app import retention, retention_storage
from requests_app.models import RetentionPolicy, RetentionRun, SessionPin
from requests_app.queries import TooSlow, reader
from requests_app.retention import FOR_EVER, Policy
from requests_app.retention_storage import Day

STORAGE_SECONDS = 300
RUNS_SHOWN = 20


def policy_of(organization_id: int) -> Policy:
    found = RetentionPolicy.objects.filter(organization_id=organization_id).first()
    return Policy(found.body_days, found.request_days, found.count_days) if found else FOR_EVER


@transaction.atomic
def set_policy(by: Membership, policy: Policy) -> None:
    before = policy_of(by.organization_id)
    RetentionPolicy.objects.update_or_create(
        organization_id=by.organization_id,
        defaults={name: getattr(policy, name) for name in ("body_days", "request_days", "count_days")},
    )
    if policy != before:
        audit.record(by.organization_id, by.user, "retention changed", before=words(before), after=words(policy))


def words(policy: Policy) -> str:
    parts = (("bodies", policy.body_days), ("requests", policy.request_days), ("counts", policy.count_days))
    return ", ".join(f"{what} {'unlimited' if days is None else f'{days} d'}" for what, days in parts)


def next_run(now: datetime) -> datetime:
    tonight = retention.midnight(now).replace(hour=retention.RUNS_AT.hour, minute=retention.RUNS_AT.minute)
    return tonight if tonight > now else tonight + timedelta(days=1)


def runs(organization_id: int) -> list[RetentionRun]:
    """The newest first."""
    return list(RetentionRun.objects.filter(organization_id=organization_id).order_by("-finished_at")[:RUNS_SHOWN])


def storage(organization_id: int) -> tuple[Day, ...]:
    """By day, oldest first, at most STORAGE_SECONDS old. Raises TooSlow."""
    key = f"storage:{organization_id}"
    found: tuple[Day, ...] | None = cache.get(key)
    if found is None:
        try:
            with reader() as cursor:
                found = retention_storage.storage(cursor.connection, organization_id)
        except QueryCanceled as error:
            raise TooSlow("There is too much to be counted here and now.") from error
        cache.set(key, found, STORAGE_SECONDS)
    return found


def counts(organization_id: int) -> dict[date, int]:
    """Rows of counts by day, at most STORAGE_SECONDS old. Raises TooSlow."""
    key = f"counts:{organization_id}"
    found: dict[date, int] | None = cache.get(key)
    if found is None:
        try:
            with reader() as cursor:
                found = retention_storage.counts_by_day(cursor.connection, organization_id)
        except QueryCanceled as error:
            raise TooSlow("There is too much to be counted here and now.") from error
        cache.set(key, found, STORAGE_SECONDS)
    return found


# --- pins -------------------------------------------------------------------------------------------------------------


def pins(organization_id: int) -> list[tuple[SessionPin, User | None]]:
    """Newest first, with who pinned."""
    found = list(SessionPin.objects.filter(organization_id=organization_id).order_by("-created_at"))
    people = User.objects.in_bulk({pin.created_by_id for pin in found if pin.created_by_id})
    return [(pin, people.get(pin.created_by_id or 0)) for pin in found]


def is_pinned(organization_id: int, session_id: str) -> bool:
    return SessionPin.objects.filter(organization_id=organization_id, session_id=session_id).exists()


@transaction.atomic
def pin(by: Membership, session_id: str) -> None:
    _, is_new = SessionPin.objects.get_or_create(
        organization_id=by.organization_id, session_id=session_id, defaults={"created_by_id": by.user_id}
    )
    if is_new:
        audit.record(by.organization_id, by.user, "session pinned", session=session_id)


@transaction.atomic
def unpin(by: Membership, session_id: str) -> None:
    gone, _ = SessionPin.objects.filter(organization_id=by.organization_id, session_id=session_id).delete()
    if gone:
        audit.record(by.organization_id, by.user, "session unpinned", session=session_id)
