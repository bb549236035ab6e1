"""What stands in a spool record: an Exchange's facts as JSON, its bodies beside them; or a late fact.

The only place that knows the spelling. A reader of tomorrow must still read what today's version spooled, so names
are never reused and unknown ones are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID, uuid5

import orjson

from ingest_app.spool import Entry, Kind, Record
from lib.clock import from_microseconds, microseconds
from lib.frozen import dataclass, replace
from llm.exchange import (
    STATUS_INTERRUPTED,
    Attribution,
    Body,
    CacheHit,
    Estimate,
    Exchange,
    Forward,
    Hold,
    Meter,
    Problem,
    Prompt,
    Reading,
    Usage,
)

VERSION = 1
LARGEST_SCORE = 10**15
STEPS = UUID("5b2f6c9e-7f0d-5c11-9a43-2d1c0a8e77b4")
"""The namespace of ids under which facts about a span wait for it."""
T = TypeVar("T")


def begin(exchange: Exchange) -> Record:
    """An exchange as its request is sent: what is known of it, and as much of the request body as is there."""
    return Record(Kind.BEGIN, exchange.id.bytes, _facts(exchange), exchange.request.data or None)


def piece(exchange_id: UUID, *, request: bytes | None = None, response: bytes | None = None) -> Record:
    """More bytes of a body, in order, while the exchange goes on."""
    return Record(Kind.PIECE, exchange_id.bytes, b"{}", request, response)


def end(exchange: Exchange) -> Record:
    """The finished exchange. Its bodies hold what BEGIN and the PIECEs did not."""
    return Record(
        Kind.END, exchange.id.bytes, _facts(exchange), exchange.request.data or None, exchange.response.data or None
    )


def whole(exchange: Exchange) -> Record:
    """A finished exchange nobody began: a log door's."""
    return end(exchange)._replace(kind=Kind.WHOLE)


@dataclass(frozen=True, slots=True)
class Amendment:
    """Late facts about one request. They set, never add; of two on the same field the later `at` wins.

    `request_id` is our id or one the client chose, or made of `step` (`of_step`). Properties and scores are set key by
    key; None removes a key.
    """

    organization_id: int
    request_id: UUID
    at: datetime
    properties: Mapping[str, str | None] | None = None
    scores: Mapping[str, float | None] | None = None
    step: str = ""
    """A span as `<trace id>:<span id>`, or the root of a trace as `<trace id>:`."""


@dataclass(frozen=True, slots=True)
class LateBodies:
    """Both bodies of a call that is told apart from them, under the id its client chose."""

    organization_id: int
    request_id: UUID
    at: datetime
    request: bytes
    response: bytes


def of_step(step: str) -> UUID:
    """The id under which what is said of a span is filed, until the span has one of ours."""
    return uuid5(STEPS, step)


