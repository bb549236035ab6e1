"""One night of retention: the ground goes by requests_app, what was counted of it is told, all of it written down."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import psycopg
from django.conf import settings

from accounts_app import audit
from accounts_app.models import Organization
from alerts_app import forget as budgets
from ingest_app import store_traces
from lib.postgres import conninfo
from metrics_app import rebuild
from requests_app import retention, store
from requests_app.models import RetentionRun
from requests_app.retention import Removed, Skipped

log = logging.getLogger("retention")

PENDING_FOR = timedelta(days=30)
"""What is said of a request waits so long for it."""


def apply(now: datetime) -> list[Removed]:
    """Applies every organisation's policy; answers what went. Each part is written down as soon as it is done.

    What could not go this night is in the audit log too, with the reason.
    """
    done: list[Removed] = []
    skipped: list[Skipped] = []
    with psycopg.connect(conninfo(settings.DATABASES["default"], application="retention"), autocommit=True) as db:
        for removed in retention.apply(db, now, announce=partial(rebuild.raise_ground_from, db)):
            if isinstance(removed, Skipped):
                log.warning(
                    "skipped organization=%d what=%s reason=%s", removed.organization_id, removed.what, removed.reason
                )
                skipped.append(removed)
                continue
            RetentionRun.objects.create(
                organization_id=removed.organization_id, what=removed.what, before_at=removed.before_at,
                removed=removed.rows, dropped=int(removed.is_dropped),
            )  # fmt: skip
            done.append(removed)
        _forget_what_never_came(db, now)
    for organization_id, sums in _sums(done).items():
        _write_down(organization_id, "retention applied", sums)
    for (organization_id, what), reason in {(one.organization_id, one.what): one.reason for one in skipped}.items():
        _write_down(organization_id, "retention skipped", {"what": what, "reason": reason, "again": "next night"})
    return done


def _forget_what_never_came(db: retention.Db, now: datetime) -> None:
    """What is known of traces and of budgets' users whose rows are gone, what was said of requests never seen.

    Where Postgres gives it up for others, the next night does it.
    """
    for organization_id, policy in retention.policies(db).items():
        if before := policy.cutoff("requests", now):
            with suppress(*retention.GIVEN_UP):
                store_traces.forget_old(db, organization_id, before=before)
                store.forget_pending(db, before=before, organization_id=organization_id)
                budgets.of_organization(db, organization_id)
    with suppress(*retention.GIVEN_UP):
        store.forget_pending(db, before=now - PENDING_FOR)


def _write_down(organization_id: int, action: str, detail: Mapping[str, str | int]) -> None:
    if Organization.objects.filter(pk=organization_id).exists():
        audit.record(organization_id, None, action, **detail)


def _sums(done: list[Removed]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for removed in done:
        sums = found[removed.organization_id]
        sums[removed.what] = sums.get(removed.what, 0) + removed.rows
    return found
