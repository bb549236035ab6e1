"""What is omitted or redacted is never on disk, however large it is and however it comes; what it cost is known."""

from __future__ import annotations

import json

import pytest

from accounts_app.snapshot import Snapshot
from accounts_app.snapshot_safety import SafetyRules
from gateway_app.guard import Guard, Options
from gateway_app.redis_pipe import Pipe
from helicone_site import settings
from lib.redact import Redactor
from tests.gateway_app.stage import AUTH, answering, chunk, json_answer, run, staged
from tests.gateway_app.test_policies import CACHED, guarded, kept

ASKED, SAID = b"the question nobody may keep", b"the answer nobody may keep"
CHAT = {"content-type": "application/json"}
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def asked(filler: int, text: bytes = ASKED) -> bytes:
    return b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "%b%b"}]}' % (text, b" x" * filler)


def replied(filler: int, text: bytes = SAID) -> bytes:
    return (
        b'{"object": "chat.completion", "model": "gpt-4o-mini", "choices": [{"index": 0, "message": {"role":'
        b' "assistant", "content": "%b%b"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 31,'
        b' "completion_tokens": 17, "total_tokens": 48}}' % (text, b" y" * filler)
    )


def redacting(kinds: list[str]) -> Snapshot:
    return Snapshot(1, 0.0, {"keys": {}, "safety": {7: SafetyRules(redactor=Redactor(kinds))}})


def on_disk(folder) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("filler", [0, 400_000])
@pytest.mark.parametrize("sides", ["request", "response", "request response"])
def test_an_omitted_body_is_never_on_disk_not_even_while_it_passes(tmp_path, filler, sides):
    looked = []

    async def work():
        async with staged(tmp_path, answering(json_answer(replied(filler)))) as stage:
            omitted = {f"helicone-omit-{side}": "true" for side in sides.split()}
            status, _, body = await stage.ask(body=asked(filler), headers={**AUTH, **CHAT, **omitted})
            assert (status, len(body)) == (200, len(replied(filler)))
            (exchange,) = await stage.exchanges()
            looked.append(on_disk(tmp_path))
        looked.append(on_disk(tmp_path))
        for side in ("request", "response"):
            assert getattr(exchange, side).state == ("omitted" if side in sides else "kept")
        assert exchange.reading.usage.output_tokens == 17

    run(work())
    for found in looked:
        assert (ASKED in found) is ("request" not in sides)
        assert (SAID in found) is ("response" not in sides)


def test_an_omitted_reply_is_not_kept_in_the_cache_and_is_still_answered_from_it(tmp_path):
    async def work():
        async with guarded(tmp_path, answering(json_answer(replied(0)))) as stage:
            omitting = {**CACHED, "helicone-omit-response": "true"}
            found = []
            for headers in (omitting, omitting, CACHED, omitting):
                found.append((await stage.ask(body=asked(0), headers=headers))[1].get("helicone-cache"))
                await kept(stage)
        assert found == ["MISS", "MISS", "MISS", "HIT"]

    run(work())


