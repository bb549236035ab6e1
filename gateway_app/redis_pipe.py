"""Redis as edge speaks to it: one connection, many questions under way at once, each bounded in time.

    ask ─▶ gathered until the loop's next turn ─▶ one write ─▶ replies in the order of the questions (RESP2)

Nobody waits longer than about `patience`, and while Redis lags nobody begins to wait. Why not redis-py:
docs/decisions/0010-redis-in-edge.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

from lib.frozen import dataclass

log = logging.getLogger("gateway_app")

CONNECT_SECONDS = 5.0
RETRY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
ABANDON_AFTER = 8
"""A connection that owes a reply for so many times `patience` is closed and another one made."""

Part = bytes | str | int | float
_Owed = tuple["asyncio.Future[Any]", float, "Callable[[], bytes] | None"]
"""Who waits for a reply, since when, and what to ask where Redis does not know the script."""


class RedisError(Exception):
    """Redis could not be asked, or refused."""


class RedisAway(RedisError):
    """There is no connection, or no reply in time."""


class RedisRefused(RedisError):
    """Redis answered with an error."""


class Script:
    """A Lua script; sent whole only where Redis does not have it yet."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL leads. `hello` are the commands that open a connection; they hold the password."""

    path: str
    host: str
    port: int
    tls: ssl.SSLContext | None
    hello: tuple[tuple[Part, ...], ...]

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def read_address(url: str) -> Address:
    """Of a `redis://`, `rediss://` or `unix://` URL, as Celery reads it. Raises ValueError for any other."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError(f"REDIS_URL must start with redis://, rediss:// or unix://, not {parts.scheme}://")
    told = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    is_socket = parts.scheme == "unix"
    database = told.get("db") or ("" if is_socket else parts.path.strip("/"))
    user, password = unquote(parts.username or told.get("username", "")), parts.password or told.get("password", "")
    hello: list[tuple[Part, ...]] = []
    if password:
        hello.append(("AUTH", *((user,) if user else ()), unquote(password)))
    if database and int(database):
        hello.append(("SELECT", int(database)))
    return Address(
        unquote(parts.path) if is_socket else "", parts.hostname or "localhost", parts.port or 6379,
        _tls(told) if parts.scheme == "rediss" else None, tuple(hello),
    )  # fmt: skip


def _tls(told: dict[str, str]) -> ssl.SSLContext:
    """redis-py's words: `ssl_cert_reqs=none` trusts anybody, `ssl_ca_certs` names a file."""
    context = ssl.create_default_context(cafile=told.get("ssl_ca_certs"))
    if told.get("ssl_cert_reqs", "required").lower() in ("none", "cert_none"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Pipe:
    """`run` must be running: it connects, again and again. `ask` and `call` raise RedisError, never wait for long."""

    def __init__(self, url: str, *, patience: float) -> None:
        """`patience`: seconds a reply may take. Raises ValueError as `read_address`."""
        self._address = read_address(url)
        self._patience = patience
        self._wire: _Wire | None = None

    @property
    def is_up(self) -> bool:
        return self._wire is not None and not self._wire.is_behind

    def call(
        self, script: Script, keys: Sequence[Part], args: Sequence[Part], *, lasting: tuple[str, ...] = ()
    ) -> Awaitable[Any]:
        """What the script returns: bytes, int, None, or a list of those. `lasting` keys stand before the others; as
        they are the same in the next call, they are packed once."""
        varying = [*keys, *args]
        count, many = len(lasting) + len(keys), 3 + len(lasting) + len(varying)
        data = b"*%d\r\n" % many + _head("EVALSHA", script.sha, count, *lasting) + packed(varying)
        return self._there().ask(data, lambda: command(("EVAL", script.text, count, *lasting, *varying)))

    def ask(self, *parts: Part) -> Awaitable[Any]:
        return self._there().ask(command(parts))

    def _there(self) -> _Wire:
        if self._wire is None:
            raise RedisAway(f"There is no connection to Redis at {self._address}.")
        return self._wire

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                wire = await self._connect()
                failures = 0
                await wire.lost
                log.warning("redis_lost address=%s", self._address)
            except (OSError, TimeoutError, RedisError) as error:
                if not failures:
                    log.warning("redis_unreachable address=%s reason=%s", self._address, error)
                failures += 1
            self._wire = None
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])

    async def _connect(self) -> _Wire:
        loop, address = asyncio.get_running_loop(), self._address
        async with asyncio.timeout(CONNECT_SECONDS):
            if address.path:
                _, made = await loop.create_unix_connection(self._make, address.path)
            else:
                _, made = await loop.create_connection(self._make, address.host, address.port, ssl=address.tls)
            wire = made
            try:
                for asked in address.hello:
                    await wire.ask(command(asked))
            except RedisError:
                wire.close()
                raise
        self._wire = wire
        return wire

    def _make(self) -> _Wire:
        return _Wire(asyncio.get_running_loop(), self._patience)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()


