"""From a priced exchange to the rows that are stored: what Postgres can hold, bounded and clean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from llm.exchange import (
    MODEL_KINDS,
    Attribution,
    Body,
    CacheHit,
    Charge,
    Estimate,
    Exchange,
    PricedExchange,
    Problem,
    Reading,
    Usage,
)
from llm.frames import decoded
from requests_app import body_frame, spellings
from requests_app.rows import BodyRow, RequestRow
from requests_app.store_dictionaries import PLAIN, Packing

COUNTS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "reasoning_tokens", "input_audio_tokens", "output_audio_tokens", "web_searches",
)  # fmt: skip
PARTS = (
    "input_image_tokens", "output_image_tokens", "images", "audio_ms", "characters", "search_units",
    "billed_input_tokens", "billed_output_tokens",
)  # fmt: skip
"""Counts few calls have; they share the column `usage_parts`."""
LONGEST_TEXT = 2_000
"""Longest free text of a row, in characters; bodies have their own table."""
LONGEST_NAME = 500
LARGEST_INTEGER = 2**31 - 1
LARGEST_COST = 10**15
"""A million dollars for one call; sums of what a client made up must still fit a bigint."""
LARGEST_SMALLINT = 2**15 - 1


def text(value: str | None, longest: int = LONGEST_NAME) -> str | None:
    """What Postgres takes as text: no NUL, no lone surrogate, bounded. Empty is None."""
    if not value:
        return None
    if "\x00" in value:
        value = value.replace("\x00", "")
    value = value[:longest]
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    return value or None


def integer(value: int | float | None, largest: int = LARGEST_INTEGER) -> int | None:
    return None if value is None else max(-largest, min(largest, int(value)))


def row_of(priced: PricedExchange) -> RequestRow:
    exchange, reading = priced.exchange, priced.reading
    return RequestRow(
        organization_id=exchange.organization_id,
        requested_at=exchange.requested_at,
        id=exchange.id,
        kind=text(reading.kind) or "llm",
        door=exchange.door,
        provider=text(exchange.provider) or ("unknown" if reading.kind in MODEL_KINDS else ""),
        model=text(exchange.attribution.model_override or reading.response_model or reading.request_model),
        request_model=text(reading.request_model),
        response_model=text(reading.response_model),
        error_type=text(reading.error_type),
        error_message=text(reading.error_message, LONGEST_TEXT),
        finish_reason=text(reading.finish_reason),
        is_stream=reading.is_stream,
        cached=exchange.cache_hit is not None,
        scores=None,
        threat=exchange.threat,
        dialect=reading.dialect,
        provider_response_id=text(reading.provider_response_id),
        service_tier=text(reading.service_tier),
        name=text(reading.span.name) if reading.span else None,
        request_preview=text(reading.request_preview) or "",
        response_preview=text(reading.response_preview) or "",
        tool_calls=tuple(name for tool in reading.tool_calls if (name := text(tool))),
        problems=tuple(_named(problem) for problem in (*exchange.problems, *reading.problems)),
        **_passed(exchange),
        **_attributed(exchange, reading),
        **(_spent(priced) if exchange.cache_hit is None else _saved(priced, exchange.cache_hit)),
    )


def _spent(priced: PricedExchange) -> dict[str, Any]:
    reading, charge = priced.reading, priced.charge
    return {
        "cost_nano_usd": integer(charge.nano_usd, LARGEST_COST), "cost_reason": charge.reason,
        "price_id": charge.price_id,
        **_counted(reading.usage, reported=reading.span.reported if reading.span else None),
        **_estimated(reading.estimate, charge),
    }  # fmt: skip


def _saved(priced: PricedExchange, hit: CacheHit) -> dict[str, Any]:
    """An answer from the cache used no tokens and cost nothing; what it would have, it saved."""
    usage = priced.reading.usage
    saved = {
        "saved_nano_usd": integer(priced.charge.nano_usd, LARGEST_COST), "saved_ms": _saved_ms(priced.exchange, hit),
        "saved_input_tokens": integer(usage.input_tokens), "saved_output_tokens": integer(usage.output_tokens),
    }  # fmt: skip
    return {
        "cost_nano_usd": 0, "cost_reason": "cached", "price_id": None, "cached_from": hit.original,
        **_counted(Usage(input_tokens=0, output_tokens=0), reported=None),
        **_estimated(None, Charge(0, "cached")),
        "usage_parts": {name: value for name, value in saved.items() if value is not None},
    }  # fmt: skip


def _saved_ms(exchange: Exchange, hit: CacheHit) -> int | None:
    """Who waited for the first answer to the same question saved only the rest of its time."""
    return integer(max(0, hit.latency_ms - (exchange.duration_ms or 0)))


def _passed(exchange: Exchange) -> dict[str, Any]:
    """How it went over the wire."""
    return {
        "status": integer(exchange.status, LARGEST_SMALLINT) or 0,
        "duration_ms": integer(exchange.duration_ms),
        "time_to_first_token_ms": integer(exchange.time_to_first_token_ms),
        "api_key_id": exchange.api_key_id,
        "country_code": text(exchange.country_code),
        "method": text(exchange.method) or "POST",
        "target_url": text(exchange.url.lstrip(spellings.MARK), LONGEST_TEXT) or "",
        "trace_id": text(exchange.trace_id),
        "span_id": text(exchange.span_id),
        "parent_span_id": text(exchange.parent_span_id),
        "request_bytes": integer(exchange.request.size) or 0,
        "response_bytes": integer(exchange.response.size) or 0,
        "request_state": exchange.request.state,
        "response_state": exchange.response.state,
    }


def _attributed(exchange: Exchange, reading: Reading) -> dict[str, Any]:
    """Whose it is. What a body says of its user counts at the gateway only: a log's poster says it in `meta`."""
    said = exchange.attribution
    return {
        "client_request_id": text(said.client_request_id),
        "end_user_id": text(said.end_user_id or (reading.end_user_id if exchange.door == "gateway" else None)),
        "session_id": text(said.session_id),
        "session_path": text(said.session_path, LONGEST_TEXT),
        "session_name": text(said.session_name),
        "properties": properties_of(said),
        "prompt_id": text(said.prompt_id),
        "prompt_version": text(said.prompt_version),
        "amended": said.given,
    }


