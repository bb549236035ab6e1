"""Calls made in the background: made with one request, which tells no usage, and looked up with another, which does.

The call counts, once, with the usage the first look-up tells of it; look-ups themselves never count. Which of the two
comes down the line first does not matter. OpenAI's Responses and assistants' runs, Gemini's interactions, Replicate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from ingest_app import store_unfinished
from lib import clock
from lib.frozen import replace
from llm.exchange import MODEL_KINDS
from llm.pricing import PriceBook
from requests_app import store, store_rewriting
from requests_app.recharge import charge_again
from requests_app.rows import Change, RequestRow, is_error

WAITS: Final = timedelta(days=2)
LOOKED_UP: Final = "retrieve"
ANSWERED_LATER: Final = "answered_later"
_TOLD: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "input_audio_tokens", "output_audio_tokens", "web_searches", "usage", "usage_parts",
    "finish_reason", "response_preview", "tool_calls", "response_model", "service_tier",
)  # fmt: skip


def settle(connection: store.Db, changes: Sequence[Change], prices: PriceBook) -> list[Change]:
    """The changes, and what look-ups among them told of calls, or calls among them were told before."""
    waiting = [(row, False) for row in _rows(changes) if is_unfinished(row)]
    waiting += [(row, True) for row in _rows(changes) if is_answer(row)]
    if not waiting:
        return list(changes)
    found = [((row.organization_id, row.provider_response_id or ""), told, _key(row)) for row, told in waiting]
    store_unfinished.wait(connection, sorted(found))
    settled = []
    for what, call, answer in store_unfinished.pairs(connection, (one[0] for one in found)):
        settled += _told(connection, call, answer, prices)
        store_unfinished.done(connection, [what])
    return [*changes, *settled]


def forget_old(connection: store.Db) -> None:
    store_unfinished.forget(connection, before=clock.now() - WAITS)


def is_unfinished(row: RequestRow) -> bool:
    """Whether its reply named itself and told no usage: it was not done yet."""
    if row.kind not in MODEL_KINDS or is_error(row.status) or row.is_stream or not row.provider_response_id:
        return False
    return row.input_tokens is None and row.output_tokens is None


def is_answer(row: RequestRow) -> bool:
    return row.kind == LOOKED_UP and bool(row.provider_response_id) and row.output_tokens is not None


def _rows(changes: Iterable[Change]) -> list[RequestRow]:
    """New ones: what is only changed has had its turn."""
    return [change.after for change in changes if change.after and change.before is None]


def _key(row: RequestRow) -> store.Key:
    return (row.organization_id, row.requested_at, row.id)


def _told(connection: store.Db, call: store.Key, answer: store.Key, prices: PriceBook) -> list[Change]:
    before, said = store.lock_row(connection, call), store.lock_row(connection, answer)
    if before is None or said is None or not is_unfinished(before):
        return []
    after = answered(before, said, prices)
    store_rewriting.rewrite(connection, [after])
    return [Change(before, after)]


def answered(call: RequestRow, answer: RequestRow, prices: PriceBook) -> RequestRow:
    """The call with what its look-up tells of it, at the prices of the call's own time."""
    problems = tuple(problem for problem in call.problems if problem.partition(":")[0] != "usage_missing")
    told = {name: value if (value := getattr(answer, name)) is not None else getattr(call, name) for name in _TOLD}
    row = replace(
        call, **told, model=call.model or answer.model, problems=(*problems, f"{ANSWERED_LATER}: {answer.id}"),
        estimated_input_tokens=None, estimated_output_tokens=None, estimate_method=None,
    )  # fmt: skip
    charge = charge_again(row, prices)
    return replace(
        row, cost_nano_usd=charge.nano_usd, cost_reason=charge.reason, price_id=charge.price_id,
        estimated_cost_nano_usd=None,
    )  # fmt: skip
