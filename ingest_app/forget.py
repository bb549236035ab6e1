"""Erasure: rows, their bodies and what was counted from them, in the line's own transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ingest_app.records import Forget
from requests_app import store
from requests_app.rows import Change


def apply(connection: store.Db, orders: Sequence[Forget]) -> list[Change]:
    """A Change with no `after` for every row that was there."""
    located = {
        store.locate(connection, order.organization_id, request_id)
        for order in orders
        for request_id in order.request_ids
    }
    changes = []
    for key in sorted(key for key in located if key is not None):
        before = store.lock_row(connection, key)
        if before is not None:
            store.delete_row(connection, key)
            changes.append(Change(before, None))
    return changes
