"""What the pages ask about traces: one by its id, and the newest of those that belong to no session.

Which traces there are is kept by the line in `trace`, one row each; what they came to is summed from the ground.
"""
# ruff: noqa: S608 - what is put together here are columns and clauses of ours; every value is bound

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from llm.exchange import MODEL_KINDS
from requests_app.filters import EVERYTHING, Node
from requests_app.filters import compile as compile_filter
from sessions_app.queries import MOST_STEPS, STEP_COLUMNS, ask
from sessions_app.tree import Step

Seen = tuple[datetime, str]
"""Where a page ended: when the last trace was last heard of, and its id."""


@dataclass(frozen=True, slots=True)
class Question:
    """Traces without a session whose latest step began in [start, end), None for no bound."""

    start: datetime | None = None
    end: datetime | None = None
    filter: Node = EVERYTHING
    """Of requests: a trace is found by any step of it that is so."""
    after: Seen | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One trace, summed over the steps still stored."""

    trace_id: str
    name: str
    """Of its root; of its first step where the root has not come."""
    kind: str
    has_root: bool
    first_at: datetime
    ended_at: datetime
    steps: int
    requests: int
    """Steps that call a model."""
    errors: int
    priced: int
    unpriced: int
    cost_nano_usd: int
    end_users: tuple[str, ...]
    model_names: tuple[str, ...]

    @property
    def wall_ms(self) -> int:
        return (self.ended_at - self.first_at) // timedelta(milliseconds=1)

    @property
    def known_cost(self) -> int | None:
        """Nano-USD of what is priced; None where nothing is."""
        return self.cost_nano_usd if self.priced or not self.requests else None


@dataclass(frozen=True, slots=True)
class Page:
    rows: tuple[TraceRow, ...]
    next: Seen | None
    """What `after` is on the next page; None on the last."""


_SUMS = """
SELECT trace_id,
    (array_agg(coalesce(nullif(name, ''), model, kind) ORDER BY parent_span_id IS NOT NULL, requested_at, id))[1],
    (array_agg(kind ORDER BY parent_span_id IS NOT NULL, requested_at, id))[1],
    bool_or(parent_span_id IS NULL), min(requested_at),
    max(requested_at + coalesce(duration_ms, 0) * interval '1 millisecond'),
    count(*), count(*) FILTER (WHERE kind = ANY(%(kinds)s)), count(*) FILTER (WHERE status NOT BETWEEN 200 AND 399),
    count(cost_nano_usd) FILTER (WHERE kind = ANY(%(kinds)s)),
    count(*) FILTER (WHERE kind = ANY(%(kinds)s) AND cost_nano_usd IS NULL AND status BETWEEN 200 AND 399),
    coalesce(sum(cost_nano_usd) FILTER (WHERE kind = ANY(%(kinds)s)), 0)::bigint,
    coalesce(array_agg(DISTINCT end_user_id) FILTER (WHERE end_user_id IS NOT NULL), '{}'),
    coalesce(array_agg(DISTINCT model) FILTER (WHERE model IS NOT NULL AND kind = ANY(%(kinds)s)), '{}')
FROM llm_request WHERE organization_id = %(org)s AND trace_id = ANY(%(ids)s) GROUP BY trace_id
"""


def trace_page(organization_id: int, question: Question) -> Page:
    """Newest first. Raises TooSlow."""
    where, values = _where(organization_id, question)
    found = ask(
        f"SELECT last_at, trace_id FROM trace WHERE {where} ORDER BY last_at DESC, trace_id DESC LIMIT %(limit)s",
        {**values, "limit": question.limit + 1},
    )
    shown = found[: question.limit]
    rows = _summed(organization_id, [trace_id for _, trace_id in shown])
    return Page(rows, (shown[-1][0], shown[-1][1]) if len(found) > question.limit else None)


def has_any(organization_id: int) -> bool:
    """Whether the organisation has a trace of no session."""
    ((found,),) = ask(
        "SELECT EXISTS (SELECT 1 FROM trace WHERE organization_id = %(org)s AND session_id IS NULL)",
        {"org": organization_id},
    )
    return bool(found)


_STEPS = f"""
SELECT {STEP_COLUMNS} FROM llm_request WHERE organization_id = %(org)s AND trace_id = %(id)s
ORDER BY requested_at, id LIMIT %(limit)s
"""


def trace_steps(organization_id: int, trace_id: str, *, limit: int = MOST_STEPS) -> tuple[list[Step], str | None]:
    """The first `limit` steps of a trace in time order, and the session they belong to."""
    rows = ask(_STEPS, {"org": organization_id, "id": trace_id, "kinds": sorted(MODEL_KINDS), "limit": limit})
    sessions = ask(
        "SELECT session_id FROM llm_request WHERE organization_id = %(org)s AND trace_id = %(id)s "
        "AND session_id IS NOT NULL LIMIT 1", {"org": organization_id, "id": trace_id},
    )  # fmt: skip
    return [Step(*row) for row in rows], sessions[0][0] if sessions else None


def _summed(organization_id: int, trace_ids: Sequence[str]) -> tuple[TraceRow, ...]:
    """In the order of the ids; those of which nothing is stored any more are left out."""
    if not trace_ids:
        return ()
    rows = ask(_SUMS, {"org": organization_id, "ids": list(trace_ids), "kinds": sorted(MODEL_KINDS)})
    found = {row[0]: TraceRow(*_facts(row)) for row in rows}
    return tuple(found[trace_id] for trace_id in trace_ids if trace_id in found)


def _facts(row: Sequence[Any]) -> Sequence[Any]:
    return [tuple(value) if isinstance(value, list) else value for value in row]


def _where(organization_id: int, question: Question) -> tuple[str, dict[str, Any]]:
    """The condition on `trace` and its values. Every value is bound."""
    filtered, filter_values = _of_requests(question.filter)
    conditions = [
        ("organization_id = %(org)s AND session_id IS NULL", True),
        ("last_at >= %(start)s", question.start is not None),
        ("last_at < %(end)s", question.end is not None),
        ("(last_at, trace_id) < (%(after)s, %(after_id)s)", question.after is not None),
        (filtered, bool(filtered)),
    ]
    after, after_id = question.after or (None, None)
    values = {"org": organization_id, "start": question.start, "end": question.end, "after": after,
              "after_id": after_id, **filter_values}  # fmt: skip
    return " AND ".join(text for text, applies in conditions if applies), values


def _of_requests(tree: Node) -> tuple[str, dict[str, Any]]:
    """A condition on `trace` that one of its steps meets; empty for a tree that says everything."""
    if tree == EVERYTHING:
        return "", {}
    clause = compile_filter(tree)
    first, *rest = clause.sql.split("%s")
    written = first + "".join(f"%(filter_{place})s{text}" for place, text in enumerate(rest))
    exists = (
        "EXISTS (SELECT 1 FROM llm_request r WHERE r.organization_id = trace.organization_id "
        f"AND r.trace_id = trace.trace_id AND {written})"
    )
    return exists, {f"filter_{place}": value for place, value in enumerate(clause.values)}
