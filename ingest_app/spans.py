"""Spans in the line: whose trace they are in, the same one told twice, and each model call counted once.

    fill      facts of a trace reach the batch's exchanges                       (before they are stored)
    settle    the same span again is merged, facts reach siblings, nested calls count once          (after)

Everything happens in the batch's transaction, under the rows of its traces: what two lines know of one trace is
never half.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from ingest_app import amendments, merging, otlp, store_traces, traces
from ingest_app.otlp_document import CONTENT_TYPE
from ingest_app.store_traces import StoredStep
from ingest_app.traces import Facts, Step, Told, TraceKey
from lib import clock
from lib.frozen import dataclass, replace
from llm.exchange import MODEL_KINDS, Body, Charge, Exchange, ParsedExchange, PricedExchange, Problem, Reading
from llm.parse import parse
from llm.pricing import PriceBook
from requests_app import columns, store, store_rewriting
from requests_app.columns import row_of
from requests_app.rows import Change, RequestRow

COUNTED_IN_CHILD: Final = "counted_in_child"
PROMOTED: Final = "promoted_agent"
OVERRULED: Final = (COUNTED_IN_CHILD, PROMOTED)
"""Problems that say a row's kind is another than its SDK's: `code: kind`."""
FAILED: Final = 500
"""The status of a failed span until somebody says which it was."""
WATCHED_KINDS: Final = frozenset({"agent", "chain", "workflow"})
PROMOTE_AFTER: Final = timedelta(minutes=10)
PROMOTED_AT_ONCE: Final = 1_000
"""Steps looked at again in one transaction, of which there is one each few seconds: more than come meanwhile."""
CHANGED_AT_ONCE: Final = 20_000
"""Siblings a new fact of a trace reaches in one transaction."""


# --- reading ----------------------------------------------------------------------------------------------------------


def placed(exchange: Exchange, reading: Reading) -> ParsedExchange:
    """The exchange with what its span says of itself where its door left it open."""
    said = reading.span
    if said is None:
        return ParsedExchange(exchange, reading)
    own = exchange.attribution
    attribution = replace(
        own, session_id=own.session_id or said.session_id, session_name=own.session_name or said.session_name,
        session_path=own.session_path or said.session_path, end_user_id=own.end_user_id or said.end_user_id,
        properties={**said.properties, **own.properties}, prompt_id=own.prompt_id or said.prompt_id,
        prompt_version=own.prompt_version or said.prompt_version,
    )  # fmt: skip
    first_token_ms = exchange.time_to_first_token_ms
    status = said.http_status if said.http_status and exchange.status == FAILED else exchange.status
    return ParsedExchange(replace(
        exchange, status=status, provider=exchange.provider or said.provider, attribution=attribution,
        time_to_first_token_ms=said.time_to_first_token_ms if first_token_ms is None else first_token_ms,
    ), reading)  # fmt: skip


# --- before storing ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filled:
    """A batch whose exchanges know what their traces do."""

    batch: Sequence[PricedExchange]
    spread: Mapping[TraceKey, tuple[Facts, Facts]] = field(default_factory=dict)
    """Facts before and now, of traces of which they are news to spans stored before."""
    new: frozenset[TraceKey] = frozenset()
    """Traces of which nothing was stored before."""
    known: frozenset[TraceKey] = frozenset()
    """The others of the batch."""


def fill(connection: store.Db, batch: Sequence[PricedExchange]) -> Filled:
    """Locks the batch's traces, learns from it and tells it what they know."""
    lasts: dict[TraceKey, datetime] = {}
    said: dict[TraceKey, list[Told]] = {}
    for priced in batch:
        if (key := traces.key_of(priced.exchange)) is not None:
            lasts[key] = max(lasts.get(key, priced.exchange.requested_at), priced.exchange.requested_at)
            said.setdefault(key, []).append(traces.told_by(priced.exchange))
    if not lasts:
        return Filled(batch)
    heard = {key: traces.together(told) for key, told in said.items()}
    before = store_traces.touch(connection, lasts, heard)
    now = {key: heard[key] if was is None else traces.together((was, heard[key])) for key, was in before.items()}
    news = {key: was for key, was in before.items() if was is not None and was != now[key]}
    store_traces.tell(connection, {key: now[key] for key in news})
    facts = {key: told.facts() for key, told in now.items() if told}
    new = frozenset(key for key, was in before.items() if was is None)
    return Filled(
        [_filled(priced, facts) for priced in batch], {key: (was.facts(), facts[key]) for key, was in news.items()},
        new, frozenset(before.keys() - new),
    )  # fmt: skip


