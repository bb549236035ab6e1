"""Sides a client wants omitted: read in memory, their facts kept, their bytes gone before anything is spooled."""

from __future__ import annotations

from ingest_app.directives import Directives
from lib.frozen import replace
from llm.exchange import Body, Exchange
from llm.parse import parse, without


def without_omitted(exchange: Exchange, asked: Directives) -> Exchange:
    """The exchange without the bodies its client omits; tokens, model and cost stand, for they are read first."""
    if not (asked.omit_request or asked.omit_response):
        return exchange
    read = replace(exchange, reading=exchange.reading or parse(exchange))
    return without_sides(read, request=asked.omit_request, response=asked.omit_response)


def without_sides(exchange: Exchange, *, request: bool, response: bool) -> Exchange:
    """An exchange that has its reading, without the bytes and the text of the sides named."""
    if exchange.reading is None or not (request or response):
        return exchange
    return replace(
        exchange,
        prompt=None if request else exchange.prompt,
        request=_omitted(exchange.request) if request else exchange.request,
        response=_omitted(exchange.response) if response else exchange.response,
        reading=without(exchange.reading, request=request, response=response),
    )


def _omitted(body: Body) -> Body:
    return Body(b"", body.content_type, body.content_encoding, body.size, "omitted")
