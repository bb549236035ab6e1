"""Which dialect a call is in: the surest of all of them, though few are asked."""

from __future__ import annotations

from dataclasses import fields
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import dialects, frames, multipart
from llm.call import SURE, Call
from llm.exchange import Exchange
from llm.parse import parse
from tests.llm.test_parse import LIKELY, PATHS
from tests.wire.exchanges import golden
from tests.wire.test_golden import FILES, name

KEYS = sorted({key for _, dialect in dialects.every() for key in dialect.TOLD_BY})
VALUES = LIKELY | st.sampled_from([
    "message", "completion", "error", "content-delta", "conversation.response.done", "response", "interaction.start",
    "text-generation", "stream-start", "thread.run", "chat.completion", "text_completion", "interaction", "messageStop",
])


def call_of(exchange: Exchange) -> Call:
    sent, came = multipart.unwrap(exchange.request), frames.unwrap(exchange.response)
    return Call(path=urlsplit(exchange.url).path.lower(), request=sent.value if isinstance(sent.value, dict) else {},
                response=came.value, events=came.events)


def surest(call: Call) -> str | None:
    """The dialect that says most, of those that say the same the first by name."""
    said = [(-dialect.score(call), name) for name, dialect in dialects.every()]
    return min(said)[1] if min(said)[0] else None


def check(call: Call) -> None:
    chosen = dialects.choose(call)
    assert (chosen[0] if chosen else None) == surest(call)
    for each, dialect in dialects.every():
        if dialect.score(call) >= SURE and call.sample:
            assert dialect.TOLD_BY & (call.sample.keys() | call.request.keys()), each


@pytest.mark.parametrize("file", FILES, ids=name)
def test_of_a_golden_exchange_the_surest_dialect_is_chosen(file):
    check(call_of(golden(file)[0]))


FINISHED = {"dialect", "request_model", "response_model", "usage", "estimate", "is_stream", "error_type",
            "error_message", "response_preview", "folded_response", "problems"}  # fmt: skip
"""What `llm.parse` adds to what a dialect reads."""


@pytest.mark.parametrize("file", FILES, ids=name)
def test_what_a_dialect_reads_is_what_is_read(file):
    exchange = golden(file)[0]
    call = call_of(exchange)
    call.provider, call.method, call.status = exchange.provider, exchange.method, exchange.status
    _, dialect = dialects.choose(call) or pytest.skip("in no dialect")
    if call.events:
        call.response = dialect.fold(call.events)
    said, read = dialect.read(call), parse(exchange)
    names = {field.name for field in fields(read)} - FINISHED
    assert {each: getattr(read, each) for each in names} == {each: getattr(said, each) for each in names}


BODIES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)


@given(BODIES, BODIES, PATHS)
def test_of_any_body_the_surest_dialect_is_chosen(response, request, path):
    check(Call(path=path.lower(), request=request, response=response))