def properties_of(said: Attribution) -> dict[str, str]:
    return {text(key) or "": text(value, LONGEST_TEXT) or "" for key, value in said.properties.items()}


def _counted(usage: Usage, reported: Usage | None) -> dict[str, Any]:
    """The counts; of a step that calls no model only what it reported of others, as it said it."""
    parts = {name: value for name in PARTS if (value := integer(getattr(usage, name))) is not None}
    return {
        "usage": usage.sent or (reported.sent if reported else None), "usage_parts": parts or None,
        **{name: integer(getattr(usage, name)) for name in COUNTS},
    }  # fmt: skip


def _estimated(estimate: Estimate | None, charge: Charge) -> dict[str, Any]:
    guess = estimate or Estimate()
    return {
        "estimated_input_tokens": integer(guess.input_tokens),
        "estimated_output_tokens": integer(guess.output_tokens),
        "estimated_cost_nano_usd": integer(charge.estimated_nano_usd, LARGEST_COST),
        "estimate_method": text(guess.method),
    }


def usage_of(row: RequestRow) -> Usage:
    """The usage a row was made of."""
    told = {name: getattr(row, name) for name in COUNTS}
    parts = {name: (row.usage_parts or {}).get(name) for name in PARTS}
    return Usage(**told, **parts, sent=row.usage)


def body_row_of(priced: PricedExchange, packing: Packing = PLAIN) -> BodyRow:
    exchange, folded = priced.exchange, priced.reading.folded_response
    raw = _plain(exchange.response)
    is_clean = folded is not None and not priced.reading.problems
    pack = packing.pack
    parts = (_plain(exchange.request), raw if folded is None else folded, _headers(exchange))
    together = body_frame.join(parts)
    request, response, headers = map(pack, parts) if together is None else (None, None, None)
    return BodyRow(
        organization_id=exchange.organization_id,
        requested_at=exchange.requested_at,
        id=exchange.id,
        dict_version=packing.version,
        key_version=0,
        request=request,
        response=response,
        response_raw=None if folded is None or is_clean else pack(raw),
        headers=headers,
        together=None if together is None else pack(together),
        request_type=text(exchange.request.content_type) or "",
        response_type="application/json" if folded is not None else text(exchange.response.content_type) or "",
    )


def _plain(body: Body) -> bytes:
    """The body without its content encoding; as captured where that cannot be undone."""
    if not body.content_encoding or not body.data:
        return body.data
    return decoded(body.data, body.content_encoding)


def _headers(exchange: Exchange) -> bytes:
    """Both sides' headers, and the prompt's template and inputs where the request told them."""
    request, response, prompt = exchange.request_headers, exchange.response_headers, exchange.prompt
    if not request and not response and prompt is None:
        return b""
    told = {"template": prompt.template, "inputs": prompt.inputs, "auto_inputs": prompt.auto_inputs} if prompt else None
    more = {"prompt": told} if told else {}
    return orjson.dumps({"request": dict(request), "response": dict(response), **more})


def _named(problem: Problem) -> str:
    full = f"{problem.code}: {problem.detail}" if problem.detail else problem.code
    return text(full) or ""


def json_safe(value: Any) -> Any:
    """The same JSON value without what jsonb refuses: NUL in strings, lone surrogates, numbers beyond float."""
    if isinstance(value, str):
        return text(value, LONGEST_TEXT) or ""
    if isinstance(value, Mapping):
        return {text(str(key)) or "": json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return value
