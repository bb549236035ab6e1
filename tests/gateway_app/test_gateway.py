"""The gateway over real sockets, with a real spool and an upstream that misbehaves on cue."""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

import pytest

from llm.exchange import STATUS_CANCELLED, STATUS_TIMEOUT
from tests.gateway_app.stage import (
    AUTH,
    KEY,
    READ_ONLY,
    Asked,
    answering,
    chunk,
    json_answer,
    read_request,
    recording,
    run,
    staged,
)  # fmt: skip

CHAT = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "a secret question"}]}).encode()
REPLY = json.dumps(
    {"id": "c1", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18",
     "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a secret answer"}}],
     "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10}}
).encode()  # fmt: skip
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_json_call_is_answered_and_kept_as_it_was(tmp_path):
    seen: list[Asked] = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer(REPLY, more="X-Request-Id: r1\r\n"))) as stage:
            given = {**AUTH, "authorization": "Bearer sk-provider", "content-type": "application/json",
                     "helicone-user-id": "u1", "helicone-property-app": "web"}  # fmt: skip
            status, headers, body = await stage.ask(
                path="/v1/chat/completions?a=b&key=secret", body=CHAT, headers=given
            )
            (exchange,) = await stage.exchanges()
        assert (status, body, headers["x-request-id"]) == (200, REPLY, "r1")
        assert headers["helicone-id"] == str(exchange.id)
        assert headers["helicone-status"] == "success"
        assert (exchange.status, exchange.organization_id, exchange.api_key_id) == (200, 7, 11)
        assert (exchange.request.data, exchange.request.size) == (CHAT, len(CHAT))
        assert (exchange.response.data, exchange.response.state) == (REPLY, "kept")
        assert exchange.url.endswith("/v1/chat/completions?a=b")
        assert (exchange.attribution.end_user_id, exchange.attribution.properties) == ("u1", {"app": "web"})
        assert (exchange.provider, exchange.time_to_first_token_ms) == ("openai", None)
        assert seen[0].line == "POST /v1/chat/completions?a=b&key=secret HTTP/1.1"
        assert seen[0].headers["authorization"] == "Bearer sk-provider"
        assert seen[0].headers["accept-encoding"] == "identity"
        assert not [name for name in seen[0].headers if "helicone" in name]
        assert "authorization" not in exchange.request_headers
        assert "secret" not in json.dumps(dict(exchange.request_headers))

    run(work())


def test_headers_in_other_spellings_alone_are_read_too(tmp_path):
    async def work():
        async with staged(tmp_path, answering()) as stage:
            path = f"/{KEY}/v1/chat/completions"  # the key in the path: no header begins with `helicone-`
            await stage.ask(path=path, headers={"helicone_user_id": "u1", "x-helicone-model-override": "gpt-x"})
            (exchange,) = await stage.exchanges()
        assert (exchange.attribution.end_user_id, exchange.attribution.model_override) == ("u1", "gpt-x")

    run(work())


def test_a_stream_reaches_the_client_chunk_by_chunk(tmp_path):
    async def work():
        go_on = asyncio.Event()

        async def play(reader, writer):
            await read_request(reader)
            writer.write(STREAM_HEAD + chunk(b"data: 1\n\n"))
            await go_on.wait()
            writer.write(chunk(b"data: 2\n\n") + b"0\r\n\r\n")
            await reader.read()

        async with staged(tmp_path, play) as stage:
            reader, writer = await stage.connect()
            early = await reader.readuntil(b"data: 1\n\n")
            go_on.set()
            late = await reader.read()
            writer.close()
            (exchange,) = await stage.exchanges()
        assert b"data: 2" in late
        assert b"content-length" not in early.lower()
        assert exchange.response.data == b"data: 1\n\ndata: 2\n\n"
        assert exchange.time_to_first_token_ms is not None

    run(work())


def test_the_begin_is_durable_before_the_first_byte_reaches_the_client(tmp_path):
    async def work():
        async with staged(tmp_path, answering(STREAM_HEAD + chunk(b"data: 1\n\n"), pause=30)) as stage:
            reader, writer = await stage.connect(body=CHAT)
            await reader.readexactly(1)
            assert stage.underway()[0][0] == CHAT
            writer.close()
            await stage.exchanges()

    run(work())