def _filled(priced: PricedExchange, facts: Mapping[TraceKey, Facts]) -> PricedExchange:
    exchange = priced.exchange
    key = traces.key_of(exchange)
    if key is None or key not in facts:
        return priced
    attribution = traces.filled(exchange.attribution, facts[key], is_span=exchange.door == "otlp")
    if attribution is exchange.attribution:
        return priced
    return PricedExchange(replace(exchange, attribution=attribution), priced.reading, priced.charge)


# --- after storing ----------------------------------------------------------------------------------------------------


def settle(connection: store.Db, filled: Filled, stored: store.Stored, prices: PriceBook) -> list[Change]:
    """What storing the batch changed, merged, spread and counted once; one change a row."""
    changes = list(stored.changes)
    if not filled.new and not filled.known:
        return changes
    changes += _merged(connection, stored.again, prices)
    for key, (before, facts) in filled.spread.items():
        changes += _spread(connection, key, facts, before=before)
    changes = amendments.composed(changes)
    changes += _counted_once(connection, _steps(connection, filled, changes), prices)
    _watch(connection, (change.after for change in changes if change.after))
    return amendments.composed(changes)


def _steps(
    connection: store.Db, filled: Filled, changes: Iterable[Change]
) -> Mapping[TraceKey, Sequence[StoredStep]]:
    """The steps of every trace of the batch; of a new one they are those just stored."""
    found: dict[TraceKey, list[StoredStep]] = {}
    for change in changes:
        row = change.after
        if row and row.trace_id and row.span_id and (key := (row.organization_id, row.trace_id)) in filled.new:
            found.setdefault(key, []).append(store_traces.step_of(row))
    return {**found, **store_traces.steps(connection, filled.known)}


def _merged(
    connection: store.Db, again: Sequence[tuple[store.Key, PricedExchange]], prices: PriceBook
) -> Iterable[Change]:
    by_key: dict[store.Key, list[PricedExchange]] = {}
    for key, priced in again:
        by_key.setdefault(key, []).append(priced)
    for key in sorted(by_key):
        before = store.lock_row(connection, key)
        if before is None or before.door != "otlp":
            continue
        if (change := _merge(connection, before, by_key[key], prices)) is not None:
            yield change


def _merge(
    connection: store.Db, before: RequestRow, told: Sequence[PricedExchange], prices: PriceBook
) -> Change | None:
    key = (before.organization_id, before.requested_at, before.id)
    kept = store_rewriting.request_body(connection, key)
    documents = [orjson.loads(data) for data in (kept, *(one.exchange.request.data for one in told)) if data]
    data = orjson.dumps(merging.merged(documents or [{}]))
    if len(data) > merging.MAX_BYTES:
        data = orjson.dumps(merging.fullest(documents))
    if data == kept:
        return None
    after = _read_again(before, data, prices, said=told[-1].exchange)
    store_rewriting.replace_request_body(connection, key, data)
    return _written(connection, before, after)


def _read_again(row: RequestRow, data: bytes, prices: PriceBook, *, said: Exchange) -> RequestRow:
    """The row of a merged document, in its old place, with what was said of it later."""
    document = orjson.loads(data)
    body = Body(data, CONTENT_TYPE, "", len(data), row.request_state)  # type: ignore[arg-type]
    exchange = replace(
        otlp.retold(said, document), id=row.id, requested_at=row.requested_at, request=body,
        api_key_id=row.api_key_id or said.api_key_id,
    )  # fmt: skip
    parsed = placed(exchange, parse(exchange))
    priced = PricedExchange(parsed.exchange, parsed.reading, prices.charge(parsed.exchange, parsed.reading))
    return _kept(row, row_of(priced))


def _kept(old: RequestRow, new: RequestRow) -> RequestRow:
    """`new` with what `old` knew from elsewhere: its trace's facts, and facts said late."""
    facts = Facts(old.session_id, old.session_name, old.end_user_id, old.properties)
    amended = old.amended or {}
    told = {name.removeprefix("properties.") for name in amended if name.startswith("properties.")}
    removed = told - old.properties.keys()
    late = {key: value for key, value in old.properties.items() if f"properties.{key}" in amended}
    filled = traces.filled_row(new, facts)
    properties = {key: value for key, value in filled.properties.items() if key not in removed}
    return replace(filled, properties={**properties, **late}, scores=old.scores, amended=old.amended)


def _written(connection: store.Db, before: RequestRow, after: RequestRow) -> Change | None:
    if after == before:
        return None
    store_rewriting.rewrite(connection, [after])
    return Change(before, after)