@pytest.mark.parametrize("filler", [0, 400_000])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_redacted_is_never_on_disk_and_goes_through_as_it_is(tmp_path, filler, streamed):
    address, card = b"bob@example.com", b"4111 1111 1111 1111"
    whole = json_answer(replied(filler, b"for " + card))
    pieces = [card[start : start + 2].decode() for start in range(0, len(card), 2)]
    events = [
        b"data: " + json.dumps({"object": "chat.completion.chunk", "model": "m", "choices": [
            {"index": 0, "delta": {"content": piece}}]}).encode() + b"\n\n" for piece in pieces
    ] + [b'data: {"object": "chat.completion.chunk", "model": "m", "choices": [], "usage": {"prompt_tokens": 31, '
         b'"completion_tokens": 17, "total_tokens": 48}}\n\n', b"data: [DONE]\n\n"]  # fmt: skip
    looked = []

    async def work():
        play = answering(STREAM, *map(chunk, events), chunk(b"")) if streamed else answering(whole)
        async with staged(tmp_path, play) as stage:
            stage.keys.current = redacting(["email", "card"])
            status, _, body = await stage.ask(body=asked(filler, b"I am " + address), headers={**AUTH, **CHAT})
            assert (status, body) == (200, b"".join(events) if streamed else replied(filler, b"for " + card))
            (exchange,) = await stage.exchanges()
        looked.append(on_disk(tmp_path))
        assert (exchange.request.state, exchange.response.state) == ("redacted", "redacted")
        assert b"I am [EMAIL]" in exchange.request.data
        assert b"[CARD]" in exchange.response.data
        assert (exchange.reading.usage.input_tokens, exchange.reading.usage.output_tokens) == (31, 17)
        assert exchange.reading.is_stream is streamed
        assert "[EMAIL]" in exchange.reading.request_preview
        assert [(problem.code, problem.detail) for problem in exchange.problems] == [("redacted", "card 1, email 1")]

    run(work())
    assert address not in looked[0]
    assert card not in looked[0]


def test_a_redacted_body_past_what_memory_holds_is_not_kept_and_its_usage_is_read(tmp_path):
    async def work():
        async with staged(tmp_path, answering(json_answer(replied(5_000_000)))) as stage:
            stage.keys.current = redacting(["email"])
            assert (await stage.ask(body=asked(0), headers={**AUTH, **CHAT}))[0] == 200
            (exchange,) = await stage.exchanges()
        assert (exchange.response.data, exchange.response.state) == (b"", "omitted")
        assert exchange.reading.usage.output_tokens == 17
        assert "redaction_unsure" in [problem.code for problem in exchange.problems]

    run(work())


def test_the_cache_answers_whole_where_the_record_is_redacted(tmp_path):
    async def work():
        guard = Guard(Pipe(settings.REDIS_URL, patience=5.0), Options())
        async with staged(tmp_path, answering(json_answer(replied(0, b"bob@example.com"))), guard_of=guard) as stage:
            stage.keys.current = redacting(["email"])
            headers = {**CACHED, **CHAT, "helicone-cache-seed": str(tmp_path)}
            bodies = []
            for _ in range(2):
                bodies.append((await stage.ask(body=asked(0), headers=headers))[2])
                await kept(stage)
            exchanges = await stage.exchanges(2)
        assert bodies == [replied(0, b"bob@example.com")] * 2
        assert all(b"[EMAIL]" in one.response.data for one in exchanges)

    run(work())


@pytest.mark.parametrize("is_redacted", [True, False])
def test_what_every_target_said_is_as_private_as_their_answers(tmp_path, is_redacted):
    said = b'{"error":{"message":"We refuse bob@example.com"}}'

    async def work():
        async with staged(tmp_path, answering(json_answer(said, "400 Bad Request"))) as stage:
            more = {} if is_redacted else {"helicone-omit-response": "true"}
            if is_redacted:
                stage.keys.current = redacting(["email"])
            status, _, body = await stage.ask(body=b'{"model":"a, b","messages":[]}', headers={**AUTH, **more})
            exchanges = await stage.exchanges(3)
        assert (status, b"bob@example.com" in body) == (400, True)
        assert b"bob@" not in on_disk(tmp_path)
        (row,) = [one for one in exchanges if one.reading is None or one.reading.kind != "attempt"]
        assert "all_attempts_failed" in [problem.code for problem in row.problems]
        assert "bob@" not in str(row)

    run(work())


def test_a_header_that_a_library_and_a_proxy_both_set_is_one(tmp_path):
    twice = {"Helicone-Omit-Request": "true", "helicone-omit-request": "true", "Helicone-Auth": AUTH["helicone-auth"]}

    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            status, _, _ = await stage.ask(body=asked(0), headers={**AUTH, **twice, **CHAT})
            (exchange,) = await stage.exchanges()
        assert (status, exchange.request.state) == (200, "omitted")
        assert ASKED not in on_disk(tmp_path)

    run(work())