def test_a_long_stream_is_in_the_spool_while_it_goes_on(tmp_path):
    async def work():
        async with staged(tmp_path, answering(STREAM_HEAD + chunk(b"data: 1\n\n"), pause=30)) as stage:
            reader, writer = await stage.connect()
            await reader.readuntil(b"data: 1")
            for _ in range(300):
                if any(response for _, response in stage.underway()):
                    break
                await asyncio.sleep(0.01)
            assert stage.underway()[-1][1] == b"data: 1\n\n"
            writer.close()
            (exchange,) = await stage.exchanges()
        assert exchange.response.data == b"data: 1\n\n"

    run(work())


def test_a_client_that_leaves_ends_the_call_and_the_row_says_so(tmp_path):
    async def work():
        left = asyncio.Event()

        async def play(reader, writer):
            await read_request(reader)
            writer.write(STREAM_HEAD + chunk(b"data: 1\n\n"))
            assert await reader.read() == b""
            left.set()

        async with staged(tmp_path, play) as stage:
            reader, writer = await stage.connect()
            await reader.readuntil(b"data: 1")
            writer.close()
            await asyncio.wait_for(left.wait(), 5)
            (exchange,) = await stage.exchanges()
        assert exchange.status == STATUS_CANCELLED
        assert exchange.response.data == b"data: 1\n\n"

    run(work())


def test_a_client_that_leaves_before_the_answer_ends_the_call_too(tmp_path):
    async def work():
        left = asyncio.Event()

        async def play(reader, writer):
            await read_request(reader)
            assert await reader.read() == b""
            left.set()

        async with staged(tmp_path, play) as stage:
            _, writer = await stage.connect()
            await asyncio.sleep(0.05)
            writer.close()
            await asyncio.wait_for(left.wait(), 5)
            (exchange,) = await stage.exchanges()
        assert exchange.status == STATUS_CANCELLED

    run(work())


def test_a_client_that_takes_nothing_of_its_answer_is_given_up(tmp_path):
    size = 32 * 2**20

    async def work():
        async with staged(tmp_path, answering(json_answer(b"x" * size)), patience=0.3) as stage:
            _, writer = await stage.connect(headers={**AUTH, "connection": "keep-alive"})
            writer.transport.pause_reading()
            (exchange,) = await stage.exchanges()
            writer.transport.abort()
        assert exchange.status == STATUS_CANCELLED

    run(work())


def test_a_silent_provider_is_given_up(tmp_path):
    async def work():
        async with staged(tmp_path, answering(pause=30), silence_seconds=0.2) as stage:
            status, _, body = await stage.ask()
            (exchange,) = await stage.exchanges()
        assert status == 504
        assert json.loads(body)["error"]["code"] == "upstream_timeout"
        assert exchange.status == STATUS_TIMEOUT
        assert exchange.response.data == body

    run(work())


@pytest.mark.parametrize(
    ("headers", "path", "read"),
    [
        (AUTH, "/v1/chat/completions", lambda error: (error["error"]["type"], error["error"]["code"])),
        ({**AUTH, "anthropic-version": "1"}, "/v1/messages", lambda error: (error["error"]["type"], error["type"])),
    ],
)
def test_a_failed_provider_is_told_in_the_clients_shape(tmp_path, headers, path, read):
    async def work():
        async with staged(tmp_path, answering(b"not http at all\r\n\r\n", closes=True)) as stage:
            status, answered, body = await stage.ask(path=path, headers=headers)
            (exchange,) = await stage.exchanges()
        assert status == 502
        assert read(json.loads(body)) in [("api_error", "upstream_broken"), ("api_error", "error")]
        assert answered["helicone-status"] == "failed"
        assert exchange.status == 502
        assert exchange.problems[0].code == "upstream_broken"

    run(work())


def test_an_unreachable_provider_is_a_502(tmp_path):
    async def work():
        async with staged(tmp_path, answering(), provider_urls={"openai": "http://127.0.0.1:1"}) as stage:
            status, _, body = await stage.ask()
            (exchange,) = await stage.exchanges()
        assert (status, json.loads(body)["error"]["code"]) == (502, "upstream_unreachable")
        assert exchange.status == 502

    run(work())


def test_an_answer_cut_short_is_cut_for_the_client_too(tmp_path):
    async def work():
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
        async with staged(tmp_path, answering(answer, closes=True)) as stage:
            reader, writer = await stage.connect()
            raw = await reader.read()
            writer.close()
            (exchange,) = await stage.exchanges()
        assert raw.endswith(b"half")
        assert (exchange.status, exchange.response.data) == (502, b"half")

    run(work())


