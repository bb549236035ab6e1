"""Calls of the gateway's own, beside the one it passes on: to a classifier, a guard model, a moderation.

What calls a model is recorded like any other call, so that what it costs is seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from accounts_app.snapshot_safety import SafetyRules
from gateway_app import headers as wire
from gateway_app.capture import Capture, Counts, Facts, Outcome
from gateway_app.errors import Broken, GatewayError, Silent
from gateway_app.headers import Framing
from gateway_app.relay import Call, Message, Outgoing
from gateway_app.shelf import Shelf
from gateway_app.targets import Target
from gateway_app.upstream import Pool
from ingest_app.directives import Directives
from ingest_app.spool import Writer
from lib.frozen import dataclass
from llm.exchange import Problem

LONGEST_REPLY: Final = 4 * 2**20
JSON: Final = {"content-type": "application/json"}


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Desk:
    """What a call beside needs of the gateway."""

    pool: Pool
    spool: Writer
    shelf: Shelf
    counts: Counts
    cap: int
    defer: Callable[[Callable[[], None]], None]


async def fetch(
    pool: Pool, target: Target, path: str, *, body: bytes, headers: Mapping[str, str], seconds: float
) -> Reply:
    """One POST, read whole. Raises GatewayError: unreachable, refused, broken, silent."""
    done = asyncio.Event()

    async def nobody_leaves() -> Message:
        await done.wait()
        return {"type": "http.disconnect"}

    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    head = wire.request_head(
        "POST", target.path_for(path), host=target.origin.authority, headers=raw, credentials=None,
        framing=Framing(length=len(body)),
    )  # fmt: skip
    call = Call(pool, target.origin, Outgoing("POST", head, body), nobody_leaves)
    try:
        async with asyncio.timeout(seconds):
            came = await call.start()
            return Reply(came.status, wire.read(came.headers), await _whole(call))
    except TimeoutError:
        raise Silent(f"It did not answer within {seconds:g} seconds.") from None
    finally:
        call.finish()
        done.set()


async def _whole(call: Call) -> bytes:
    chunks, size = [], 0
    while True:
        chunks.append(await call.read())
        size += len(chunks[-1])
        if size > LONGEST_REPLY:
            raise Broken(f"It answered with more than {LONGEST_REPLY} bytes.")
        if call.is_finished or not chunks[-1]:
            return b"".join(chunks)


async def recorded(
    desk: Desk, facts: Facts, target: Target, path: str, *, directives: Directives, safety: SafetyRules, body: bytes,
    headers: Mapping[str, str], seconds: float,
) -> Reply:  # fmt: skip
    """The same, kept as a row of its own. Raises GatewayError, after the row was ended with it."""
    capture = Capture(
        desk.spool, desk.shelf, facts, directives=directives, cap=desk.cap, counts=desk.counts,
        redactor=safety.redactor,
    )  # fmt: skip
    capture.begin(body)
    started = time.monotonic()
    outcome = Outcome(Silent.status, 0)
    try:
        reply = await fetch(desk.pool, target, path, body=body, headers={**JSON, **headers}, seconds=seconds)
        await capture.begun()
        capture.response.take(reply.body)
        outcome = Outcome(reply.status, _ms(started), headers=wire.recorded(reply.headers))
        return reply
    except GatewayError as error:
        outcome = Outcome(error.row_status(), _ms(started), problem=Problem(error.code, error.message))
        raise
    finally:
        capture.end(outcome, desk.defer)


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