def _spread(connection: store.Db, key: TraceKey, facts: Facts, *, before: Facts) -> list[Change]:
    """Facts of a trace on its rows that were stored before they were known."""
    stale = {name: value for name, value in before.properties.items() if facts.properties.get(name) != value}
    rows = store_rewriting.rows_of_trace(
        connection, *key, limit=CHANGED_AT_ONCE,
        condition="session_id IS DISTINCT FROM %s OR end_user_id IS DISTINCT FROM %s "
        "OR session_name IS DISTINCT FROM %s OR NOT properties @> %s::jsonb OR properties ?| %s",
        values=(facts.session_id, facts.end_user_id, facts.session_name,
                orjson.dumps(dict(facts.properties)).decode(), list(stale)),
    )  # fmt: skip
    told = [(row, traces.filled_row(row, facts, own=_own(connection, row, stale))) for row in rows]
    changes = [Change(row, after) for row, after in told if after != row]
    store_rewriting.rewrite(connection, [change.after for change in changes if change.after])
    return changes


def _own(connection: store.Db, row: RequestRow, stale: Mapping[str, str]) -> Mapping[str, str] | None:
    """The properties a span told itself, where it has one its trace may have given it; None where all may stay."""
    if row.door != "otlp" or not any(row.properties.get(name) == value for name, value in stale.items()):
        return None
    read = _read_row(connection, row)
    return columns.properties_of(read.exchange.attribution) if read else {}


# --- each model call once ---------------------------------------------------------------------------------------------


def told_kind(step: StoredStep | RequestRow) -> str:
    """What its SDK said it was."""
    for problem in step.problems:
        code, _, kind = problem.partition(": ")
        if code in OVERRULED and kind:
            return kind
    return step.kind


def _counted_once(
    connection: store.Db, steps: Mapping[TraceKey, Sequence[StoredStep]], prices: PriceBook
) -> Iterable[Change]:
    for key, found in sorted(steps.items()):
        if len(found) > 1:
            yield from _overruled(connection, key[0], found, prices)


def _overruled(
    connection: store.Db, organization_id: int, found: Sequence[StoredStep], prices: PriceBook
) -> Iterable[Change]:
    by_id = {step.span_id: step for step in found}
    counts = traces.counts([
        Step(step.span_id, step.parent_span_id, told_kind(step), step.door, step.response_id, step.told)
        for step in found
    ])
    for span_id, is_counted in sorted(counts.items()):
        step = by_id[span_id]
        if is_counted == (step.kind in MODEL_KINDS):
            continue
        before = store.lock_row(connection, (organization_id, step.requested_at, step.id))
        if before is not None and before.door == "otlp":
            after = reread(connection, before, prices) if is_counted else outer(before)
            if after is not None and (change := _written(connection, before, after)) is not None:
                yield change
    yield from _demoted(connection, organization_id, found)


def _demoted(connection: store.Db, organization_id: int, found: Sequence[StoredStep]) -> Iterable[Change]:
    """Agents taken for model calls because none was below them, now that there is one."""
    for step in found:
        if any(problem.startswith(PROMOTED) for problem in step.problems) and _calls_below(step.span_id, found):
            before = store.lock_row(connection, (organization_id, step.requested_at, step.id))
            if before is not None and (change := _written(connection, before, uncounted(before))) is not None:
                yield change


def _calls_below(span_id: str, found: Sequence[StoredStep]) -> bool:
    """Whether a model call hangs below a step, however deep: one that is, or one a step was taken for."""
    return any(step.kind in MODEL_KINDS or told_kind(step) in MODEL_KINDS for step in _below(span_id, found))


def _reports_below(span_id: str, found: Sequence[StoredStep]) -> bool:
    """Whether a step below reports a usage of its own: then that is its parents' too."""
    return any(step.kind in WATCHED_KINDS and step.told for step in _below(span_id, found))


def _below(span_id: str, found: Sequence[StoredStep]) -> Iterator[StoredStep]:
    """The steps below a step, however deep. Parents may form a circle."""
    children: dict[str, list[StoredStep]] = {}
    for step in found:
        children.setdefault(step.parent_span_id or "", []).append(step)
    waiting, seen = [span_id], {span_id}
    while waiting:
        for step in children.get(waiting.pop(), ()):
            if step.span_id not in seen:
                seen.add(step.span_id)
                waiting.append(step.span_id)
                yield step