def test_a_providers_own_error_passes_unchanged(tmp_path):
    async def work():
        async with staged(
            tmp_path, answering(json_answer(b'{"error":1}', "529 Overloaded", "Retry-After: 9\r\n"))
        ) as stage:
            status, headers, body = await stage.ask()
            (exchange,) = await stage.exchanges()
        assert (status, headers["retry-after"], body) == (529, "9", b'{"error":1}')
        assert exchange.status == 529

    run(work())


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "helicone_key_missing"),
        ({"helicone-auth": "Bearer sk-helicone-zzzzzzz-zzzzzzz-zzzzzzz-zzzzzzz"}, 401, "invalid_api_key"),
        ({"helicone-auth": f"Bearer {READ_ONLY}"}, 403, "helicone_key_read_only"),
        ({"authorization": f"Bearer {KEY}"}, 401, "provider_key_not_found"),
        ({**AUTH, "connection": "upgrade", "upgrade": "websocket"}, 501, "not_supported"),
        ({**AUTH, "helicone-target-url": "http://127.0.0.1:9"}, 403, "target_refused"),
        ({**AUTH, "helicone-target-url": "ftp://example.com"}, 400, "target_invalid"),
        ({**AUTH, "helicone-fallbacks": "[]"}, 400, "fallbacks_invalid"),
    ],
)
def test_a_request_that_cannot_pass_is_told_why(tmp_path, headers, status, code):
    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            answered, _, body = await stage.ask(headers=headers)
        assert (answered, json.loads(body)["error"]["code"]) == (status, code)
        assert len(json.loads(body)["error"]["message"]) > 20

    run(work())


def test_before_the_keys_were_ever_read_the_answer_is_503(tmp_path):
    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            stage.keys.current = None
            status, headers, _ = await stage.ask()
        assert (status, headers["retry-after"]) == (503, "2")

    run(work())


def test_without_required_keys_a_call_passes_and_leaves_no_trace(tmp_path):
    async def work():
        async with staged(tmp_path, answering(json_answer(REPLY)), requires_key=False) as stage:
            status, _, body = await stage.ask(headers={})
            assert stage.underway() == []
        assert (status, body) == (200, REPLY)

    run(work())


def test_a_private_target_passes_where_the_operator_allows_its_network(tmp_path):
    async def work():
        async with staged(tmp_path, answering(json_answer(REPLY)), guard="127.0.0.0/8") as stage:
            target = {"helicone-target-url": f"http://127.0.0.1:{stage.upstream_port}/dropped"}
            status, _, body = await stage.ask(path="/api/anything", headers={**AUTH, **target})
            (exchange,) = await stage.exchanges()
        assert (status, body) == (200, REPLY)
        assert exchange.url.endswith("/api/anything")

    run(work())


def test_omitted_bodies_never_touch_the_disk_and_their_tokens_stand(tmp_path):
    async def work():
        async with staged(tmp_path, answering(json_answer(REPLY))) as stage:
            omit = {**AUTH, "helicone-omit-request": "true", "helicone-omit-response": "true"}
            status, _, body = await stage.ask(body=CHAT, headers={**omit, "content-type": "application/json"})
            (exchange,) = await stage.exchanges()
            files = b"".join(path.read_bytes() for path in (tmp_path / "spool").glob("spool.db*"))
        assert (status, body) == (200, REPLY)
        assert (exchange.request.state, exchange.response.state) == ("omitted", "omitted")
        assert (exchange.request.size, exchange.response.size) == (len(CHAT), len(REPLY))
        assert exchange.reading is not None
        assert (exchange.reading.usage.input_tokens, exchange.reading.usage.output_tokens) == (8, 2)
        assert exchange.reading.response_model == "gpt-4o-mini-2024-07-18"
        assert b"secret" not in files

    run(work())


