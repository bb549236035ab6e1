"""Sides a client wants omitted: read in memory, their facts kept, their bytes gone before anything is spooled."""

from __future__ import annotations

from dataclasses import replace

from ingest_app.directives import Directives
from llm.exchange import Body, Exchange
from llm.parse import parse, without


def without_omitted(exchange: Exchange, asked: Directives) -> Exchange:
    """The exchange without the bodies its client omits; tokens, model and cost stand, for they are read first."""
    if not (asked.omit_request or asked.omit_response):
        return exchange
    reading = without(parse(exchange), request=asked.omit_request, response=asked.omit_response)
    return replace(
        exchange,
        request=_omitted(exchange.request) if asked.omit_request else exchange.request,
        response=_omitted(exchange.response) if asked.omit_response else exchange.response,
        reading=reading,
    )


def _omitted(body: Body) -> Body:
    return Body(b"", body.content_type, body.content_encoding, body.size, "omitted")
