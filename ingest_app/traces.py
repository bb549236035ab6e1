"""What belongs to a whole trace: whose it is, and which of its steps are the model calls that count.

Facts (user, session, tags) may stand on any span and reach all of them, whenever they come: the root's word wins,
then the earliest. A model call reported by two instrumentations, one inside the other, counts once: the innermost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from llm.exchange import MODEL_KINDS, Attribution, Exchange, PricedExchange
from requests_app.rows import RequestRow

TraceKey = tuple[int, str]
PASSING: Final = frozenset({"span", "event"})
"""Kinds through which a call is still the same call: the HTTP client's span between an SDK's and the gateway's."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a trace's spans say of all of it."""

    session_id: str | None = None
    session_name: str | None = None
    end_user_id: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.session_id or self.session_name or self.end_user_id or self.properties)


@dataclass(frozen=True, slots=True)
class Said:
    """Facts, and how much their speaker's word counts: the root's before others', then the earliest's."""

    facts: Facts
    is_root: bool
    at: datetime

    @property
    def weight(self) -> tuple[bool, float]:
        return (self.is_root, -self.at.timestamp())


def said_by(priced: PricedExchange) -> Said:
    """What one exchange says of its trace. Properties are the root's alone to share: a step's are its own."""
    exchange = priced.exchange
    said, is_root = exchange.attribution, exchange.parent_span_id is None and exchange.door == "otlp"
    facts = Facts(said.session_id, said.session_name, said.end_user_id, said.properties if is_root else {})
    return Said(facts, is_root, exchange.requested_at)


def told(known: Said | None, said: Iterable[Said]) -> Said | None:
    """What is known of a trace after some more has been said."""
    everything = sorted((one for one in (*((known,) if known else ()), *said) if one.facts), key=lambda one: one.weight)
    if not everything:
        return None
    facts = Facts()
    for one in everything:
        facts = _over(facts, one.facts)
    return Said(facts, everything[-1].is_root, everything[-1].at)


def _over(under: Facts, over: Facts) -> Facts:
    return Facts(
        over.session_id or under.session_id,
        (over.session_name or under.session_name) if over.session_id in (None, under.session_id) else over.session_name,
        over.end_user_id or under.end_user_id, {**under.properties, **over.properties},
    )  # fmt: skip


def filled(said: Attribution, facts: Facts) -> Attribution:
    """An exchange's own facts, and the trace's where it tells none."""
    in_session = said.session_id is None or said.session_id == facts.session_id
    return replace(
        said, session_id=said.session_id or facts.session_id,
        session_name=said.session_name or (facts.session_name if in_session else None),
        end_user_id=said.end_user_id or facts.end_user_id, properties={**facts.properties, **said.properties},
    )  # fmt: skip


def filled_row(row: RequestRow, facts: Facts) -> RequestRow:
    """As `filled`, for a row that is stored already. A property a late fact took away stays away."""
    in_session = row.session_id is None or row.session_id == facts.session_id
    amended = row.amended or {}
    shared = {key: value for key, value in facts.properties.items() if f"properties.{key}" not in amended}
    return replace(
        row, session_id=row.session_id or facts.session_id,
        session_name=row.session_name or (facts.session_name if in_session else None),
        end_user_id=row.end_user_id or facts.end_user_id, properties={**shared, **row.properties},
    )  # fmt: skip


def key_of(exchange: Exchange) -> TraceKey | None:
    return (exchange.organization_id, exchange.trace_id) if exchange.trace_id else None


# --- counting once ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a trace, as far as counting once needs it. `kind` is what its SDK said."""

    span_id: str
    parent_span_id: str | None
    kind: str
    door: str = "otlp"
    response_id: str | None = None


def counts(steps: Sequence[Step]) -> dict[str, bool]:
    """By span id, whether a model call counts: not one that has another below it, through passing steps alone.

    Nor one whose reply passed the gateway, or was logged, in the same trace: the step between may never be exported.
    """
    by_id = {step.span_id: step for step in steps}
    passed = {step.response_id for step in steps if step.door != "otlp" and step.kind in MODEL_KINDS} - {None}
    outer = {step.span_id for step in steps if step.door == "otlp" and step.response_id in passed}
    for step in steps:
        if step.kind in MODEL_KINDS:
            _mark_outer(step, by_id, outer)
    return {step.span_id: step.span_id not in outer for step in steps if step.kind in MODEL_KINDS}


def _mark_outer(step: Step, by_id: Mapping[str, Step], outer: set[str]) -> None:
    """Marks the model calls around this one. Parents may form a circle; a step already seen ends the walk."""
    seen = {step.span_id}
    parent = by_id.get(step.parent_span_id or "")
    while parent is not None and parent.span_id not in seen:
        seen.add(parent.span_id)
        if parent.kind in MODEL_KINDS:
            outer.add(parent.span_id)
            return
        if parent.kind not in PASSING:
            return
        parent = by_id.get(parent.parent_span_id or "")