class _Wire(asyncio.Protocol):
    """One connection. `lost` is done when it is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        self._loop = loop
        self._patience = patience
        self._transport: asyncio.Transport | None = None
        self._replies = Replies()
        self._owed: deque[_Owed] = deque()
        self._out: list[bytes] = []
        self._watch: asyncio.TimerHandle | None = None
        self.is_behind = False
        """The oldest question is older than `patience`: whoever asked it has been told, and nobody else need wait."""
        self.lost: asyncio.Future[None] = loop.create_future()

    def ask(self, data: bytes, whole: Callable[[], bytes] | None = None) -> asyncio.Future[Any]:
        """Raises RedisAway; the future may hold any RedisError. `whole` asks again where Redis does not know a script
        by its name."""
        if self.is_behind or self.lost.done():
            raise RedisAway("Redis does not answer in time.")
        future = self._loop.create_future()
        self._send(future, data, whole)
        return future

    def _send(self, future: asyncio.Future[Any], data: bytes, whole: Callable[[], bytes] | None) -> None:
        self._owed.append((future, self._loop.time(), whole))
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience, self._look)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        data, self._out = b"".join(self._out), []
        if self._transport is not None and not self.lost.done():
            self._transport.write(data)

    def _look(self) -> None:
        """Tells those who have waited long enough; looks again while anything is owed."""
        self._watch = None
        if not self._owed:
            return
        now = self._loop.time()
        for future, asked_at, _ in self._owed:
            if now - asked_at < self._patience:
                break
            self.is_behind = True
            if not future.done():
                future.set_exception(RedisAway(f"Redis did not answer within {self._patience:g} seconds."))
        if now - self._owed[0][1] > ABANDON_AFTER * self._patience:
            self.close()
        self._watch = self._loop.call_later(self._patience / 2, self._look)

    # --- what the event loop calls ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._replies.feed(data)
        while self._owed:
            try:
                reply = self._replies.next()
            except ValueError:
                self.close()
                return
            if reply is UNFINISHED:
                return
            future, _, whole = self._owed.popleft()
            if future.done():
                pass
            elif isinstance(reply, RedisRefused):
                if whole is not None and str(reply).startswith("NOSCRIPT"):
                    self._send(future, whole(), None)
                else:
                    future.set_exception(reply)
            else:
                future.set_result(reply)
        self.is_behind = False

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        if self._watch is not None:
            self._watch.cancel()
        for future, _, _ in self._owed:
            if not future.done():
                future.set_exception(RedisAway("The connection to Redis was lost."))
        self._owed.clear()


def command(parts: Sequence[Part]) -> bytes:
    """A whole command."""
    return b"*%d\r\n" % len(parts) + packed(parts)


@lru_cache(maxsize=512)
def _head(*parts: Part) -> bytes:
    """What many commands begin with."""
    return packed(parts)


def packed(parts: Sequence[Part]) -> bytes:
    """Parts of a command as Redis reads them. ASCII, as nearly all of them are, is put together as text, in half the
    time."""
    if bytes not in map(type, parts):
        texts = list(map(str, parts))
        together = "".join([f"${len(text)}\r\n{text}\r\n" for text in texts])
        if together.isascii():
            return together.encode()
    out = []
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        out.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(out)


UNFINISHED: Final = object()


class Replies:
    """RESP2, read as it comes: bytes, int, None, lists of them; an error is a RedisRefused."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._lacks = 0
        """Bytes that must be there before reading again is worth it."""

    def feed(self, data: bytes) -> None:
        self._held += data

    def next(self) -> Any:
        """The next reply, UNFINISHED where it has not come whole. Raises ValueError for what is no RESP."""
        if not self._held or len(self._held) < self._lacks:
            return UNFINISHED
        self._lacks = 0
        value, end = self._at(0)
        if value is not UNFINISHED:
            del self._held[:end]
        return value

    def _at(self, start: int) -> tuple[Any, int]:
        line_end = self._held.find(b"\r\n", start)
        if line_end < 0:
            return UNFINISHED, 0
        kind, line, after = self._held[start], bytes(self._held[start + 1 : line_end]), line_end + 2
        if kind == 36:  # $: bytes of a told length
            return self._bytes_at(after, int(line))
        if kind == 58:  # : a number
            return int(line), after
        if kind == 42:  # *: a list
            return self._list_at(after, int(line))
        if kind == 43:  # +: a word
            return line, after
        if kind == 45:  # -: an error
            return RedisRefused(line.decode("utf-8", "replace")), after
        raise ValueError(f"Redis sent what is no RESP2: {bytes(self._held[start : start + 20])!r}")

    def _bytes_at(self, start: int, length: int) -> tuple[Any, int]:
        if length < 0:
            return None, start
        end = start + length
        if len(self._held) < end + 2:
            self._lacks = end + 2
            return UNFINISHED, 0
        return bytes(self._held[start:end]), end + 2

    def _list_at(self, start: int, length: int) -> tuple[Any, int]:
        found, at = [], start
        for _ in range(length):
            value, at = self._at(at)
            if value is UNFINISHED:
                return UNFINISHED, 0
            found.append(value)
        return (None if length < 0 else found), at
