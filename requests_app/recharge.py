"""A stored row charged again: what it costs by the prices as they are now. Reads and writes nothing."""

from __future__ import annotations

from llm.exchange import Attribution, Charge, Estimate, Exchange, Reading
from llm.pricing import PriceBook
from requests_app.columns import usage_of
from requests_app.rows import RequestRow

STATED = frozenset({"client", "provider"})
"""Reasons of a cost no price list has a say in."""


def charge_again(row: RequestRow, book: PriceBook) -> Charge:
    """`row` by the prices of `book`, as of the row's own time.

    The charge's fields go to the row's columns `cost_nano_usd`, `cost_reason`, `price_id` and
    `estimated_cost_nano_usd`; nothing else of a row depends on prices. A cost that client or provider stated, and
    an answer from cache, stay what they are: the answer is then `charge_of(row)`.
    """
    if row.cached or (row.cost_reason in STATED and row.cost_nano_usd is not None):
        return charge_of(row)
    return book.charge(exchange_of(row), reading_of(row))


def charge_of(row: RequestRow) -> Charge:
    """The charge a row has now."""
    return Charge(
        nano_usd=row.cost_nano_usd, reason=row.cost_reason, price_id=row.price_id,
        estimated_nano_usd=row.estimated_cost_nano_usd,
    )


def exchange_of(row: RequestRow) -> Exchange:
    """As much of the exchange as prices depend on; without bodies."""
    return Exchange(
        id=row.id,
        organization_id=row.organization_id,
        requested_at=row.requested_at,
        door=row.door,  # type: ignore[arg-type]
        provider=row.provider,
        status=row.status,
        url=row.target_url,
        attribution=Attribution(model_override=_override(row)),
    )


def _override(row: RequestRow) -> str | None:
    """A row's name for its model is the override, else response_model, else request_model."""
    return row.model if row.model != (row.response_model or row.request_model) else None


def reading_of(row: RequestRow) -> Reading:
    """As much of the reading as prices depend on."""
    guess = Estimate(row.estimated_input_tokens, row.estimated_output_tokens, row.estimate_method or "")
    return Reading(
        dialect=row.dialect,
        kind=row.kind,
        request_model=row.request_model,
        response_model=row.response_model,
        usage=usage_of(row),
        estimate=guess if row.estimate_method else None,
        service_tier=row.service_tier,
        error_type=row.error_type,
        error_message=row.error_message,
    )
