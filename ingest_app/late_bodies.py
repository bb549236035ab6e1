"""A call told in two halves: a message with its facts, and an upload with its bodies. Whichever comes first waits.

In one batch they are joined before they are read; else the row is read again once its bodies are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

from ingest_app import problems, store_uploads
from ingest_app.amendments import composed
from ingest_app.omission import without_sides
from ingest_app.records import LateBodies
from lib import clock
from lib.frozen import replace
from llm.exchange import Attribution, Body, Exchange, PricedExchange, Problem, Reading, Usage
from llm.parse import parse
from llm.pricing import PriceBook
from requests_app import store, store_rewriting
from requests_app.columns import row_of, usage_of
from requests_app.rows import Change, RequestRow

AWAITED: Final = "bodies_awaited"
WAITS: Final = timedelta(days=1)
Name = tuple[int, UUID]


def joined(exchanges: Sequence[Exchange], uploads: Iterable[LateBodies]) -> Sequence[Exchange]:
    """The exchanges, each with its bodies where the same batch has them."""
    by_name = {(one.organization_id, one.request_id): one for one in reversed(list(uploads))}
    if not by_name:
        return exchanges
    return [
        _with_bodies(exchange, by_name[name])
        if (name := _name(exchange)) in by_name and _awaits(exchange.problems) else exchange
        for exchange in exchanges
    ]  # fmt: skip


def settle(connection: store.Db, changes: Sequence[Change], prices: PriceBook) -> list[Change]:
    """The changes, and new rows with the bodies that were there before them."""
    wanted = [name for change in changes if change.after and (name := _name_of_row(change.after)) is not None]
    if not wanted or not store_uploads.has_any(connection):
        return list(changes)
    uploads = store_uploads.take(connection, wanted)
    return composed((*changes, *_attached(connection, uploads, prices)))


def apply(connection: store.Db, uploads: Sequence[LateBodies], prices: PriceBook) -> tuple[list[Change], int]:
    """What they changed, and how many older uploads had to go. One whose message is not there waits for it."""
    here: list[LateBodies] = []
    waiting: list[LateBodies] = []
    for one in uploads:
        key = store.locate(connection, one.organization_id, one.request_id)
        (here if key else waiting).append(one)
    changes = _attached(connection, here, prices)
    return changes, store_uploads.keep(connection, waiting) if waiting else 0


def forget_old(connection: store.Db) -> int:
    """Removes uploads whose message never came; answers how many."""
    return store_uploads.forget(connection, before=clock.now() - WAITS)


def _attached(connection: store.Db, uploads: Sequence[LateBodies], prices: PriceBook) -> list[Change]:
    changes = []
    for upload in uploads:
        key = store.locate(connection, upload.organization_id, upload.request_id)
        before = store.lock_row(connection, key) if key else None
        if before is None or not _row_awaits(before):
            continue
        priced = _priced(_with_bodies(_exchange_of(before), upload), before, prices)
        after = replace(row_of(priced), scores=before.scores, amended=before.amended)
        store_rewriting.rewrite(connection, [after])
        store_rewriting.replace_bodies(connection, priced)
        changes.append(Change(before, after))
    return changes


# --- which belong together --------------------------------------------------------------------------------------------


def _name(exchange: Exchange) -> Name | None:
    return _named(exchange.organization_id, exchange.attribution.client_request_id)


def _name_of_row(row: RequestRow) -> Name | None:
    return _named(row.organization_id, row.client_request_id) if _row_awaits(row) else None


def _named(organization_id: int, chosen: str | None) -> Name | None:
    with suppress(ValueError):
        return (organization_id, UUID(chosen)) if chosen else None
    return None


def _awaits(said: Iterable[Problem]) -> bool:
    return any(problem.code == AWAITED for problem in said)


def _row_awaits(row: RequestRow) -> bool:
    return AWAITED in row.problems


# --- read with its bodies ---------------------------------------------------------------------------------------------


def _with_bodies(exchange: Exchange, upload: LateBodies) -> Exchange:
    """The whole call, read; what is omitted is read and gone."""
    sides = {
        name: Body(data, "", "", len(data), "kept")
        for name, data in (("request", upload.request), ("response", upload.response))
    }
    said = tuple(problem for problem in exchange.problems if problem.code != AWAITED)
    whole = replace(exchange, request=sides["request"], response=sides["response"], problems=said, reading=None)
    reading = _fuller(parse(whole), exchange.reading)
    omits = {name: getattr(exchange, name).state == "omitted" for name in sides}
    return without_sides(replace(whole, reading=reading), **omits)


def _fuller(read: Reading, told: Reading | None) -> Reading:
    """The message's own counts hold where the bodies tell none."""
    if told is None or _has_counts(read.usage) or not _has_counts(told.usage):
        return read
    left = tuple(problem for problem in read.problems if problem.code != "usage_missing")
    return replace(
        read, usage=told.usage, response_model=read.response_model or told.response_model, problems=left, estimate=None
    )


def _has_counts(usage: Usage) -> bool:
    return usage.input_tokens is not None or usage.output_tokens is not None


def _exchange_of(row: RequestRow) -> Exchange:
    """The message again, from its row."""
    usage = usage_of(row)
    is_overridden = row.model not in (row.request_model, row.response_model)
    return Exchange(
        row.id, row.organization_id, row.requested_at, "log", row.provider, row.status, url=row.target_url,
        duration_ms=row.duration_ms, time_to_first_token_ms=row.time_to_first_token_ms,
        request=Body(state=row.request_state), response=Body(state=row.response_state),  # type: ignore[arg-type]
        attribution=Attribution(
            row.client_request_id, row.end_user_id, row.session_id, row.session_path, row.session_name, row.properties,
            row.prompt_id, row.prompt_version, row.model if is_overridden else None,
            row.cost_nano_usd if row.cost_reason == "client" else None,
        ),
        api_key_id=row.api_key_id, country_code=row.country_code, trace_id=row.trace_id, span_id=row.span_id,
        parent_span_id=row.parent_span_id, problems=tuple(_told_problems(row)),
        reading=Reading(response_model=row.response_model, usage=usage) if _has_counts(usage) else None,
    )  # fmt: skip


def _told_problems(row: RequestRow) -> Iterable[Problem]:
    """Those its door named; what reading it without its bodies found has gone."""
    for problem in row.problems:
        code, _, detail = problem.partition(": ")
        if code in problems.CODES:
            yield Problem(code, detail)


def _priced(exchange: Exchange, before: RequestRow, prices: PriceBook) -> PricedExchange:
    reading = exchange.reading or parse(exchange)
    return PricedExchange(exchange, reading, prices.charge(exchange, reading))
