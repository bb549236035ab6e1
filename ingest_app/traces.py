"""What belongs to a whole trace: whose it is, and which of its steps are the model calls that count.

Facts (user, session, tags) may stand on any span and reach all of them, whenever they come: of each fact the root's
word wins, then the earliest. A model call reported by two instrumentations, one inside the other, counts once: the
innermost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Final

from lib.clock import microseconds
from lib.frozen import dataclass, replace
from llm.exchange import MODEL_KINDS, Attribution, Exchange
from requests_app.columns import properties_of, text
from requests_app.rows import RequestRow

TraceKey = tuple[int, str]
MOST_PROPERTIES: Final = 200
"""A trace shares with each of its steps, however many roots it has."""
MOST_NAMES: Final = 20
"""Sessions of one trace whose names are known."""
GIVEN: Final = "trace."
"""Before the name of a field, in a row's `amended`: a call that is no span has it from its trace."""
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


Word = tuple[int, int, str]
"""(0 of the root, 1 of another; microseconds since 1970; what was said): of two the smaller counts."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a trace, each fact by the word that counts most: the same in whatever order they were heard."""

    session: Word | None = None
    user: Word | None = None
    names: Mapping[str, Word] = field(default_factory=dict)
    """Of the session, by the session they were said of; '' where none was named."""
    properties: Mapping[str, Word] = field(default_factory=dict)

    def facts(self) -> Facts:
        session_id = self.session[2] if self.session else None
        names = [self.names[said_of] for said_of in {"", session_id or ""} if said_of in self.names]
        return Facts(
            session_id, min(names)[2] if names else None, self.user[2] if self.user else None,
            {key: word[2] for key, word in self.properties.items()},
        )  # fmt: skip

    def __bool__(self) -> bool:
        return bool(self.session or self.user or self.names or self.properties)


_NOTHING: Final = Told()


def told_by(exchange: Exchange) -> Told:
    """What one exchange says of its trace. Properties are the root's alone to share: a step's are its own."""
    said, is_root = exchange.attribution, exchange.parent_span_id is None and exchange.door == "otlp"
    rank, at = 0 if is_root else 1, microseconds(exchange.requested_at)
    session_id, name, user = text(said.session_id), text(said.session_name), text(said.end_user_id)
    if not is_root and not session_id and not name and not user:
        return _NOTHING
    properties = {key: (rank, at, value) for key, value in properties_of(said).items()} if is_root else {}
    return Told(
        (rank, at, session_id) if session_id else None, (rank, at, user) if user else None,
        {session_id or "": (rank, at, name)} if name else {}, properties,
    )  # fmt: skip


def together(told: Sequence[Told]) -> Told:
    """All of it; of one fact the word that counts most."""
    if len(told) == 1 and len(told[0].properties) <= MOST_PROPERTIES:
        return told[0]
    return Told(
        _first(one.session for one in told), _first(one.user for one in told),
        _weightiest((one.names for one in told), MOST_NAMES),
        _weightiest((one.properties for one in told), MOST_PROPERTIES),
    )  # fmt: skip


def _first(words: Iterable[Word | None]) -> Word | None:
    return min((word for word in words if word), default=None)


def _weightiest(told: Iterable[Mapping[str, Word]], most: int) -> dict[str, Word]:
    """By key the word that counts most; of too many keys those whose words count most."""
    found: dict[str, Word] = {}
    for words in told:
        for key, word in words.items():
            if key not in found or word < found[key]:
                found[key] = word
    if len(found) <= most:
        return found
    return {key: word for word, key in sorted((word, key) for key, word in found.items())[:most]}


# --- on its rows ------------------------------------------------------------------------------------------------------


def filled(said: Attribution, facts: Facts, *, is_span: bool) -> Attribution:
    """An exchange's own facts, and the trace's where it tells none. A span is in its trace's session and its trace's
    user's: what it says itself was heard there, and outweighed. Of any other call is written down what it was given."""
    if not (facts.properties.keys() - said.properties.keys()) and (
        (said.session_id or None, said.session_name or None, said.end_user_id or None)
        == (facts.session_id, facts.session_name, facts.end_user_id)
    ):
        return said
    own = (said.session_id, said.session_name, said.end_user_id)
    session_id, name, user = (_outweighed if is_span else _completed)(*own, facts)
    given = {} if is_span else _given(own, (session_id, name, user), facts.properties.keys() - said.properties.keys())
    return replace(
        said, session_id=session_id, session_name=name, end_user_id=user,
        properties={**facts.properties, **said.properties}, given=given or None,
    )  # fmt: skip


_FIELDS: Final = ("session_id", "session_name", "end_user_id")
Whose = tuple[str | None, str | None, str | None]
"""The values of _FIELDS."""


def _outweighed(session_id: str | None, name: str | None, user: str | None, facts: Facts) -> Whose:
    own_name = name if session_id in (None, facts.session_id) else None
    return facts.session_id or session_id, facts.session_name or own_name, facts.end_user_id or user


def _completed(session_id: str | None, name: str | None, user: str | None, facts: Facts) -> Whose:
    shared_name = facts.session_name if session_id in (None, facts.session_id) else None
    return session_id or facts.session_id, name or shared_name, user or facts.end_user_id


def _given(own: Whose, now: Whose, properties: Iterable[str]) -> dict[str, int]:
    fields = [name for name, was, found in zip(_FIELDS, own, now, strict=True) if found and not was]
    return dict.fromkeys((GIVEN + name for name in (*fields, *(f"properties.{key}" for key in sorted(properties)))), 0)


def filled_row(row: RequestRow, facts: Facts, *, own: Mapping[str, str] | None = None) -> RequestRow:
    """As `filled`, for a row that is stored already. A property a late fact took away stays away.

    `own`: the properties a span told itself, where some it has may be its trace's and hold no more.
    """
    amended = row.amended or {}
    shared = {key: value for key, value in facts.properties.items() if f"properties.{key}" not in amended}
    if row.door != "otlp":
        return _filled_call(row, facts, shared)
    session_id, name, user = _outweighed(row.session_id, row.session_name, row.end_user_id, facts)
    kept = row.properties if own is None else {
        key: value for key, value in row.properties.items() if key in own or f"properties.{key}" in amended
    }  # fmt: skip
    return replace(row, session_id=session_id, session_name=name, end_user_id=user, properties={**shared, **kept})


def _filled_call(row: RequestRow, facts: Facts, shared: Mapping[str, str]) -> RequestRow:
    """What its trace gave it before it gives it again."""
    amended = row.amended or {}
    own: Whose = tuple(None if GIVEN + name in amended else getattr(row, name) for name in _FIELDS)  # type: ignore[assignment]
    kept = {key: value for key, value in row.properties.items() if f"{GIVEN}properties.{key}" not in amended}
    session_id, name, user = _completed(*own, facts)
    told = {key: at for key, at in amended.items() if not key.startswith(GIVEN)}
    told |= _given(own, (session_id, name, user), shared.keys() - kept.keys())
    return replace(
        row, session_id=session_id, session_name=name, end_user_id=user, properties={**shared, **kept},
        amended=told or None,
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
