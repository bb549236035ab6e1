"""What belongs to a whole trace: whose it is, and which of its steps are the model calls that count.

Facts (user, session, tags) may stand on any span and reach all of them, whenever they come: the root's word wins,
then the earliest. A model call reported by two instrumentations, one inside the other, counts once: the innermost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Final

from llm.exchange import MODEL_KINDS, Attribution, Exchange, PricedExchange
from requests_app.rows import RequestRow

TraceKey = tuple[int, str]
MOST_PROPERTIES: Final = 200
"""A trace shares with each of its steps, however many roots it has."""
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
        over.end_user_id or under.end_user_id, _shared(under.properties, over.properties),
    )  # fmt: skip


def _shared(under: Mapping[str, str], over: Mapping[str, str]) -> Mapping[str, str]:
    together = {**over, **{key: under[key] for key in sorted(under) if key not in over}}
    return together if len(together) <= MOST_PROPERTIES else dict(islice(together.items(), MOST_PROPERTIES))


def filled(said: Attribution, facts: Facts, *, is_span: bool) -> Attribution:
    """An exchange's own facts, and the trace's where it tells none. A span is in its trace's session and its trace's
    user's: what it says itself was heard there, and outweighed."""
    if not (facts.properties.keys() - said.properties.keys()) and (
        (said.session_id or None, said.session_name or None, said.end_user_id or None)
        == (facts.session_id, facts.session_name, facts.end_user_id)
    ):
        return said
    session_id, name, user = _belonging(said.session_id, said.session_name, said.end_user_id, facts, is_span=is_span)
    return replace(
        said, session_id=session_id, session_name=name, end_user_id=user,
        properties={**facts.properties, **said.properties},
    )  # fmt: skip


def _belonging(
    session_id: str | None, name: str | None, user: str | None, facts: Facts, *, is_span: bool
) -> tuple[str | None, str | None, str | None]:  # fmt: skip
    if is_span:
        own_name = name if session_id in (None, facts.session_id) else None
        return facts.session_id or session_id, facts.session_name or own_name, facts.end_user_id or user
    in_session = session_id is None or session_id == facts.session_id
    shared_name = facts.session_name if in_session else None
    return session_id or facts.session_id, name or shared_name, user or facts.end_user_id


def filled_row(row: RequestRow, facts: Facts, *, is_span: bool) -> RequestRow:
    """As `filled`, for a row that is stored already. A property a late fact took away stays away."""
    session_id, name, user = _belonging(row.session_id, row.session_name, row.end_user_id, facts, is_span=is_span)
    amended = row.amended or {}
    shared = {key: value for key, value in facts.properties.items() if f"properties.{key}" not in amended}
    return replace(
        row, session_id=session_id, session_name=name, end_user_id=user, properties={**shared, **row.properties},
    )  # fmt: skip


def key_of(exchange: Exchange) -> TraceKey | None:
    return (exchange.organization_id, exchange.trace_id) if exchange.trace_id else None


# --- counting once ----------------------------------------------------------------------------------------------------


UNIQUE_ID: Final = 16
"""Shortest id of a reply that is taken for one of a kind: `chatcmpl-950` comes again and again."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a trace, as far as counting once needs it. `kind` is what its SDK said."""

    span_id: str
    parent_span_id: str | None
    kind: str
    door: str = "otlp"
    response_id: str | None = None
    """The provider's."""
    told: int = 0
    """How much it tells of usage: 0 for nothing, else the fuller the higher."""

    @property
    def weight(self) -> tuple[bool, int, str]:
        """Whose word counts: what passed the gateway, or was logged, before any span; then the fullest."""
        return (self.door != "otlp", self.told, self.span_id)

    @property
    def tells(self) -> bool:
        return self.told > 0 or self.door != "otlp"


def counts(steps: Sequence[Step]) -> dict[str, bool]:
    """By span id, whether a model call counts. Of several spans that tell one call it is one, in any order.

    Of nested ones (through passing steps alone) the innermost, unless only an outer one tells its usage. Of others that
    name one reply of the provider the one that passed the gateway, or was logged, else the fullest.
    """
    by_id = {step.span_id: step for step in steps}
    calls = [step for step in steps if step.kind in MODEL_KINDS]
    around = {call.span_id: outer for call in calls if (outer := _around(call, by_id)) is not None}
    told_inside, outers = _with_told_inside(calls, around), {outer.span_id for outer in around.values()}
    counted = [
        call for call in calls
        if call.span_id not in told_inside and (call.tells or call.span_id not in outers)
        and not _is_told_outside(call, around, told_inside)
    ]  # fmt: skip
    best = _best(counted)
    ids = {call.span_id for call in counted if best.get(call.response_id or "", call) is call}
    return {call.span_id: call.span_id in ids for call in calls}


def _best(calls: Iterable[Step]) -> dict[str, Step]:
    """By the reply they name, the call whose word counts. Short ids tell nothing of two spans alone."""
    best: dict[str, Step] = {}
    for call in sorted(calls, key=lambda call: call.weight):
        if call.response_id and (len(call.response_id) >= UNIQUE_ID or call.door != "otlp"):
            best[call.response_id] = call
    return best


def _around(call: Step, by_id: Mapping[str, Step]) -> Step | None:
    """The next model call around this one. Parents may form a circle: then nothing is around anything."""
    seen = {call.span_id}
    found, parent = None, by_id.get(call.parent_span_id or "")
    while parent is not None:
        if parent.span_id in seen:
            return None if parent.span_id == call.span_id else found
        seen.add(parent.span_id)
        if found is None:
            if parent.kind in MODEL_KINDS:
                found = parent
            elif parent.kind not in PASSING:
                return None
        parent = by_id.get(parent.parent_span_id or "")
    return found


def _with_told_inside(calls: Iterable[Step], around: Mapping[str, Step]) -> frozenset[str]:
    """The calls with another inside them that tells its usage."""
    found: set[str] = set()
    for call in calls:
        outer = around.get(call.span_id) if call.tells else None
        while outer is not None and outer.span_id not in found:
            found.add(outer.span_id)
            outer = around.get(outer.span_id)
    return frozenset(found)


def _is_told_outside(call: Step, around: Mapping[str, Step], told_inside: frozenset[str]) -> bool:
    """Whether a call around this one tells what none inside it does."""
    outer = around.get(call.span_id)
    while outer is not None:
        if outer.tells and outer.span_id not in told_inside:
            return True
        outer = around.get(outer.span_id)
    return False