_UNCOUNTED: Mapping[str, Any] = {name: None for name in (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "input_audio_tokens", "output_audio_tokens", "web_searches", "usage_parts", "cost_nano_usd",
    "price_id", "estimated_input_tokens", "estimated_output_tokens", "estimated_cost_nano_usd", "estimate_method",
)}  # fmt: skip


def outer(row: RequestRow) -> RequestRow:
    """A model call that has another one inside it, as a step around it. What it reported stays in `usage`."""
    problems = (*_others(row), f"{COUNTED_IN_CHILD}: {told_kind(row)}")
    return replace(row, kind="chain", problems=problems, cost_reason="not_a_model_call", **_UNCOUNTED)


def uncounted(row: RequestRow) -> RequestRow:
    """A promoted step as what it said it was."""
    return replace(row, kind=told_kind(row), problems=_others(row), cost_reason="not_a_model_call", **_UNCOUNTED)


def _others(row: RequestRow) -> tuple[str, ...]:
    return tuple(problem for problem in row.problems if problem.partition(": ")[0] not in OVERRULED)


def reread(
    connection: store.Db, row: RequestRow, prices: PriceBook, *, promoted: bool = False
) -> RequestRow | None:
    """The row as its bytes tell it; promoted: as a model call with the usage it reported. None where they are gone."""
    parsed = _read_row(connection, row)
    if parsed is None:
        return None
    reading = as_call(parsed.reading) if promoted else parsed.reading
    charge: Charge = prices.charge(parsed.exchange, reading)
    return _kept(row, row_of(PricedExchange(parsed.exchange, reading, charge)))


def _read_row(connection: store.Db, row: RequestRow) -> ParsedExchange | None:
    """A span as its bytes tell it; None where they are gone."""
    data = store_rewriting.request_body(connection, (row.organization_id, row.requested_at, row.id))
    if data is None:
        return None
    exchange = Exchange(
        row.id, row.organization_id, row.requested_at, "otlp", "", row.status, duration_ms=row.duration_ms,
        request=Body(data, CONTENT_TYPE, "", len(data)), api_key_id=row.api_key_id, trace_id=row.trace_id,
        span_id=row.span_id, parent_span_id=row.parent_span_id, method="",
    )  # fmt: skip
    return placed(exchange, parse(exchange))


def as_call(reading: Reading) -> Reading:
    """A step with the usage it reported for its children, as the model call it must have been."""
    reported = reading.span.reported if reading.span else None
    problem = Problem(PROMOTED, reading.kind)
    return replace(
        reading, kind="llm", usage=reported or reading.usage, problems=(*reading.problems, problem),
        provider_cost_nano_usd=reading.span.reported_nano_usd if reading.span else None,
    )  # fmt: skip


def _watch(connection: store.Db, rows: Iterable[RequestRow]) -> None:
    """Steps with a usage of their own and no model call seen yet are looked at again."""
    due_at = clock.now() + PROMOTE_AFTER
    spans = [
        (row.organization_id, row.trace_id, row.span_id, due_at)
        for row in rows
        if row.kind in WATCHED_KINDS and row.usage and row.trace_id and row.span_id and row.door == "otlp"
        and not any(problem.startswith(COUNTED_IN_CHILD) for problem in row.problems)
    ]
    if spans:
        store_traces.watch(connection, spans)


def promote(connection: store.Db, prices: PriceBook, *, limit: int = PROMOTED_AT_ONCE) -> list[Change]:
    """Steps whose time has come and that have no model call below: their usage is their own, or that of the innermost
    of several that report one. One transaction, under the rows of their traces."""
    due: dict[TraceKey, set[str]] = {}
    for organization_id, trace_id, span_id in store_traces.take_due(connection, clock.now(), limit=limit):
        due.setdefault((organization_id, trace_id), set()).add(span_id)
    store_traces.hold(connection, due)
    return amendments.composed(
        change for key in sorted(due) for change in _promoted(connection, key, due[key], prices)
    )


def _promoted(
    connection: store.Db, key: TraceKey, span_ids: Set[str], prices: PriceBook
) -> Iterator[Change]:
    found = store_traces.steps(connection, [key]).get(key, [])
    changes = []
    for step in found:
        if step.span_id not in span_ids or step.kind in MODEL_KINDS:
            continue
        if _calls_below(step.span_id, found) or _reports_below(step.span_id, found):
            continue
        before = store.lock_row(connection, (key[0], step.requested_at, step.id))
        if before is not None and (after := reread(connection, before, prices, promoted=True)) is not None:
            changes += [change] if (change := _written(connection, before, after)) else []
    yield from changes
    if changes:
        yield from _demoted(connection, key[0], store_traces.steps(connection, [key])[key])
