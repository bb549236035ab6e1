"""Bodies and heads of every shape through the whole edge: large, chunked, empty, early, endless."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from helicone_site.front import Bounded
from tests.gateway_app.stage import (
    AUTH,
    KEY,
    Asked,
    answering,
    chunk,
    json_answer,
    parse_answer,
    recording,
    run,
    staged,
)  # fmt: skip


def test_bodies_of_any_size_pass_both_ways_in_flat_memory(tmp_path):
    size, piece = 48 * 2**20, b"x" * 2**16

    async def work():
        async def play(reader, writer):
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-length: %d" % size in head
            left = size
            while left:
                left -= len(await reader.read(2**16))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // len(piece)):
                writer.write(piece)
                await writer.drain()

        async with staged(tmp_path, play, capture_max_bytes=2**20) as stage:
            reader, writer = await stage.connect(body=None, headers={**AUTH, "content-length": str(size)})
            tracemalloc.start()
            for _ in range(size // len(piece)):
                writer.write(piece)
                await writer.drain()
            await reader.readuntil(b"\r\n\r\n")
            received = 0
            while data := await reader.read(2**16):
                received += len(data)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            writer.close()
            (exchange,) = await stage.exchanges()
        assert received == size
        assert peak < 16 * 2**20
        assert (exchange.request.size, exchange.request.state) == (size, "truncated")
        assert (exchange.response.size, exchange.response.state) == (size, "truncated")
        assert len(exchange.response.data) == 2**20 + 2**16

    run(work())


def test_a_chunked_upload_goes_up_chunked_and_is_kept(tmp_path):
    seen: list[Asked] = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer())) as stage:
            reader, writer = await stage.connect(body=None, headers={**AUTH, "transfer-encoding": "chunked"})
            for part in (b"hello ", b"wide ", b"world"):
                writer.write(chunk(part))
                await asyncio.sleep(0.02)
            writer.write(b"0\r\n\r\n")
            status, _, _ = parse_answer(await reader.read())
            writer.close()
            (exchange,) = await stage.exchanges()
        assert (status, seen[0].body, exchange.request.data) == (200, b"hello wide world", b"hello wide world")

    run(work())


def test_an_empty_chunked_body_is_whole_and_the_next_request_is_itself(tmp_path):
    """Without its end the provider would read the next client's request as the rest of this one's body."""
    seen: list[Asked] = []

    async def work():
        async with staged(tmp_path, recording(seen, json_answer())) as stage:
            reader, writer = await stage.connect(body=None, headers={**AUTH, "transfer-encoding": "chunked"})
            writer.write(b"0\r\n\r\n")
            status, _, _ = parse_answer(await asyncio.wait_for(reader.read(), 5))
            writer.close()
            assert (status, (await stage.ask(body=b"next"))[0]) == (200, 200)
        assert [each.body for each in seen] == [b"", b"next"]
        assert "transfer-encoding" not in seen[0].headers

    run(work())


def test_what_stands_behind_a_body_is_no_header(tmp_path):
    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            headers = {"transfer-encoding": "chunked"}
            reader, writer = await stage.connect(body=None, headers=headers)
            writer.write(b"2\r\n{}\r\n0\r\nhelicone-auth: Bearer " + KEY.encode() + b"\r\n\r\n")
            status, _, _ = parse_answer(await asyncio.wait_for(reader.read(), 5))
            writer.close()
        assert status == 401

    run(work())


@pytest.mark.parametrize("part", [b"a" * 2**16, b"x: " + b"a" * 2**16 + b"\r\n"])
def test_a_head_that_does_not_end_is_refused(tmp_path, part):
    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            _, writer = await asyncio.open_connection("127.0.0.1", stage.port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n")
            with pytest.raises(ConnectionError):
                for _ in range(200):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.001)
            writer.close()

    run(work())


def test_a_provider_that_answers_before_it_has_read_everything_is_heard(tmp_path):
    async def play(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(json_answer(b"too large", "413 Too Large", "Connection: close\r\n"))
        while await reader.read(2**16):
            pass

    async def work():
        async with staged(tmp_path, play) as stage:
            reader, writer = await stage.connect(body=None, headers={**AUTH, "content-length": str(2**20)})
            writer.write(b"x" * 2**19)
            raw = await asyncio.wait_for(reader.readuntil(b"too large"), 5)
            writer.close()
            (exchange,) = await stage.exchanges()
        assert raw.startswith(b"HTTP/1.1 413")
        assert exchange.status == 413

    run(work())


def test_a_head_request_and_an_empty_answer_pass(tmp_path):
    async def work():
        empty = b"HTTP/1.1 204 No Content\r\n\r\n"
        async with staged(tmp_path, answering(empty)) as stage:
            status, _, body = await stage.ask("DELETE", "/v1/files/x")
        assert (status, body) == (204, b"")
        async with staged(tmp_path / "head", answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as stage:
            status, headers, body = await stage.ask("HEAD", "/v1/files/x", b"")
        assert (status, headers["content-length"], body) == (200, "5", b"")

    run(work())


@pytest.mark.parametrize("said", [b"", b"POST /v1/chat/completions HT", b"GET / HTTP/1.1\r\nhost: x\r\n"])
def test_a_head_half_sent_is_given_up(tmp_path, monkeypatch, said):
    monkeypatch.setattr(Bounded, "head_seconds", 1.0)

    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
            writer.write(said)
            answer = await asyncio.wait_for(reader.read(), 10)
            assert (b"did not come within" in answer) is bool(said)
            writer.close()

    run(work())


def test_after_an_answer_the_next_head_has_its_own_time(tmp_path, monkeypatch):
    monkeypatch.setattr(Bounded, "head_seconds", 2.0)
    call = f"POST /v1/x HTTP/1.1\r\nhost: h\r\nhelicone-auth: Bearer {KEY}\r\ncontent-length: 0\r\n\r\n".encode()

    async def work():
        async with staged(tmp_path, answering(json_answer())) as stage:
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
            for _ in range(3):
                await asyncio.sleep(0.8)
                writer.write(call)
                assert b"200" in await reader.readuntil(b'{"ok":true}')
            writer.write(call[:20])
            assert b"did not come within" in await asyncio.wait_for(reader.read(), 10)
            writer.close()

    run(work())
