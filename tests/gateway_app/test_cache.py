"""What the cache takes for the same question and for a whole answer, and who waits for whom."""

from __future__ import annotations

import asyncio

import pytest

from gateway_app import cache, gateway, shaping
from gateway_app.cache import Question
from tests.gateway_app.limited import an_organization, limited
from tests.gateway_app.stage import (
    AUTH,
    answering,
    chunk,
    json_answer,
    parse_answer,
    read_request,
    recording,
    run,
)
from tests.gateway_app.test_policies import CACHED, LIMIT, guarded, kept

SIGNED = "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature={}"


def name(body=b'{"a":1}', *, seed="", ignored=(), **headers):
    told = {key.replace("_", "-"): value for key, value in headers.items()}
    return cache.name_of(Question(7, "POST", "https://a.test/v1", told, body), seed=seed, ignored=frozenset(ignored))


def test_a_signature_of_aws_is_the_same_caller_a_second_later():
    assert name(authorization=SIGNED.format("AKIA1", "aa")) == name(authorization=SIGNED.format("AKIA1", "bb"))
    assert name(authorization=SIGNED.format("AKIA1", "aa")) != name(authorization=SIGNED.format("AKIA2", "aa"))


def test_aws_keys_to_sign_with_are_told_apart_by_their_secret_too():
    assert name(aws_access_key="AKIA1", aws_secret_key="x") != name(aws_access_key="AKIA1", aws_secret_key="y")


def test_the_order_of_keys_makes_another_question_and_white_space_does_not():
    assert name(b'{"a":1,"b":2}') == name(b'{ "a": 1,\n"b": 2 }')
    assert name(b'{"a":1,"b":2}') != name(b'{"b":2,"a":1}')
    assert name(b'{"a":1,"b":{"a":2}}', ignored=["a"]) == name(b'{"a":9,"b":{"a":2}}', ignored=["a"])
    assert name(b'{"a":1,"b":{"a":2}}', ignored=["a"]) != name(b'{"a":1,"b":{"a":3}}', ignored=["a"])


CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
LAST = CHUNK.replace(b'"delta":{"content":"Hi"}', b'"delta":{},"finish_reason":"stop"')
DONE = b"data: [DONE]\n\n"
BROKEN = LAST.replace(b'"id":"c"', b'"id":"c","error":{"code":"server_error","message":"Provider disconnected"}')
BEGUN = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","content":[]}}\n\n'


@pytest.mark.parametrize(
    ("kind", "body", "is_whole"),
    [
        ("text/event-stream", b'data: {"n":1}\n\ndata: [DONE]\n\n', True),
        ("text/event-stream", CHUNK.replace(b"Hi", b'event: error\\n{\\"error\\":{') + DONE, True),
        ("text/event-stream", b'data: {"error":null,"n":1}\n\n' + DONE, True),
        ("text/event-stream; charset=utf-8", b'data: {"n":1}\n\nevent: error\ndata: {"type":"error"}\n\n', False),
        ("text/event-stream", b'data: {"n":1}\n\ndata: {"error":{"message":"overloaded"}}\n\n', False),
        ("text/event-stream", b'event: response.failed\ndata: {"type":"response.failed"}\n\n', False),
        ("text/event-stream", CHUNK + LAST, True),
        ("text/event-stream", CHUNK + LAST + DONE, True),
        ("text/event-stream", CHUNK, False),
        ("text/event-stream", CHUNK + BROKEN + DONE, False),
        ("text/event-stream", BEGUN, False),
        ("text/event-stream", BEGUN + b'event: message_stop\ndata: {"type":"message_stop"}\n\n', True),
        ("application/x-ndjson", b'{"message":{}}\n{"error":"out of memory"}\n', False),
        ("application/vnd.amazon.eventstream", b"\x00\x0f:exception-type\x07\x00throttlingException{}", False),
        ("application/json", b'{"error":{"message":"Provider returned error","code":502}}', False),
        ("application/json", b'{"id":"resp_1","object":"response","error":null,"status":"completed"}', True),
        ("application/json", b'{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}', False),
        ("application/json", b'{"id":"chatcmpl-1","object":"chat.com', False),
        ("application/json", b"\x1b\x05\x80nobody reads this", True),
        ("application/json", b"", False),
        ("text/plain", b"[music] and then {", True),
        ("audio/mpeg", b"\xff\xfb\x90", True),
    ],
)
def test_what_broke_off_or_is_an_error_is_no_whole_answer(kind, body, is_whole):
    asked = Question(1, "POST", "https://api.example.com/v1/chat/completions", {}, b'{"model":"m","messages":[]}')
    assert cache.is_whole_answer(asked, [(b"Content-Type", kind.encode())], body) is is_whole


