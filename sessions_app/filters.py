"""What this room adds to the filter grammar: facts of a whole session, asked of its requests or of the session.

On the requests page `session_total_cost > 1` finds the requests of sessions that cost more, whatever else is asked.
In a question that groups requests into sessions it is asked of each group: `split` says which part of a tree goes
before the grouping (WHERE) and which after (HAVING).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from requests_app import filter_json, filters
from requests_app.filters import And, Clause, Entry, Leaf, Node, leaves


def _of_session(column: str) -> str:
    return (
        f"(SELECT {column} FROM session s "  # noqa: S608
        "WHERE s.organization_id = r.organization_id AND s.session_id = r.session_id)"
    )


ENTRIES = (
    Entry("session_cost", "Session cost", "money", _of_session("s.cost_nano_usd"), "USD", is_offered=False),
    Entry("session_requests", "Session requests", "number", _of_session("s.steps"), is_offered=False),
    Entry(
        "session_tokens", "Session tokens", "number", _of_session("s.input_tokens + s.output_tokens"),
        is_offered=False,
    ),
    Entry("session_input_tokens", "Session input", "number", _of_session("s.input_tokens"), is_offered=False),
    Entry("session_output_tokens", "Session output", "number", _of_session("s.output_tokens"), is_offered=False),
    Entry("session_started", "Session started", "time", _of_session("s.first_at"), is_offered=False),
    Entry("session_ended", "Session ended", "time", _of_session("s.last_at"), is_offered=False),
)  # fmt: skip

HELICONE_COLUMNS: Mapping[str, str] = {
    "session_total_cost": "session_cost", "session_total_requests": "session_requests",
    "session_total_tokens": "session_tokens", "session_prompt_tokens": "session_input_tokens",
    "session_completion_tokens": "session_output_tokens", "session_created_at": "session_started",
    "session_latest_request_created_at": "session_ended", "session_tag": "nothing",
}  # fmt: skip
"""Columns of `sessions_request_response_rmt` beside id and name. No session has a tag yet, so none is found."""

COST = "coalesce(sum(r.cost_nano_usd), 0)"
INPUT = f"coalesce(sum({filters.UNCACHED_INPUT}), 0)"
OUTPUT = f"coalesce(sum({filters.UNREASONED_OUTPUT}), 0)"
AGGREGATES: Mapping[str, str] = {
    "session_cost": COST, "session_requests": "count(*)", "session_tokens": f"({INPUT} + {OUTPUT})",
    "session_input_tokens": INPUT, "session_output_tokens": OUTPUT,
    "session_started": "min(r.requested_at)", "session_ended": "max(r.requested_at)",
}  # fmt: skip
"""The same facts of a group of requests; tokens in Helicone's meaning, since only its API asks this way."""


def contribute() -> None:
    """Once, at start."""
    filters.contribute(ENTRIES)
    filter_json.contribute("sessions_request_response_rmt", HELICONE_COLUMNS)


def split(node: Node) -> tuple[Clause, Clause]:
    """(WHERE, HAVING) for a question that groups requests into sessions. Raises FilterError.

    A part that asks of the session or of a request alike holds where any request of the group does.
    """
    about = {one.key in AGGREGATES for one in leaves(node)}
    if True not in about:
        return filters.compile(node), filters.TRUE
    if isinstance(node, And):
        parts = [split(part) for part in node.parts]
        return _joined(" AND ", [part[0] for part in parts]), _joined(" AND ", [part[1] for part in parts])
    return filters.TRUE, _having(node)


def _having(node: Node) -> Clause:
    """The whole tree as a condition on a group."""
    if not any(one.key in AGGREGATES for one in leaves(node)):
        rows = filters.compile(node)
        return Clause(f"bool_or({rows.sql})", rows.values)
    if isinstance(node, Leaf):
        return _aggregate(node)
    return _joined(" AND " if isinstance(node, And) else " OR ", [_having(part) for part in node.parts])


def _aggregate(node: Leaf) -> Clause:
    value = node.value
    if node.key == "session_cost" and value is not None:
        value = int((Decimal(str(value)) * 10**9) // 1)
    if value is None:
        return filters.TRUE if node.operator == filters.UNEQUAL else filters.FALSE
    return Clause(f"{AGGREGATES[node.key]} {node.operator} %s", (value,))


def _joined(joint: str, parts: list[Clause]) -> Clause:
    if not parts:
        return filters.TRUE
    values = tuple(value for part in parts for value in part.values)
    return Clause("(" + joint.join(part.sql for part in parts) + ")", values)
