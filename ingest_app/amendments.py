"""Late facts: they set, never add; of two on one field the later, by its own time, wins, whichever comes first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from ingest_app.records import Amendment, of_step
from lib import clock
from lib.clock import microseconds
from lib.frozen import replace
from requests_app import store
from requests_app.rows import Change, RequestRow

ROOT_WITHIN: Final = timedelta(minutes=10)
"""What is said of a trace waits so long for its root."""


def apply(connection: store.Db, amendments: Sequence[Amendment]) -> list[Change]:
    """What the amendments changed, in key order. One whose request is not there waits for it."""
    located = [(_located(connection, a), a) for a in amendments]
    waiting = [a for key, a in located if key is None]
    if waiting:
        store.keep_pending(connection, [(a.organization_id, a.request_id, a.at, _facts(a)) for a in waiting])
    by_key: dict[store.Key, list[Amendment]] = {}
    for key, amendment in located:
        if key is not None:
            by_key.setdefault(key, []).append(amendment)
    changes = [_apply_to(connection, key, by_key[key]) for key in sorted(by_key)]
    return [change for change in changes if change is not None]


def _located(connection: store.Db, fact: Amendment) -> store.Key | None:
    if fact.step:
        return store.locate_step(connection, fact.organization_id, fact.step)
    return store.locate(connection, fact.organization_id, fact.request_id)


def apply_pending(connection: store.Db, changes: Sequence[Change]) -> list[Change]:
    """The changes, each with what had waited for its row."""
    rows = [change.after for change in changes if change.after]
    if not rows or not store.has_pending(connection):
        return list(changes)
    pending = store.take_pending(connection, [(row.organization_id, name) for row in rows for name in _names(row)])
    return composed((*changes, *apply(connection, [_waited(*one) for one in pending])))


def composed(changes: Iterable[Change]) -> list[Change]:
    """Several changes of one row as one, in the order of their first."""
    first: dict[store.Key, Change] = {}
    for change in changes:
        row = change.after or change.before
        assert row is not None, "a change is of a row"
        key = (row.organization_id, row.requested_at, row.id)
        first[key] = Change(first[key].before, change.after) if key in first else change
    return [change for change in first.values() if change.before != change.after]


def apply_rootless(connection: store.Db) -> list[Change]:
    """What was said of whole traces whose root never came goes to their first span."""
    changes = []
    pending = store.take_pending_of_traces(connection, before=clock.now() - ROOT_WITHIN, limit=100)
    for fact in (_waited(*one) for one in pending):
        key = store.locate_step(connection, fact.organization_id, fact.step, any_of_trace=True)
        if key is not None and (change := _apply_to(connection, key, [fact])) is not None:
            changes.append(change)
    return changes


def _names(row: RequestRow) -> Iterator[UUID]:
    """What a row may have been called before it was there."""
    yield row.id
    if row.client_request_id:
        with suppress(ValueError):
            yield UUID(row.client_request_id)
    if row.trace_id and row.span_id and row.door == "otlp":
        yield of_step(f"{row.trace_id}:{row.span_id}")
        if row.parent_span_id is None:
            yield of_step(f"{row.trace_id}:")


def _waited(organization_id: int, request_id: UUID, at: datetime, facts: Mapping[str, Any]) -> Amendment:
    step = facts.get("step", "")
    return Amendment(organization_id, request_id, at, facts.get("properties"), facts.get("scores"), step)


def _facts(amendment: Amendment) -> dict[str, Any]:
    said = {"properties": amendment.properties, "scores": amendment.scores}
    return {**said, "step": amendment.step} if amendment.step else said


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
