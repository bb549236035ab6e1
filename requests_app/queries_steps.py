"""What stands around one step of a trace: the step that called it, and the call inside it that counts in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from llm.exchange import MODEL_KINDS
from requests_app.queries import reader
from requests_app.rows import RequestRow

MOST_STEPS = 5_000
COUNTED_IN_CHILD = "counted_in_child"


@dataclass(frozen=True, slots=True)
class Kin:
    """Another step of the same trace, as a link names it."""

    id: UUID
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Around:
    parent: Kin | None = None
    inner: Kin | None = None
    """The model call that reports the same as this step."""


_LABEL = "coalesce(nullif(name, ''), model, kind)"


def around(row: RequestRow) -> Around:
    """Raises TooSlow."""
    if not row.trace_id:
        return Around()
    is_counted_inside = any(problem.startswith(COUNTED_IN_CHILD) for problem in row.problems)
    return Around(_parent(row), _inner(row) if is_counted_inside and row.span_id else None)


def _parent(row: RequestRow) -> Kin | None:
    if not row.parent_span_id:
        return None
    found = _ask(
        f"SELECT id, kind, {_LABEL} FROM llm_request "  # noqa: S608
        "WHERE organization_id = %s AND trace_id = %s AND span_id = %s LIMIT 1",
        [row.organization_id, row.trace_id, row.parent_span_id],
    )
    return Kin(*found[0]) if found else None


def _inner(row: RequestRow) -> Kin | None:
    """The nearest model call below, or the one of the same reply that passed the gateway or was logged."""
    found = _ask(
        f"SELECT id, kind, {_LABEL}, span_id, parent_span_id, provider_response_id FROM llm_request "  # noqa: S608
        "WHERE organization_id = %s AND trace_id = %s LIMIT %s",
        [row.organization_id, row.trace_id, MOST_STEPS],
    )
    children: dict[str, list[Sequence[Any]]] = {}
    for step in found:
        children.setdefault(step[4] or "", []).append(step)
    level, seen = [row.span_id or ""], {row.span_id or ""}
    while level:
        below = [step for parent in level for step in children.get(parent, ()) if step[3] not in seen]
        if calls := [step for step in below if step[1] in MODEL_KINDS]:
            return Kin(*calls[0][:3])
        level = [step[3] for step in below if step[3]]
        seen.update(level)
    same = (step for step in found if step[1] in MODEL_KINDS and step[5] and step[5] == row.provider_response_id)
    return next((Kin(*step[:3]) for step in same), None)


def _ask(query: str, values: list[Any]) -> list[Sequence[Any]]:
    with reader() as cursor:
        cursor.execute(query, values)
        found: list[Sequence[Any]] = cursor.fetchall()
    return found
