"""Heads of answers as we send them are those uvicorn sends."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from helicone_site.front import send_head


class Wire:
    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.sent += b"<closed>"


def cycle(method: str, keep_alive: bool) -> Any:
    wire: Any = Wire()
    return RequestResponseCycle(
        scope={"type": "http", "method": method},  # type: ignore[typeddict-item]
        transport=wire, flow=FlowControl(wire), logger=logging.getLogger("x"), access_logger=logging.getLogger("x"),
        access_log=False, default_headers=[], message_event=asyncio.Event(), expect_100_continue=False,
        keep_alive=keep_alive, on_response=lambda: None,
    )  # fmt: skip


def whole(one: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes, *, is_ours: bool) -> tuple[Any, ...]:
    """What was written, how far the cycle came, and by what it was stopped."""
    stopped = ""

    async def work() -> None:
        if not (is_ours and send_head(one, status, headers)):
            await one.send({"type": "http.response.start", "status": status, "headers": headers})
        await one.send({"type": "http.response.body", "body": body, "more_body": False})

    try:
        asyncio.run(work())
    except (RuntimeError, ValueError) as error:
        stopped = type(error).__name__
    return one.transport.sent, one.response_started, one.response_complete, one.keep_alive, stopped


names = st.sampled_from([b"X-Request-Id", b"helicone-id", b"content-type", b"Content-Length", b"connection",
                         b"transfer-encoding", b"set-cookie"])  # fmt: skip
values = st.one_of(
    st.sampled_from([b"3", b"0", b"close", b"chunked", b"keep-alive, Close", b"", b"a\r\nb: c", b"a\nb", b"\x00",
                     b"\x7f"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12).map(lambda text: text.encode("latin-1")),
)


@given(
    st.sampled_from(["GET", "POST", "HEAD"]), st.sampled_from([200, 204, 304, 404, 599]),
    st.lists(st.tuples(names, values), max_size=5), st.sampled_from([b"", b"abc"]), st.booleans(),
)  # fmt: skip
def test_a_head_is_sent_byte_for_byte_as_uvicorn_sends_it(method, status, headers, body, keep_alive):
    ours, theirs = cycle(method, keep_alive), cycle(method, keep_alive)
    expected = whole(theirs, status, headers, body, is_ours=False)
    assert whole(ours, status, headers, body, is_ours=True) == expected


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b=c", b"a\rb", b"a\nb", b"\x00"])
def test_a_value_that_would_end_its_line_is_not_sent(value):
    one = cycle("POST", True)
    assert not send_head(one, 200, [(b"x-told", value)])
    assert one.transport.sent == b"" and not one.response_started


def test_who_has_gone_is_sent_nothing():
    one = cycle("POST", True)
    one.disconnected = True
    assert send_head(one, 200, [])
    assert one.transport.sent == b""