@dataclass(frozen=True, slots=True)
class Forget:
    """Erase these requests, bodies and counts."""

    organization_id: int
    request_ids: tuple[UUID, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class ForgetWhere:
    """Erase every request in [since, until) that a filter holds for, bodies and counts; at most a day of them.

    `filter` is a query string (requests_app/filter_url.py).
    """

    organization_id: int
    filter: str
    since: datetime
    until: datetime
    at: datetime


Said = Exchange | Amendment | LateBodies | Forget
_BODIES = "bodies"


def amendment(fact: Amendment) -> Record:
    return Record(Kind.AMENDMENT, None, orjson.dumps({
        "v": VERSION, "organization_id": fact.organization_id, "request_id": str(fact.request_id),
        "at": microseconds(fact.at), "properties": fact.properties, "scores": fact.scores,
        **({"step": fact.step} if fact.step else {}),
    }))


def late_bodies(fact: LateBodies) -> Record:
    facts = {
        "v": VERSION, "what": _BODIES, "organization_id": fact.organization_id, "request_id": str(fact.request_id),
        "at": microseconds(fact.at),
    }  # fmt: skip
    return Record(Kind.AMENDMENT, None, orjson.dumps(facts), fact.request, fact.response)


def forget(fact: Forget) -> Record:
    return Record(Kind.FORGET, None, orjson.dumps({
        "v": VERSION, "organization_id": fact.organization_id, "at": microseconds(fact.at),
        "request_ids": [str(request_id) for request_id in fact.request_ids],
    }))


def forget_where(fact: ForgetWhere) -> Record:
    return Record(Kind.FORGET_WHERE, None, orjson.dumps({
        "v": VERSION, "organization_id": fact.organization_id, "filter": fact.filter, "at": microseconds(fact.at),
        "since": microseconds(fact.since), "until": microseconds(fact.until),
    }))


def read_order(entry: Entry) -> ForgetWhere:
    """Raises as `read` does."""
    facts = orjson.loads(entry.facts)
    since, until, at = (from_microseconds(facts[name]) for name in ("since", "until", "at"))
    return ForgetWhere(facts["organization_id"], facts["filter"], since, until, at)


def read(entry: Entry) -> Said:
    """What the entry says. Raises ValueError, KeyError or TypeError for a record nobody can read."""
    facts = orjson.loads(entry.facts)
    if entry.kind is Kind.AMENDMENT and facts.get("what") == _BODIES:
        at = from_microseconds(facts["at"])
        return LateBodies(
            facts["organization_id"], UUID(facts["request_id"]), at, entry.request or b"", entry.response or b""
        )
    if entry.kind is Kind.AMENDMENT:
        return Amendment(
            organization_id=facts["organization_id"], request_id=UUID(facts["request_id"]),
            at=from_microseconds(facts["at"]), properties=facts.get("properties"), scores=facts.get("scores"),
            step=facts.get("step", ""),
        )
    if entry.kind is Kind.FORGET:
        return Forget(
            organization_id=facts["organization_id"], at=from_microseconds(facts["at"]),
            request_ids=tuple(UUID(text) for text in facts["request_ids"]),
        )
    exchange = _exchange(facts, entry.request, entry.response)
    return _interrupted(exchange) if entry.is_interrupted else exchange


def _interrupted(exchange: Exchange) -> Exchange:
    return replace(
        exchange,
        status=STATUS_INTERRUPTED,
        request=replace(exchange.request, size=max(exchange.request.size, len(exchange.request.data))),
        response=replace(exchange.response, size=len(exchange.response.data)),
        problems=(*exchange.problems, Problem("interrupted", "the gateway process ended before the reply did")),
    )


_PLAIN = (
    "organization_id", "door", "provider", "status", "method", "url", "duration_ms", "time_to_first_token_ms",
    "api_key_id", "country_code", "trace_id", "span_id", "parent_span_id", "threat",
)  # fmt: skip
_ATTRIBUTED = tuple(f.name for f in fields(Attribution))
_plain_of = attrgetter(*_PLAIN)
_attributed_of = attrgetter(*_ATTRIBUTED)


def _facts(exchange: Exchange) -> bytes:
    """Every field that says something; what is empty is left out."""
    facts = _said(_PLAIN, _plain_of(exchange))
    facts["v"] = VERSION
    facts["id"] = exchange.id
    facts["requested_at"] = microseconds(exchange.requested_at)
    facts["request"] = _body_facts(exchange.request)
    facts["response"] = _body_facts(exchange.response)
    facts["request_headers"] = exchange.request_headers
    facts["response_headers"] = exchange.response_headers
    facts["attribution"] = attribution = _said(_ATTRIBUTED, _attributed_of(exchange.attribution))
    if not exchange.attribution.properties:
        del attribution["properties"]
    if exchange.reading is not None:
        facts["reading"] = _reading_facts(exchange.reading)
    if exchange.cache_hit is not None:
        facts["cache_hit"] = (exchange.cache_hit.original, exchange.cache_hit.latency_ms)
    if exchange.forward is not None:
        facts["forward"] = (exchange.forward.host, exchange.forward.sealed)
    if exchange.prompt is not None:
        told = exchange.prompt
        facts["prompt"] = (told.template, told.inputs, told.auto_inputs)
    if exchange.meters:
        facts["meters"] = [(meter.key, meter.quota, meter.window) for meter in exchange.meters]
    if exchange.holds:
        facts["holds"] = [(hold.spent, hold.holds) for hold in exchange.holds]
    if exchange.problems:
        facts["problems"] = [(problem.code, problem.detail) for problem in exchange.problems]
    return _dumped(facts)


def _said(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return {name: value for name, value in zip(names, values, strict=True) if value is not None}


def _dumped(facts: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(facts)
    except TypeError:
        return orjson.dumps(_without_surrogates(facts), default=str)


def _without_surrogates(value: Any) -> Any:
    """JSON may escape half a character; UTF-8 cannot hold it."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_without_surrogates(str(key)): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _without_surrogates(getattr(value, f.name)) for f in fields(value)}
    return value


def _body_facts(body: Body) -> tuple[str, str, int, str]:
    return (body.content_type, body.content_encoding, body.size, body.state)


def _reading_facts(reading: Reading) -> dict[str, Any]:
    facts = {f.name: getattr(reading, f.name) for f in fields(Reading)}
    folded = facts.pop("folded_response")
    if folded is not None:
        facts["folded_response"] = folded.decode("utf-8", "replace")
    return facts


def _exchange(facts: Mapping[str, Any], request: bytes, response: bytes) -> Exchange:
    return Exchange(
        **{name: facts[name] for name in _PLAIN if name in facts},
        id=UUID(facts["id"]),
        requested_at=from_microseconds(facts["requested_at"]),
        request=_body(facts["request"], request),
        response=_body(facts["response"], response),
        request_headers=facts["request_headers"],
        response_headers=facts["response_headers"],
        attribution=_known(Attribution, facts["attribution"]),
        reading=_reading(facts["reading"]) if "reading" in facts else None,
        problems=tuple(Problem(code, detail) for code, detail in facts.get("problems", ())),
        cache_hit=_cache_hit(facts.get("cache_hit")),
        meters=tuple(Meter(*told) for told in facts.get("meters", ())),
        holds=tuple(Hold(*told) for told in facts.get("holds", ())),
        prompt=_prompt(facts.get("prompt")),
        forward=Forward(*facts["forward"]) if facts.get("forward") else None,
    )


def _cache_hit(told: tuple[str, int] | None) -> CacheHit | None:
    return None if told is None else CacheHit(UUID(told[0]), told[1])


def _prompt(told: tuple[Any, Mapping[str, str], list[Any]] | None) -> Prompt | None:
    return None if told is None else Prompt(told[0], told[1], tuple(told[2]))


def _body(facts: tuple[str, str, int, str], data: bytes) -> Body:
    content_type, content_encoding, size, state = facts
    return Body(data, content_type, content_encoding, size, state)  # type: ignore[arg-type]


def _reading(facts: Mapping[str, Any]) -> Reading:
    folded = facts.get("folded_response")
    return _known(Reading, {
        **facts,
        "usage": _known(Usage, facts["usage"]),
        "estimate": _known(Estimate, facts["estimate"]) if facts.get("estimate") else None,
        "tool_calls": tuple(facts["tool_calls"]),
        "folded_response": None if folded is None else folded.encode(),
        "problems": tuple(Problem(**problem) for problem in facts["problems"]),
    })


def _known(kind: type[T], facts: Mapping[str, Any]) -> T:
    names = _names(kind)  # type: ignore[arg-type]
    return kind(**{name: value for name, value in facts.items() if name in names})


@cache
def _names(kind: type[Any]) -> frozenset[str]:
    return frozenset(f.name for f in fields(kind))
