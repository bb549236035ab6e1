"""Connections to upstreams, kept open between calls: one pool for providers and for `web` on its unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator

from gateway_app.connection import Connection
from gateway_app.errors import Silent, Unreachable
from gateway_app.targets import Guard, Origin

CONNECT_SECONDS = 10.0
ADDRESS_SECONDS = 4.0
"""One address of several may take this long before the next is tried."""
IDLE_SECONDS = 50.0
FRESH_SECONDS = 2.0
"""A kept connection this young is trusted with a request that could not be sent twice."""
SWEEP_SECONDS = 1.0


class Pool:
    """Gives and takes back connections. `run` must be running: it closes idle ones and ends silent exchanges."""

    def __init__(self, guard: Guard, *, silence_seconds: float, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: whom to trust; without it whoever this machine trusts (SSL_CERT_FILE adds to that)."""
        self._loop = asyncio.get_running_loop()
        self._guard = guard
        self._silence_seconds = silence_seconds
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._busy: set[Connection] = set()
        self._tls = tls or ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])

    async def acquire(self, origin: Origin, *, is_fresh: bool = False, is_new: bool = False) -> Connection:
        """A connection for one exchange. Raises Unreachable, TargetRefused.

        `is_new`: never a kept one; `is_fresh`: only one kept for less than FRESH_SECONDS.
        """
        kept = None if is_new else self._kept(origin, FRESH_SECONDS if is_fresh else IDLE_SECONDS)
        connection = kept or await self._connect(origin)
        self._busy.add(connection)
        return connection

    def release(self, connection: Connection, origin: Origin) -> None:
        """The exchange is over; the connection is kept if it can be used again."""
        self._busy.discard(connection)
        is_whole = connection.is_finished
        connection.finish()
        if is_whole and connection.is_reusable and connection.is_open:
            self._idle[origin].append(connection)
        else:
            connection.close()

    def counts(self) -> tuple[int, int]:
        """(exchanges under way, connections kept)."""
        return len(self._busy), sum(len(kept) for kept in self._idle.values())

    async def run(self) -> None:
        pace = min(SWEEP_SECONDS, self._silence_seconds / 4)
        while True:
            await asyncio.sleep(pace)
            now = self._loop.time()
            for connection in [c for c in self._busy if now - c.moved_at > self._patience(c)]:
                patience = self._patience(connection)
                connection.fail(Silent(f"Nothing moved for {patience:g} seconds, so the call was ended."))
            for origin, kept in list(self._idle.items()):
                self._drop_old(origin, kept, before=now - IDLE_SECONDS)

    def _patience(self, connection: Connection) -> float:
        return max(self._silence_seconds, connection.patience)

    def close(self) -> None:
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self._idle.clear()

    def _kept(self, origin: Origin, seconds: float) -> Connection | None:
        """The youngest kept connection that still stands."""
        kept = self._idle.get(origin)
        oldest = self._loop.time() - seconds
        while kept:
            connection = kept.pop()
            if connection.is_open and connection.is_reusable and connection.moved_at >= oldest:
                return connection
            connection.close()
        return None

    def _drop_old(self, origin: Origin, kept: list[Connection], before: float) -> None:
        young = [c for c in kept if c.is_open and c.moved_at >= before]
        for connection in kept:
            if connection not in young:
                connection.close()
        if young:
            self._idle[origin] = young
        else:
            del self._idle[origin]

    async def _connect(self, origin: Origin) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                if origin.scheme == "unix":
                    return await self._connect_socket(origin)
                return await self._connect_any(origin)
        except TimeoutError:
            message = f"{origin.text} did not accept a connection within {CONNECT_SECONDS:g} seconds."
            raise Unreachable(message) from None

    async def _connect_socket(self, origin: Origin) -> Connection:
        connection = Connection(self._loop, "web")
        try:
            await self._loop.create_unix_connection(lambda: connection, origin.host)
        except OSError as error:
            raise Unreachable(f"{origin.host} takes no connections: {error}") from error
        return connection

    async def _connect_any(self, origin: Origin) -> Connection:
        """The first address that answers, of those the guard lets through."""
        reason = "it has no address"
        for address in self._guard.check(origin, await self._resolve(origin)):
            connection = Connection(self._loop, origin.host)
            try:
                async with asyncio.timeout(ADDRESS_SECONDS):
                    await self._open(connection, origin, address)
                return connection
            except ssl.SSLError as error:
                reason = f"TLS failed: {error.reason or error}"
                if isinstance(error, ssl.SSLCertVerificationError):
                    reason = f"its certificate is not valid: {error.verify_message}"
            except TimeoutError:
                reason = f"{address} did not answer within {ADDRESS_SECONDS:g} seconds"
            except OSError as error:
                reason = f"{address}: {error.strerror or error}"
        raise Unreachable(f"{origin.text} cannot be reached: {reason}.")

    async def _open(self, connection: Connection, origin: Origin, address: str) -> None:
        is_tls = origin.scheme == "https"
        await self._loop.create_connection(
            lambda: connection, address, origin.port,
            ssl=self._tls if is_tls else None, server_hostname=origin.host if is_tls else None,
        )  # fmt: skip

    async def _resolve(self, origin: Origin) -> list[str]:
        try:
            return [str(ipaddress.ip_address(origin.host))]
        except ValueError:
            pass
        try:
            found = await self._loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unreachable(f"{origin.host} has no address: {error.strerror or error}.") from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@contextlib.asynccontextmanager
async def running(
    guard: Guard, *, silence_seconds: float, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Pool]:
    """A pool that sweeps while the block runs."""
    pool = Pool(guard, silence_seconds=silence_seconds, tls=tls)
    sweep = asyncio.create_task(pool.run())
    try:
        yield pool
    finally:
        sweep.cancel()
        await asyncio.gather(sweep, return_exceptions=True)
        pool.close()