def test_an_answer_of_nothing_is_one_to_what_does_not_ask_a_model():
    assert cache.is_whole_answer(Question(1, "DELETE", "https://x/v1/files/f", {}, b""), [], b"")


def test_an_error_under_200_is_not_given_again(tmp_path):
    answers = [json_answer(b'{"error":{"message":"Provider returned error","code":502}}'), json_answer()]

    async def play(reader, writer):
        await read_request(reader)
        writer.write(answers.pop(0))

    async def work():
        async with guarded(tmp_path, play) as stage:
            found = [await stage.ask(headers=CACHED) for _ in range(2)]
        assert [headers["helicone-cache"] for _, headers, _ in found] == ["MISS", "MISS"]
        assert b"error" not in found[1][2]

    run(work())


def test_a_client_that_does_not_take_its_answer_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setattr(gateway, "STEP_ASIDE_SECONDS", 0.1)
    large = json_answer(b'"' + b"x" * 24_000_000 + b'"')

    async def work():
        async with guarded(tmp_path, answering(large)) as stage:
            reader, writer = await stage.connect(headers=CACHED)
            await reader.readuntil(b"\r\n\r\n")
            status, headers, body = await stage.ask(headers=CACHED)
            assert (status, headers["helicone-cache"], len(body)) == (200, "MISS", 24_000_002)
            slow = parse_answer(b"HTTP/1.1 200 OK\r\n\r\n" + await reader.read())
            writer.close()
        assert len(slow[2]) == 24_000_002

    run(work())


def test_when_a_call_cannot_be_made_those_who_waited_ask_all_at_once(tmp_path):
    """One after the other they would wait for a silent provider ten times over."""
    asked: list[bytes] = []
    together = asyncio.Event()

    async def play(reader, writer):
        asked.append((await read_request(reader)).body)
        if len(asked) == 1:
            await asyncio.sleep(0.2)
            return
        if len(asked) == 10:
            together.set()
        await together.wait()
        writer.write(json_answer())

    async def work():
        async with guarded(tmp_path, play) as stage:
            found = await asyncio.gather(*(stage.ask(headers=CACHED) for _ in range(10)))
        assert sorted(status for status, _, _ in found) == [200] * 9 + [502]

    run(work())


def test_a_refused_call_says_so_among_its_properties_and_no_other_header_does(tmp_path):
    async def work():
        more = {"helicone-cache-bucket-max-size": "2", LIMIT: "1;w=60", "helicone-property-plan": "pro"}
        async with guarded(tmp_path, answering(json_answer())) as stage:
            for _ in range(2):
                await stage.ask(headers={**CACHED, **more})
                await kept(stage)
            first, refused = await stage.exchanges(2)
        assert first.attribution.properties == {"plan": "pro"}
        assert refused.attribution.properties == {"plan": "pro", "helicone-rate-limit-status": "bucket_rate_limited"}

    run(work())


@pytest.mark.parametrize("framing", ["told", "chunked"])
def test_a_body_too_long_to_be_compared_is_a_miss_that_passes_and_says_why(tmp_path, monkeypatch, framing):
    monkeypatch.setattr(shaping, "LONGEST_BODY", 100_000)
    seen: list = []
    body = b"x" * 3_000_000

    async def work():
        async with limited(tmp_path, recording(seen, json_answer()), an_organization()) as stage:
            headers = {**AUTH, "helicone-cache-enabled": "true"}
            if framing == "told":
                answers = [await stage.ask(body=body, headers=headers) for _ in range(2)]
            else:
                answers = [await sent_in_chunks(stage, body, headers) for _ in range(2)]
            kept = await stage.exchanges(2)
        assert [(status, told["helicone-cache"]) for status, told, _ in answers] == [(200, "MISS")] * 2
        assert all("the cache was not looked at" in told["helicone-cache-error"] for _, told, _ in answers)
        assert [asked.body for asked in seen] == [body] * 2
        assert all("cache_body_too_long" in [problem.code for problem in one.problems] for one in kept)
        assert {one.request.size for one in kept} == {len(body)}

    run(work())


async def sent_in_chunks(stage, body, headers):
    reader, writer = await stage.connect(body=None, headers={**headers, "transfer-encoding": "chunked"})
    for start in range(0, len(body), 500_000):
        writer.write(chunk(body[start : start + 500_000]))
    writer.write(chunk(b""))
    raw = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return parse_answer(raw)
