"""What stands around one step of a trace: the step that called it, and the call that counts in its place."""

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
    counted: Kin | None = None
    """The model call that counts in this one's place."""


_LABEL = "coalesce(nullif(name, ''), model, kind)"


def around(row: RequestRow) -> Around:
    """Raises TooSlow."""
    if not row.trace_id:
        return Around()
    is_overruled = any(problem.startswith(COUNTED_IN_CHILD) for problem in row.problems)
    return Around(_parent(row), _counted(row) if is_overruled and row.span_id else None)


def _parent(row: RequestRow) -> Kin | None:
    if not row.parent_span_id:
        return None
    found = _ask(
        f"SELECT id, kind, {_LABEL} FROM llm_request "  # noqa: S608
        "WHERE organization_id = %s AND trace_id = %s AND span_id = %s LIMIT 1",
        [row.organization_id, row.trace_id, row.parent_span_id],
    )
    return Kin(*found[0]) if found else None


def _counted(row: RequestRow) -> Kin | None:
    """The call of the same reply; else the nearest model call below, else the nearest above."""
    found = _ask(
        f"SELECT id, kind, {_LABEL}, span_id, parent_span_id, provider_response_id FROM llm_request "  # noqa: S608
        "WHERE organization_id = %s AND trace_id = %s AND span_id IS NOT NULL LIMIT %s",
        [row.organization_id, row.trace_id, MOST_STEPS],
    )
    calls = [step for step in found if step[1] in MODEL_KINDS and step[0] != row.id]
    same = [step for step in calls if step[5] and step[5] == row.provider_response_id]
    nearest = same[:1] or _below(row.span_id or "", found) or _above(row, found)
    return Kin(*nearest[0][:3]) if nearest else None


def _below(span_id: str, found: list[Sequence[Any]]) -> list[Sequence[Any]]:
    children: dict[str, list[Sequence[Any]]] = {}
    for step in found:
        children.setdefault(step[4] or "", []).append(step)
    level, seen = [span_id], {span_id}
    while level:
        below = [step for parent in level for step in children.get(parent, ()) if step[3] not in seen]
        if calls := [step for step in below if step[1] in MODEL_KINDS]:
            return calls
        level = [step[3] for step in below]
        seen.update(level)
    return []


def _above(row: RequestRow, found: list[Sequence[Any]]) -> list[Sequence[Any]]:
    by_span = {step[3]: step for step in found}
    here, seen = by_span.get(row.parent_span_id), {row.span_id}
    while here is not None and here[3] not in seen:
        if here[1] in MODEL_KINDS:
            return [here]
        seen.add(here[3])
        here = by_span.get(here[4])
    return []


def _ask(query: str, values: list[Any]) -> list[Sequence[Any]]:
    with reader() as cursor:
        cursor.execute(query, values)
        found: list[Sequence[Any]] = cursor.fetchall()
    return found
