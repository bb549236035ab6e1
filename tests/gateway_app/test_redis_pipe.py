"""edge's way to Redis: replies in order, bounded in time, back by itself."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.redis_pipe import UNFINISHED, Pipe, RedisAway, RedisRefused, Replies, Script, command, read_address
from helicone_site import settings
from tests.gateway_app.stage import run


@contextlib.asynccontextmanager
async def piped(url: str = settings.REDIS_URL, patience: float = 5.0):
    pipe = Pipe(url, patience=patience)
    running = asyncio.create_task(pipe.run())
    try:
        yield pipe
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        pipe.close()


async def up(pipe: Pipe) -> None:
    for _ in range(1000):
        if pipe.is_up:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no connection to Redis")


def test_replies_come_to_who_asked():
    async def work():
        async with piped() as pipe:
            await up(pipe)
            assert await asyncio.gather(*(pipe.ask("ECHO", n) for n in range(500))) == [b"%d" % n for n in range(500)]
            assert await pipe.ask("ECHO", b"\r\n$-1\r\n" * 100_000) == b"\r\n$-1\r\n" * 100_000
            with pytest.raises(RedisRefused, match="unknown command"):
                await pipe.ask("NOSUCH")

    run(work())


def test_a_script_redis_has_forgotten_is_sent_again():
    async def work():
        async with piped() as pipe:
            await up(pipe)
            script = Script("return {KEYS[1], tonumber(ARGV[1]), false, {'a'}}")
            await pipe.ask("SCRIPT", "FLUSH")
            for _ in range(2):
                assert await pipe.call(script, ["k"], [7]) == [b"k", 7, None, [b"a"]]

    run(work())


def test_without_a_connection_nobody_waits():
    async def work():
        async with piped("unix:///nowhere/redis.sock") as pipe:
            with pytest.raises(RedisAway):
                await pipe.ask("PING")

    run(work())


def test_a_redis_that_hangs_is_waited_for_once_and_left(tmp_path):
    """The first to ask waits `patience`; who asks meanwhile is told at once; then a new connection is made."""
    asked: list[int] = []

    async def hang(reader, writer):
        asked.append(1)
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                if len(asked) > 1:
                    writer.write(b"+PONG\r\n")
        writer.close()

    async def work():
        server = await asyncio.start_unix_server(hang, tmp_path / "r.sock")
        async with piped(f"unix://{tmp_path}/r.sock", patience=0.05) as pipe:
            await up(pipe)
            with pytest.raises(RedisAway, match="within"):
                await pipe.ask("PING")
            with pytest.raises(RedisAway, match="in time"):
                await pipe.ask("PING")
            while len(asked) < 2 or not pipe.is_up:
                await asyncio.sleep(0.01)
            assert await pipe.ask("PING") == b"PONG"
        server.close()

    run(work())


PLAIN = st.none() | st.integers(-5, 5) | st.binary(max_size=30)
ANY = st.recursive(PLAIN, lambda one: st.lists(one, max_size=3), max_leaves=6)


@given(st.lists(ANY, max_size=6), st.integers(1, 7))
def test_replies_are_read_however_they_are_cut(values, size):
    def packed(value) -> bytes:
        if value is None:
            return b"$-1\r\n"
        if isinstance(value, int):
            return b":%d\r\n" % value
        if isinstance(value, bytes):
            return b"$%d\r\n%b\r\n" % (len(value), value)
        return b"*%d\r\n" % len(value) + b"".join(map(packed, value))

    data, replies, found = b"".join(map(packed, values)), Replies(), []
    for start in range(0, len(data), size):
        replies.feed(data[start : start + size])
        while (reply := replies.next()) is not UNFINISHED:
            found.append(reply)
    assert found == values


@pytest.mark.parametrize(
    ("url", "said", "hello"),
    [
        ("redis://cache", "cache:6379", ()),
        ("redis://:p%40ss@cache:7000/3", "cache:7000", (("AUTH", "p@ss"), ("SELECT", 3))),
        ("rediss://me:secret@cache/0?ssl_cert_reqs=none", "cache:6379", (("AUTH", "me", "secret"),)),
        ("unix:///run/r.sock?db=2", "/run/r.sock", (("SELECT", 2),)),
    ],
)
def test_a_url_says_where_and_as_whom(url, said, hello):
    address = read_address(url)
    assert (str(address), address.hello, address.tls is not None) == (said, hello, url.startswith("rediss"))


@given(st.lists(st.binary() | st.text() | st.text("ab:- 1", max_size=9) | st.integers() | st.floats(), min_size=1))
def test_a_command_is_a_list_of_what_it_was_made_of(parts):
    replies = Replies()
    replies.feed(command(parts))
    assert replies.next() == [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    assert replies.next() is UNFINISHED