def test_the_same_id_twice_is_two_exchanges_that_keep_the_clients_id(tmp_path):
    async def work():
        mine = "7d3f8f5e-0d0e-4f6e-9a3c-1c2d3e4f5a6b"
        async with staged(tmp_path, answering(json_answer())) as stage:
            answers = [await stage.ask(headers={**AUTH, "helicone-request-id": mine}) for _ in range(2)]
            exchanges = await stage.exchanges(2)
        assert [headers["helicone-id"] for _, headers, _ in answers] == [mine, mine]
        assert len({exchange.id for exchange in exchanges}) == 2
        assert {exchange.attribution.client_request_id for exchange in exchanges} == {mine}
        assert all(isinstance(exchange.id, UUID) and exchange.id.version == 7 for exchange in exchanges)

    run(work())


def test_no_credential_of_a_request_is_kept(tmp_path):
    secrets = {
        "apikey": "SECRET",
        "openai_api_key": "SECRET", "x-auth": "SECRET", "authorization": "Bearer SECRET", "cookie": "a=SECRET",
        "x-csrftoken": "SECRET",
    }  # fmt: skip

    async def work():
        async with staged(tmp_path, answering(json_answer()), guard="allow") as stage:
            url = f"http://me:SECRET@127.0.0.1:{stage.upstream_port}/?key=SECRET"
            entry = {"target-url": url, "headers": {"authorization": "Bearer SECRET"}, "onCodes": [200]}
            lost = {"helicone-fallbacks": json.dumps([entry, entry])}
            for target in ({"helicone-target-url": url}, lost):
                await stage.ask(path="/v1/x?k%65y=SECRET&a=1", headers={**AUTH, **secrets, **target})
            exchanges = await stage.exchanges(3)
        for exchange in exchanges:
            assert "SECRET" not in f"{exchange.url} {exchange.request_headers} {exchange.problems} {exchange.reading}"
            assert exchange.url.endswith("/v1/x?a=1")

    run(work())


def test_a_full_spool_stops_no_call_and_is_counted(tmp_path, monkeypatch):
    async def work():
        async with staged(tmp_path, answering(json_answer(REPLY))) as stage:
            monkeypatch.setattr(stage.spool, "_room", lambda: False)
            status, _, body = await stage.ask()
            for _ in range(200):
                if stage.gateway.counts.lost:
                    break
                await asyncio.sleep(0.01)
            assert stage.gateway.counts.lost == 1
            monkeypatch.undo()
        assert (status, body) == (200, REPLY)

    run(work())


def test_a_key_in_the_path_speaks_and_goes_no_further(tmp_path):
    seen: list[Asked] = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer())) as stage:
            status, _, _ = await stage.ask(path=f"/{KEY}/v1/messages", headers={"x-api-key": "sk-ant"})
            (exchange,) = await stage.exchanges()
        assert (status, seen[0].line) == (200, "POST /v1/messages HTTP/1.1")
        assert exchange.provider == "anthropic"
        assert KEY not in exchange.url

    run(work())


def test_what_web_sets_on_its_pages_a_provider_cannot(tmp_path):
    seen: list[Asked] = []

    async def work():
        cookies = ("helicone_session=evil", "=csrftoken=evil", "theirs=1")
        answer = json_answer(more="".join(f"Set-Cookie: {cookie}\r\n" for cookie in cookies))
        async with staged(tmp_path, recording(seen, answer)) as stage:
            cookie = {"cookie": "helicone_session=ours; theirs=1"}
            reader, writer = await stage.connect(headers={**AUTH, **cookie})
            raw = await reader.read()
            writer.close()
        assert b"evil" not in raw
        assert b"theirs=1" in raw
        assert b"content-security-policy: sandbox" in raw
        assert seen[0].headers["cookie"] == "theirs=1"

    run(work())


def test_a_call_hangs_in_its_caller_s_trace_and_the_provider_is_told_the_same(tmp_path):
    seen: list[Asked] = []
    told = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async def work():
        async with staged(tmp_path, recording(seen, json_answer(REPLY))) as stage:
            await stage.ask(body=CHAT, headers={**AUTH, "traceparent": told, "tracestate": "a=1"})
            await stage.ask(body=CHAT, headers={**AUTH, "traceparent": told.upper()})
            called, stray = await stage.exchanges(2)
        assert (called.trace_id, called.parent_span_id) == (told[3:35], told[36:52])
        assert called.span_id not in (None, called.parent_span_id)
        assert (stray.trace_id, stray.span_id, stray.parent_span_id) == (None, None, None)
        assert (seen[0].headers["traceparent"], seen[0].headers["tracestate"]) == (told, "a=1")
        assert seen[1].headers["traceparent"] == told.upper()

    run(work())
