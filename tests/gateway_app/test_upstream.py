"""Our HTTP/1.1 client against servers that are odd, slow or wrong."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import ssl
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app import connection, problems, relay, upstream
from gateway_app.connection import HIGH_WATER_BYTES, MAX_HEAD_BYTES, Connection, Head
from gateway_app.errors import Broken, ClientGone, GatewayError, Silent, Stale, TargetRefused, Unreachable
from gateway_app.relay import Call, Leaving, Outgoing
from gateway_app.targets import Guard, Origin
from tests.gateway_app.stage import answering, json_answer, listening, read_request, run

GET = Outgoing("GET", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")


class Fed:
    """A connection fed by hand, without a socket."""

    class Transport(asyncio.Transport):
        is_aborted = is_paused = False

        def abort(self):
            self.is_aborted = True

        def write(self, data):
            pass

        def pause_reading(self):
            self.is_paused = True

        def resume_reading(self):
            self.is_paused = False

    def __init__(self, method: bytes = b"POST"):
        self.transport = self.Transport()
        self.connection = Connection(asyncio.get_running_loop(), "x.example")
        self.connection.connection_made(self.transport)
        self.connection.begin(method)

    async def whole(self) -> tuple[Head, bytes]:
        head, body = await self.connection.head(), b""
        while chunk := await self.connection.read():
            body += chunk
        return head, body


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def frame_chunked(parts: list[bytes], trailer: bytes) -> bytes:
    framed = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in parts if part)
    return framed + b"0\r\n" + trailer + b"\r\n"


BODIES = st.lists(st.binary(min_size=1, max_size=200), max_size=5)
CUTS = st.lists(st.integers(0, 10_000), max_size=30)


@given(parts=BODIES, cuts=CUTS, trailer=st.sampled_from([b"", b"X-Sum: 1\r\n"]), interim=st.booleans())
def test_a_chunked_answer_is_the_same_however_it_is_cut(parts, cuts, trailer, interim):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" if interim else b""
    wire = (
        early
        + b"HTTP/1.1 200 OK\r\nX-Odd-Case: a  b\r\nTransfer-Encoding: chunked\r\n\r\n"
        + frame_chunked(parts, trailer)
    )

    async def work():
        fed = Fed()
        for piece in pieces(wire, cuts):
            fed.connection.data_received(piece)
        head, body = await fed.whole()
        assert head.status == 200
        assert head.headers == [(b"X-Odd-Case", b"a  b"), (b"Transfer-Encoding", b"chunked")]
        assert body == b"".join(parts)
        assert fed.connection.is_finished
        assert fed.connection.is_reusable

    asyncio.run(work())


@given(body=st.binary(max_size=500), cuts=CUTS)
def test_an_answer_without_length_ends_with_its_connection(body, cuts):
    async def work():
        fed = Fed()
        for piece in pieces(b"HTTP/1.1 200 OK\r\n\r\n" + body, cuts):
            fed.connection.data_received(piece)
        fed.connection.connection_lost(None)
        assert (await fed.whole())[1] == body
        assert not fed.connection.is_reusable

    asyncio.run(work())


@given(st.binary(max_size=300), CUTS)
def test_whatever_comes_is_an_answer_or_an_upstream_error(garbage, cuts):
    async def work():
        fed = Fed()
        for piece in pieces(garbage, cuts):
            fed.connection.data_received(piece)
        fed.connection.connection_lost(None)
        with contextlib.suppress(Broken):
            head, _ = await fed.whole()
            assert 200 <= head.status <= 599

    asyncio.run(work())


@pytest.mark.parametrize(
    "wire",
    [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", b"HTTP/1.1 999 Odd\r\n\r\n", b"HTTP/2 200\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"SSH-2.0-OpenSSH\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
     b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD_BYTES],
)  # fmt: skip
def test_what_is_no_honest_answer_is_broken(wire):
    async def work():
        fed = Fed()
        fed.connection.data_received(wire)
        fed.connection.connection_lost(None)
        with pytest.raises(Broken):
            await fed.whole()
        assert fed.transport.is_aborted

    asyncio.run(work())


def test_a_head_answer_has_no_body_whatever_its_length_says():
    async def work():
        fed = Fed(b"HEAD")
        fed.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        head, body = await fed.whole()
        assert (head.status, body) == (200, b"")

    asyncio.run(work())


def test_a_slow_reader_pauses_the_upstream():
    async def work():
        fed = Fed()
        fed.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        fed.connection.data_received(b"x" * (HIGH_WATER_BYTES + 1))
        assert fed.transport.is_paused
        await fed.connection.read()
        assert not fed.transport.is_paused

    asyncio.run(work())


def test_bytes_nobody_asked_for_close_a_kept_connection():
    async def work():
        fed = Fed()
        fed.connection.data_received(json_answer())
        await fed.whole()
        fed.connection.finish()
        fed.connection.data_received(json_answer())
        assert fed.transport.is_aborted

    asyncio.run(work())


@pytest.mark.parametrize("surplus", [json_answer(b"evil", "500 Evil"), b"HTTP/1.1 500 Evil\r\nX-Half", b"junk"])
def test_what_comes_on_the_heels_of_an_answer_is_neither_it_nor_the_next_one(surplus):
    async def work():
        fed = Fed()
        fed.connection.data_received(json_answer() + surplus)
        head, body = await fed.whole()
        assert (head.status, body) == (200, b'{"ok":true}')
        assert not fed.connection.is_reusable

    asyncio.run(work())


async def called(pool, port, outgoing=GET, receive=None):
    gone = asyncio.get_running_loop().create_future()
    call = Call(pool, Origin("http", "127.0.0.1", port), outgoing, receive or (lambda: gone))
    try:
        head, body = await call.start(), b""
        while chunk := await call.read():
            body += chunk
        return head.status, body
    finally:
        call.finish()


def test_a_connection_is_kept_and_used_again():
    connections = []

    async def play(reader, writer):
        connections.append(writer)
        await answering(json_answer())(reader, writer)

    async def work():
        async with listening(play) as port, upstream.running(Guard(), silence_seconds=5) as pool:
            for _ in range(3):
                assert await called(pool, port) == (200, b'{"ok":true}')
            assert pool.counts() == (0, 1)
        assert len(connections) == 1

    run(work())


def one_then_gone(asked):
    """Answers the first request of a connection; at the second it closes without a word."""

    async def play(reader, writer):
        asked.append(await read_request(reader))
        writer.write(json_answer())
        asked.append(await read_request(reader))

    return play


def test_a_kept_connection_that_was_closed_is_tried_once_more_on_a_new_one():
    asked = []

    async def work():
        async with listening(one_then_gone(asked)) as port, upstream.running(Guard(), silence_seconds=5) as pool:
            post = Outgoing("POST", b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n", b"{}")
            for _ in range(2):
                assert await called(pool, port, post) == (200, b'{"ok":true}')
        assert [each.body for each in asked] == [b"{}", b"{}", b"{}"]

    run(work())


def test_a_body_that_came_in_parts_is_sent_again_whole():
    asked = []

    async def work():
        async with listening(one_then_gone(asked)) as port, upstream.running(Guard(), silence_seconds=5) as pool:
            assert (await called(pool, port))[0] == 200
            rest = iter([{"type": "http.request", "body": b"cd", "more_body": False}])

            async def receive():
                await asyncio.sleep(0.01)
                for message in rest:
                    return message
                return await asyncio.get_running_loop().create_future()

            head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
            parts = Outgoing("POST", head, b"ab", is_complete=False, is_chunked=True)
            assert (await called(pool, port, parts, receive))[0] == 200
        assert asked[-1].body == b"abcd"

    run(work())


@pytest.mark.parametrize(("method", "times"), [("POST", 1), ("PATCH", 1), ("GET", 2), ("PUT", 2)])
def test_a_call_that_may_have_been_served_is_not_made_twice(monkeypatch, method, times):
    """The connection is lost later than a request takes to arrive: a model may have been at work."""
    monkeypatch.setattr(connection, "STALE_SECONDS", 0.0)
    asked = []

    async def work():
        async with listening(one_then_gone(asked)) as port, upstream.running(Guard(), silence_seconds=5) as pool:
            await called(pool, port)
            outgoing = Outgoing(method, f"{method} /once HTTP/1.1\r\ncontent-length: 2\r\n\r\n".encode(), b"{}")
            with contextlib.nullcontext() if times == 2 else pytest.raises(Broken):
                await called(pool, port, outgoing)
        assert [each.line for each in asked[1:]] == [f"{method} /once HTTP/1.1"] * times

    run(work())


def test_a_kept_connection_that_said_it_goes_on_and_closed_is_not_tried_again():
    asked = []

    async def play(reader, writer):
        asked.append(await read_request(reader))
        writer.write(json_answer())
        asked.append(await read_request(reader))
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await writer.drain()

    async def work():
        async with listening(play) as port, upstream.running(Guard(), silence_seconds=5) as pool:
            await called(pool, port)
            with pytest.raises(Broken):
                await called(pool, port)
        assert len(asked) == 2

    run(work())


def test_a_body_too_long_to_be_sent_again_is_never_sent_in_part(monkeypatch):
    """More of it comes while the second connection is made."""
    monkeypatch.setattr(relay, "REPLAY_BYTES", 4)

    async def play(reader, writer):
        await read_request(reader)
        writer.write(json_answer())
        await reader.readuntil(b"\r\n\r\n")

    async def work():
        async with listening(play) as port, upstream.running(Guard(), silence_seconds=5) as pool:
            assert (await called(pool, port))[0] == 200
            acquire, is_dialling = pool.acquire, asyncio.Event()

            async def acquire_slowly(origin, **how):
                if how["is_new"]:
                    is_dialling.set()
                    await asyncio.sleep(0.05)
                return await acquire(origin, **how)

            monkeypatch.setattr(pool, "acquire", acquire_slowly)
            messages = iter([{"type": "http.request", "body": b"cd", "more_body": True},
                             {"type": "http.request", "body": b"efgh", "more_body": True}])  # fmt: skip

            async def receive():
                message = next(messages, None)
                if message is None:
                    return await asyncio.get_running_loop().create_future()
                if message["body"] == b"efgh":
                    await is_dialling.wait()
                return message

            head = b"POST / HTTP/1.1\r\ncontent-length: 8\r\n\r\n"
            parts = Outgoing("POST", head, b"ab", is_complete=False)
            with pytest.raises(Broken, match="too much"):
                await called(pool, port, parts, receive)

    run(work())


def test_a_first_connection_that_closes_without_a_word_is_not_tried_again():
    asked = []

    async def play(reader, writer):
        asked.append(await read_request(reader))

    async def work():
        async with listening(play) as port, upstream.running(Guard(), silence_seconds=5) as pool:
            with pytest.raises(Broken) as raised:
                await called(pool, port)
            assert not isinstance(raised.value, Stale)
        assert len(asked) == 1

    run(work())


def test_a_stream_that_goes_on_is_never_silent_and_one_that_stops_is():
    async def work():
        ticking = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n", *[b"x"] * 8, pause=0.1)
        stopping = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nx", pause=30)
        async with upstream.running(Guard(), silence_seconds=0.4) as pool:
            async with listening(ticking) as port:
                assert await called(pool, port) == (200, b"x" * 8)
            async with listening(stopping) as port:
                with pytest.raises(Silent):
                    await called(pool, port)

    run(work())


def test_a_client_that_goes_away_while_the_head_is_awaited_ends_the_call():
    async def work():
        async with listening(answering(pause=30)) as port, upstream.running(Guard(), silence_seconds=5) as pool:

            async def receive():
                await asyncio.sleep(0.02)
                return {"type": "http.disconnect"}

            with pytest.raises(ClientGone):
                await called(pool, port, receive=receive)
            assert pool.counts() == (0, 0)

    run(work())


@pytest.mark.parametrize("leaves_after", [0.0, 0.05])
def test_a_client_whose_connection_is_lost_before_or_after_ends_the_call_without_being_asked(leaves_after):
    async def work():
        async with listening(answering(pause=30)) as port, upstream.running(Guard(), silence_seconds=5) as pool:
            leaving = Leaving()
            if leaves_after:
                asyncio.get_running_loop().call_later(leaves_after, leaving.tell)
            else:
                leaving.tell()
            outgoing = Outgoing("GET", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            call = Call(pool, Origin("http", "127.0.0.1", port), outgoing, never, leaving=leaving)
            with pytest.raises(ClientGone):
                await call.start()
            call.finish()
            leaving.tell()
            assert pool.counts() == (0, 0)

    run(work())


async def never():
    raise AssertionError("nobody need be asked")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A key and a certificate for `localhost` that signs itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def test_over_tls_only_who_proves_the_name_is_spoken_to(certificate):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))

    async def work():
        async with listening(answering(json_answer()), server) as port:
            async with upstream.running(Guard(), silence_seconds=5, tls=trusting) as pool:
                connection = await pool.acquire(Origin("https", "localhost", port))
                assert connection.is_open
                with pytest.raises(Unreachable, match="certificate"):
                    await pool.acquire(Origin("https", "127.0.0.1", port))
            async with upstream.running(Guard(), silence_seconds=5) as pool:
                with pytest.raises(Unreachable, match="certificate"):
                    await pool.acquire(Origin("https", "localhost", port))

    run(work())


def test_what_a_row_says_went_wrong_is_from_the_closed_list():
    recorded = [Unreachable, Broken, Stale, Silent, TargetRefused]
    assert {kind.code for kind in recorded} <= set(problems.CODES)


def test_every_error_tells_a_client_what_happened():
    kinds = [GatewayError, *GatewayError.__subclasses__()]
    assert all(kind("Sentence.").message and kind.status >= 400 for kind in kinds)
