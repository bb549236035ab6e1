"""Which dialect a call is in: the surest of all of them, though few are asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import dialects, frames, multipart
from llm.call import SURE, Call
from llm.exchange import Exchange
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
    return Call(path=exchange.url.lower(), request=sent.value if isinstance(sent.value, dict) else {},
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


BODIES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)


@given(BODIES, BODIES, PATHS)
def test_of_any_body_the_surest_dialect_is_chosen(response, request, path):
    check(Call(path=path.lower(), request=request, response=response))
