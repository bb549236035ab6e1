"""Late facts: they set, never add; of two on one field the later, by its own time, wins, whichever comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ingest_app.records import Amendment
from lib.clock import microseconds
from requests_app import store
from requests_app.rows import Change, RequestRow


def apply(connection: store.Db, amendments: Sequence[Amendment]) -> list[Change]:
    """What the amendments changed, in key order. One whose request is not there waits for it."""
    located = [(store.locate(connection, a.organization_id, a.request_id), a) for a in amendments]
    waiting = [a for key, a in located if key is None]
    if waiting:
        store.keep_pending(connection, [(a.organization_id, a.request_id, a.at, _facts(a)) for a in waiting])
    by_key: dict[store.Key, list[Amendment]] = {}
    for key, amendment in located:
        if key is not None:
            by_key.setdefault(key, []).append(amendment)
    changes = [_apply_to(connection, key, by_key[key]) for key in sorted(by_key)]
    return [change for change in changes if change is not None]


def apply_pending(connection: store.Db, changes: Sequence[Change]) -> list[Change]:
    """The changes, each with what had waited for its row."""
    pending = store.take_pending(connection, [change.after for change in changes if change.after])
    if not pending:
        return list(changes)
    amended = apply(connection, [
        Amendment(org, request_id, at, facts.get("properties"), facts.get("scores"))
        for org, request_id, at, facts in pending
    ])
    after = {(c.after.organization_id, c.after.requested_at, c.after.id): c.after for c in amended if c.after}
    return [
        replace(c, after=after.get((c.after.organization_id, c.after.requested_at, c.after.id), c.after))
        if c.after else c
        for c in changes
    ]


def _facts(amendment: Amendment) -> dict[str, Any]:
    return {"properties": amendment.properties, "scores": amendment.scores}


def _apply_to(connection: store.Db, key: store.Key, amendments: Sequence[Amendment]) -> Change | None:
    before = store.lock_row(connection, key)
    if before is None:
        return None
    after = before
    for amendment in amendments:
        after = amended(after, amendment)
    if after == before:
        return None
    store.update_late_facts(connection, after)
    return Change(before, after)


def amended(row: RequestRow, fact: Amendment) -> RequestRow:
    """The row with the fact set, where no later one has been set already."""
    times = dict(row.amended or {})
    at = microseconds(fact.at)
    properties = _set(row.properties, fact.properties, "properties", times, at)
    scores = _set(row.scores or {}, fact.scores, "scores", times, at)
    if times == dict(row.amended or {}):
        return row
    return replace(row, properties=properties, scores=scores or None, amended=times)


def _set(
    old: Mapping[str, Any], said: Mapping[str, Any] | None, field: str, times: dict[str, int], at: int
) -> dict[str, Any]:
    new = dict(old)
    for key, value in (said or {}).items():
        name = f"{field}.{key}"
        if times.get(name, -1) >= at:
            continue
        times[name] = at
        if value is None:
            new.pop(key, None)
        else:
            new[key] = value
    return new
