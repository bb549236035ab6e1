"""Token counts we asked of a stream reach the record, the budget and the cache, and not a client who did not ask."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.hidden_usage import HiddenUsage
from gateway_app.shaping import Asked as Request
from gateway_app.shaping import plan as plan_of
from gateway_app.targets import read_target
from llm import providers
from tests.gateway_app.limited import a_budget, an_organization, limited
from tests.gateway_app.stage import AUTH, KEY, Asked, chunk, recording, run, staged

JSON = {**AUTH, "content-type": "application/json"}
STREAM = b'{"model": "dear", "stream": true, "messages": []}'
TOLD = b'{"model": "dear", "stream": true, "stream_options": {"include_usage": true}, "messages": []}'
WORD = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"\\"usage\\": {"}}],"usage":null}\n\n'
FILTERED = b'data: {"id":"1","choices":[],"prompt_filter_results":[],"usage":null}\n\n'
LAST = b'data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7}}\n\n'
USAGE = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}\n\n'
DONE = b"data: [DONE]\n\n"
EVENTS = (FILTERED, WORD, LAST, USAGE, DONE)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(b"".join(EVENTS)) + b"".join(EVENTS)


def shown(data: bytes, cuts: list[int]) -> bytes:
    hiding, edges = HiddenUsage(), [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    return b"".join(hiding.pass_on(piece, is_last=n == len(pieces) - 1) for n, piece in enumerate(pieces))


@given(st.lists(st.sampled_from([*EVENTS, b": a comment\n\n", b"\n", b"data: {\"usage\": {\n\n", b"event: x\n"])),
       st.lists(st.integers(0, 10**6), max_size=8), st.booleans())  # fmt: skip
def test_however_it_is_cut_all_but_the_one_chunk_passes(events, cuts, is_crlf):
    def ended(data: bytes) -> bytes:
        return data.replace(b"\n", b"\r\n") if is_crlf else data

    said = ended(b"".join(events))
    kept = ended(b"".join(event for event in events if event is not USAGE))
    assert [line for line in shown(said, cuts).splitlines() if line] == [line for line in kept.splitlines() if line]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_other_bytes_pass_as_they_are(data, cuts):
    assert shown(data, cuts) == data


def test_a_chunk_without_an_end_of_line_is_hidden_too():
    assert shown(WORD + USAGE.rstrip(), [9]) == WORD


def asked(tmp_path, headers, *, body=STREAM, default=True, answer=CHUNKED):
    """(what the client got, what was asked of the provider, what is recorded of the reply)."""
    seen: list[Asked] = []
    found = []

    async def work():
        async with staged(tmp_path, recording(seen, answer)) as stage:
            stage.keys.known[KEY] = replace(stage.keys.known[KEY], asks_stream_usage=default)
            got = await stage.ask(body=body, headers=headers)
            (exchange,) = await stage.exchanges()
            found.extend((got, exchange))

    run(work())
    (status, _, got), exchange = found
    assert status == 200
    return got, json.loads(seen[0].body).get("stream_options"), exchange.response.data


def test_a_client_who_did_not_ask_does_not_see_what_we_asked(tmp_path):
    got, options, kept = asked(tmp_path, JSON)
    assert (got, options, kept) == (FILTERED + WORD + LAST + DONE, {"include_usage": True}, b"".join(EVENTS))


@pytest.mark.parametrize(("headers", "body"), [(JSON, TOLD), ({**JSON, "helicone-stream-usage": "true"}, STREAM)])
def test_who_asks_sees_it(tmp_path, headers, body):
    got, _, kept = asked(tmp_path, headers, body=body)
    assert got == kept == b"".join(EVENTS)


def test_a_stream_of_a_told_length_keeps_it(tmp_path):
    assert asked(tmp_path, JSON, answer=WHOLE)[0] == b"".join(EVENTS)


def test_a_budget_asks_what_a_stream_costs_and_a_hit_hides_it_as_the_call_did(tmp_path):
    seen: list[Asked] = []

    async def work():
        mine = an_organization()
        async with limited(tmp_path, recording(seen, CHUNKED), mine, budgets=[a_budget(mine, 10**6)]) as stage:
            cached = {**JSON, "helicone-cache-enabled": "true", "helicone-cache-seed": uuid4().hex}
            first = await stage.ask(body=STREAM, headers=cached)
            await asyncio.gather(*stage.gateway.guard._late)
            second = await stage.ask(body=STREAM, headers=cached)
            exchanges = await stage.exchanges(2)
        assert [one[1]["helicone-cache"] for one in (first, second)] == ["MISS", "HIT"]
        assert first[2] == second[2] == FILTERED + WORD + LAST + DONE
        assert [one.response.data for one in exchanges] == [b"".join(EVENTS)] * 2

    run(work())
    (request,) = seen
    assert json.loads(request.body)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(("slug", "query", "is_asked"), [
    ("openai", "", True), ("deepseek", "", True), ("", "", False), ("together", "", False),
    ("azure", "api-version=2024-02-01", False), ("azure", "api-version=2024-10-21", True), ("azure", "", True),
    ("azure", "api-version=preview", True),
])  # fmt: skip
def test_a_budget_asks_only_who_takes_the_question_for_certain(slug, query, is_asked):
    request = Request("POST", "/v1/chat/completions", query, {"content-type": "application/json"})
    target = read_target("https://api.example.com", is_guarded=False, keeps_path=False)
    for told, expected in ((None, is_asked), (False, False)):
        found = plan_of(
            request, providers.by_slug(slug), target, is_client_target=False, told=told, default=False, has_money=True
        )
        assert (found is not None) is expected


