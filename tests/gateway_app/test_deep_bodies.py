"""Bodies nested deeper than can be written, and faults of our own: the client gets an answer, the row is kept."""

from __future__ import annotations

import json

import pytest

from gateway_app import gateway, sessions
from gateway_app.token_limit import fitted
from tests.gateway_app.stage import AUTH, answering, json_answer, recording, run, staged
from tests.gateway_app.test_policies import CACHED, guarded
from tests.gateway_app.test_token_limit import OPENAI, SNAPSHOT

DEPTHS = [250, 300, 1000, 3000]
CALL = {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "id": "1", "input": "HERE"}]}


def nested(depth: int, **more: object) -> bytes:
    inner = b"[" * depth + b"]" * depth
    return json.dumps({"model": "gpt-4o", "deep": "HERE", **more}).encode().replace(b'"HERE"', inner)


WISHES = [
    ({"helicone-cache-ignore-keys": "user"}, {}),
    ({"helicone-stream-usage": "true"}, {"stream": True, "stream_options": {}}),
    ({"helicone-token-limit-exception-handler": "truncate"}, {"tools": "HERE"}),
    ({"helicone-session-id": "s", "helicone-session-max-repeats": "2"}, {"messages": [CALL]}),
    ({"helicone-prompt-id": "p"}, {"messages": [{"content": "<helicone-prompt-static>x</helicone-prompt-static>"}]}),
]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("headers", "more"), WISHES)
def test_a_deep_body_passes_whatever_is_asked_of_it(tmp_path, depth, headers, more):
    seen: list = []

    async def work():
        async with guarded(tmp_path, recording(seen, json_answer())) as stage:
            status, _, _ = await stage.ask(body=nested(depth, **more), headers={**CACHED, **headers})
            (exchange,) = await stage.exchanges()
        assert (status, exchange.status, len(seen)) == (200, 200, 1)
        assert seen[0].body.count(b"[") >= depth

    run(work())


@pytest.mark.parametrize("rule", ["truncate", "middle-out", "fallback"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_deep_body_is_no_shorter_than_it_was_where_it_cannot_be_written(rule, depth):
    body = nested(depth, model="small, large", messages=[{"role": "user", "content": "word " * 500}])
    found = fitted(body, rule, own=OPENAI, snapshot=SNAPSHOT)
    assert found.body == body or json.loads(found.body)["deep"] is not None
    assert found.state in ("within", "shortened", "fallback", "unknown")


def test_a_tool_called_with_what_cannot_be_written_is_like_no_other_call():
    deep: object = []
    for _ in range(5000):
        deep = [deep]
    calls = [sessions._tool(("f", deep, f"c{n}"), n) for n in range(2)]
    assert calls[0].what != calls[1].what
    shallow = [sessions._tool(("f", {"a": 1, "b": [[[]]]}, f"c{n}"), n) for n in range(2)]
    assert shallow[0].what == shallow[1].what


def test_a_fault_of_ours_is_told_in_the_clients_shape_and_leaves_a_row(tmp_path, monkeypatch, caplog):
    def fail(*_: object) -> bool:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(gateway.chains, "is_plain", fail)

    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            status, _, body = await stage.ask(path="/v1/messages", headers={**AUTH, "anthropic-version": "1"})
            (exchange,) = await stage.exchanges()
        told = json.loads(body)
        assert (status, told["type"], told["error"]["type"]) == (500, "error", "api_error")
        assert b"secret" not in body
        assert (exchange.status, exchange.problems[0].code) == (500, "gateway_error")

    run(work())
    assert "secret of the house" in caplog.text
