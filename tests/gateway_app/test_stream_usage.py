"""A stream's token counts are asked for where somebody wants them, and no other body is touched."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.shaping import Asked, with_usage
from gateway_app.shaping import plan as plan_of
from gateway_app.targets import read_target
from llm import providers
from tests.gateway_app.stage import AUTH, KEY, json_answer, recording, run, staged
from tests.gateway_app.stage import Asked as Seen

STREAM = b'{"model": "m", "stream": true, "messages": [], "temperature": 1.0, "id": 12345678901234567890123}\n'
JSON = {"content-type": "application/json"}
WANTED = {**AUTH, **JSON, "helicone-stream-usage": "true"}


def sent(tmp_path, headers, *, path="/v1/chat/completions", body=STREAM, default=False):
    """(body as the upstream got it, body as it is recorded)."""
    seen: list[Seen] = []
    found = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer())) as stage:
            stage.keys.known[KEY] = replace(stage.keys.known[KEY], asks_stream_usage=default)
            assert (await stage.ask(path=path, body=body, headers=headers))[0] == 200
            (exchange,) = await stage.exchanges()
            found.append(exchange.request.data)

    run(work())
    assert int(seen[0].headers["content-length"]) == len(seen[0].body)
    return seen[0].body, found[0]


def test_the_header_asks_and_the_record_keeps_what_the_client_sent(tmp_path):
    out, kept = sent(tmp_path, WANTED)
    assert out == STREAM.rstrip()[:-1] + b',"stream_options":{"include_usage":true}}'
    assert json.loads(out)["stream_options"] == {"include_usage": True}
    assert kept == STREAM


@pytest.mark.parametrize(("headers", "default", "is_asked"), [
    ({}, False, False), ({}, True, True), ({"helicone-stream-usage": "false"}, True, False),
    ({"helicone-stream-usage": "true"}, False, True), ({"helicone-stream-usage": "yes"}, False, False),
])  # fmt: skip
def test_the_header_wins_over_the_organizations_setting(tmp_path, headers, default, is_asked):
    out, _ = sent(tmp_path, {**AUTH, **JSON, **headers}, default=default)
    assert (b"include_usage" in out) is is_asked


@pytest.mark.parametrize(("path", "headers", "body"), [
    ("/v1/responses", WANTED, STREAM), ("/anthropic/v1/messages", WANTED, STREAM),
    ("/v1/chat/completions", {**WANTED, "content-type": "text/plain"}, STREAM),
    ("/v1/chat/completions", {**WANTED, "content-encoding": "gzip"}, STREAM),
    ("/v1/chat/completions", WANTED, b'{"model": "m", "messages": ["\\"stream\\": true"]}'),
    ("/v1/chat/completions", WANTED, b'{"stream": false}'), ("/v1/chat/completions", WANTED, b'{"stream": true'),
    ("/v1/chat/completions", WANTED, b'["stream", true]'),
])  # fmt: skip
def test_whatever_is_no_streamed_chat_goes_on_as_it_came(tmp_path, path, headers, body):
    assert sent(tmp_path, headers, path=path, body=body) == (body, body)


def test_a_body_that_comes_in_pieces_is_read_whole(tmp_path):
    seen: list[Seen] = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer())) as stage:
            given = {**WANTED, "transfer-encoding": "chunked"}
            reader, writer = await stage.connect(body=None, headers=given)
            for piece in (STREAM[:20], STREAM[20:]):
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

    run(work())
    assert json.loads(seen[0].body)["stream_options"] == {"include_usage": True}
    assert "transfer-encoding" not in seen[0].headers


def test_what_the_body_says_itself_yields_only_to_the_header():
    assert with_usage(b'{"stream":true,"stream_options":{"include_usage":false}}', insists=False).endswith(b"false}}")
    insisted = with_usage(b'{"stream":true,"stream_options":{"include_usage":false,"a":1}}', insists=True)
    assert json.loads(insisted)["stream_options"] == {"include_usage": True, "a": 1}
    for options in (b"null", b"{}"):
        body = b'{"stream":true,"stream_options":%b}' % options
        assert json.loads(with_usage(body, insists=False))["stream_options"] == {"include_usage": True}
    told = b'{"stream":true,"stream_options":{"include_usage":true}}'
    assert with_usage(told, insists=True) == told


def test_providers_that_tell_always_are_not_asked_and_nothing_is_planned_for_the_rest():
    asked = Asked("POST", "/v1/chat/completions", "", JSON)
    target = read_target("https://api.example.com", is_guarded=False, keeps_path=False)

    def is_asked(slug, *, told, default):
        found = plan_of(
            asked, providers.by_slug(slug), target, is_client_target=False, told=told, default=default
        )
        return found is not None and found.asks_usage

    assert is_asked("openai", told=True, default=False)
    assert is_asked("", told=True, default=False)
    assert not is_asked("mistral", told=True, default=True)
    assert plan_of(asked, providers.by_slug("openai"), target, is_client_target=False, told=None, default=False) is None


@given(st.dictionaries(st.sampled_from(["stream", "stream_options", "a"]), st.booleans() | st.none() | st.integers()
                       | st.dictionaries(st.sampled_from(["include_usage", "b"]), st.booleans())), st.booleans(),
       st.sampled_from([b"", b" ", b"\n"]))  # fmt: skip
def test_nothing_but_the_option_changes(value, insists, tail):
    out = json.loads(with_usage(json.dumps(value).encode() + tail, insists=insists))
    assert {key: item for key, item in out.items() if key != "stream_options"} == {
        key: item for key, item in value.items() if key != "stream_options"
    }


@given(st.binary(max_size=60))
def test_any_bytes_are_survived(data):
    for body in (data, b'{"stream":true' + data):
        with_usage(body, insists=True)
