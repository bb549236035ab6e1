"""edge: the one public port. A switch in plain ASGI between the gateway, the log doors and `web`; no Django here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvicorn
from psycopg.conninfo import make_conninfo

from accounts_app import snapshot_provider_keys, snapshot_safety
from accounts_app.secrets import Keyring
from accounts_app.snapshot import KEYS, Keeper, Part
from alerts_app import snapshot as guarding
from gateway_app import headers, request_head, resting, routes, screens, snapshot_parts, upstream
from gateway_app.connection import Headers
from gateway_app.errors import ClientGone, UpstreamError
from gateway_app.gateway import Gateway
from gateway_app.guard import Guard as PolicyGuard
from gateway_app.guard import Options
from gateway_app.house import Policy, Visit
from gateway_app.redis_pipe import Pipe
from gateway_app.relay import LEAVING, Call, Outgoing, Receive, Scope, Send, answer, first_of_body
from gateway_app.routes import Route, Whose
from gateway_app.targets import Guard, Origin, provider_urls
from helicone_site import places, settings
from helicone_site.front import Bounded
from helicone_site.room import NoRoom, Room, Share
from ingest_app import directives, doors
from ingest_app.doors import DoorReply, DoorRequest, Doorway
from ingest_app.spool import Writer
from lib import collector, heartbeat

log = logging.getLogger("helicone_site")

KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 25
"""In-flight requests have so long to end before they are cut."""
HEALTH_DIR = places.RUN_DIR / "health"
PROCESSES = ("edge", "web", "line", "worker")
"""Without these the product does not work; others that beat are shown too."""
SAID_TO_OTHERS = {"/healthcheck": b'{"status":"healthy :)"}', "/api/public/health": b'{"status":"OK","version":"3"}'}


@dataclass(frozen=True, slots=True)
class Edge:
    """What the switch works with, while it runs."""

    gateway: Gateway
    doorway: Doorway
    pool: upstream.Pool
    web: Origin
    own_host: str = ""
    """Host name our own pages live under."""
    room: Room = field(default_factory=Room)
    """For the bodies of log doors, all together."""


class Switch:
    """The ASGI application."""

    def __init__(self) -> None:
        self._edge: Edge | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and self._edge is not None:
            await serve(self._edge, scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """From start to shutdown. What cannot be started is said, and uvicorn ends."""
        await receive()
        try:
            async with running() as edge:
                self._edge = edge
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            log.exception("edge_failed")
            await send({"type": f"lifespan.{'shutdown' if self._edge else 'startup'}.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})


async def serve(edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
    """One request to whose it is."""
    found = headers.read(scope["headers"])
    told = directives.read(found)
    route = routes.resolve(
        scope["raw_path"].decode("latin-1"), headers=found, host=host_of(found), own_host=edge.own_host,
        has_target=told.has_target, target=routes.target_provider(told),
    )  # fmt: skip
    visit = Visit(scope, receive, send, route, found, told)
    try:
        if route.whose is Whose.GATEWAY:
            await edge.gateway.answer(visit)
        elif route.whose is Whose.LOG:
            await answer_log(edge, visit)
        elif route.whose is Whose.HEALTH:
            await answer_health(route, send)
        else:
            await pass_to_web(edge, visit)
    except ClientGone:
        return


def host_of(found: Mapping[str, str]) -> str:
    """The Host header's name, without its port."""
    return found.get("host", "").partition(":")[0].lower()


async def reply(send: Send, status: int, more: Headers, body: bytes) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*more, length]})
    await send({"type": "http.response.body", "body": body})


# --- log doors --------------------------------------------------------------------------------------------------------


async def answer_log(edge: Edge, visit: Visit) -> None:
    """Reads the body of who may send one, within what its door and all of them take, and hands it over."""
    query = visit.scope["query_string"].decode("latin-1")
    head = DoorRequest(visit.scope["method"], visit.route.path, visit.headers, b"", visit.route.path_key, query)
    answered = await doors.at_once(head, edge.doorway) or await answer_body(edge, visit, head)
    more = [(name.encode(), value.encode()) for name, value in answered.headers.items() if name != "content-length"]
    await reply(visit.send, answered.status, more, answered.body)


async def answer_body(edge: Edge, visit: Visit, head: DoorRequest) -> DoorReply:
    with edge.room.share() as share:
        try:
            body = await read_bounded(visit, edge.doorway.most(head.path)[0], share)
        except NoRoom:
            return doors.no_room(head)
        if body is None:
            return doors.too_large(head, edge.doorway)
        return await doors.handle(replace(head, body=body), edge.doorway)


async def read_bounded(visit: Visit, most: int, share: Share) -> bytes | None:
    """The whole body; None when it is longer than `most` bytes. Raises ClientGone, NoRoom."""
    framing, _ = request_head.framing(visit.headers)
    if framing.length is not None and framing.length > most:
        return None
    chunks, size, has_more = [], 0, True
    while has_more:
        message = await visit.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            return None
        share.take(len(chunks[-1]))
        has_more = message.get("more_body", False)
    return b"".join(chunks)


# --- web --------------------------------------------------------------------------------------------------------------


async def pass_to_web(edge: Edge, visit: Visit) -> None:
    """Hands the request to `web` as it came; 502 in plain words while `web` is away."""
    framing, is_empty = request_head.framing(visit.headers)
    first, is_complete = await first_of_body(visit.receive, is_empty)
    query = visit.scope["query_string"].decode("latin-1")
    path = visit.scope["raw_path"].decode("latin-1")
    head = headers.passed_head(
        visit.scope["method"], f"{path}?{query}" if query else path, headers=visit.scope["headers"],
        framing=framing, forwarded=forwarded(visit),
    )  # fmt: skip
    outgoing = Outgoing(visit.scope["method"], head, first, is_complete, framing.is_chunked)
    call = Call(edge.pool, edge.web, outgoing, visit.receive, leaving=visit.scope.get(LEAVING))
    has_answered = False
    try:
        came = await call.start()
        has_body = came.status not in (204, 304)
        passed = headers.passed_answer_headers(came.headers, has_body=has_body)
        has_answered = True
        await visit.send({"type": "http.response.start", "status": came.status, "headers": passed})
        await answer(call, visit.send)
    except UpstreamError as error:
        log.warning("web_failed path=%s reason=%s", visit.scope["path"][:200], error.message)
        if not has_answered:
            text = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"2")]
            await reply(visit.send, 502, text, b"The pages are not ready yet. Try again in a moment.\n")
    finally:
        call.finish()


def forwarded(visit: Visit) -> Headers:
    """Who the client is and how it came, for `web`: our own word, not the client's."""
    peer = visit.scope.get("client")
    chain = [visit.headers.get("x-forwarded-for", ""), peer[0] if peer else ""]
    scheme = "https" if settings.PUBLIC_URL.startswith("https://") else str(visit.scope["scheme"])
    return [
        (b"x-forwarded-for", ", ".join(part for part in chain if part).encode("latin-1", "replace")),
        (b"x-forwarded-proto", scheme.encode()),
    ]


# --- health -----------------------------------------------------------------------------------------------------------


async def answer_health(route: Route, send: Send) -> None:
    """`/healthz`: a line of JSON per process, 200 when all are well. The others: Helicone's own answer, Langfuse's."""
    if (said := SAID_TO_OTHERS.get(route.path.rstrip("/"))) is not None:
        await reply(send, 200, [(b"content-type", b"application/json")], said)
        return
    beats = heartbeat.read(HEALTH_DIR)
    lines = [
        {"process": name, "is_ready": beat.is_well, "pid": beat.pid, "at": beat.at, **beat.detail}
        for name, beat in beats.items()
    ]
    lines += [{"process": name, "is_ready": False} for name in PROCESSES if name not in beats]
    is_well = all(line["is_ready"] for line in lines)
    body = b"".join(orjson.dumps(line) + b"\n" for line in sorted(lines, key=lambda line: str(line["process"])))
    await reply(send, 200 if is_well else 503, [(b"content-type", b"application/x-ndjson")], body)


async def beat(edge: Edge) -> None:
    """Says every few seconds that edge lives, and what it could not keep."""
    while True:
        snapshot, counts = edge.gateway.keeper.current, edge.gateway.counts
        under_way, kept = edge.pool.counts()
        detail = {
            "snapshot_version": snapshot.version if snapshot else None, "exchanges": counts.begun, "lost": counts.lost,
            "under_way": under_way, "connections_kept": kept, "drops": dict(edge.doorway.drops),
        }  # fmt: skip
        with contextlib.suppress(OSError):
            heartbeat.write(HEALTH_DIR, "edge", is_ready=snapshot is not None, detail=detail)
        await asyncio.sleep(heartbeat.EVERY_SECONDS if snapshot else 0.2)


# --- life -------------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Edge]:
    """Everything the switch needs, started; stopped in order, the spool last."""
    policy = Policy(
        requires_key=settings.GATEWAY_REQUIRE_KEY, capture_max_bytes=settings.CAPTURE_MAX_BYTES,
        silence_seconds=settings.UPSTREAM_TIMEOUT_SECONDS,
        provider_urls=provider_urls(os.environ), slow_seconds=settings.GATEWAY_SLOW_SECONDS,
    )  # fmt: skip
    guard = Guard.read(settings.GATEWAY_PRIVATE_TARGETS)
    spool = Writer(
        settings.SPOOL_DIR, max_bytes=settings.SPOOL_MAX_BYTES, min_free_bytes=settings.SPOOL_MIN_FREE_BYTES
    )
    keyring = Keyring(settings.SECRETS_KEYS)
    keeper = Keeper(conninfo(), places.SNAPSHOT_FILE, parts(keyring))
    try:
        async with upstream.running(guard, silence_seconds=settings.UPSTREAM_TIMEOUT_SECONDS) as pool:
            gateway = Gateway(
                keeper=keeper, spool=spool, pool=pool, policy=policy, guard=policies_guard(),
                screens_options=screens_options(), keyring=keyring,
            )  # fmt: skip
            doorway = Doorway(
                keeper, spool, settings.LOG_MAX_BYTES, timedelta(days=settings.MAX_AGE_DAYS),
                max_export_bytes=settings.OTLP_MAX_BYTES, public_url=settings.PUBLIC_URL, secret=settings.SECRET_KEY,
                keyring=keyring, redactor_of=lambda of: snapshot_safety.safety(keeper.current, of).redactor,
            )  # fmt: skip
            web = Origin("unix", str(places.WEB_SOCKET), 0)
            edge = Edge(gateway, doorway, pool, web, urlsplit(settings.PUBLIC_URL).hostname or "")
            telling = resting.tell(gateway.health, gateway.guard)
            async with beside(keeper.run(), gateway.run(), gateway.guard.run(), beat(edge), telling):
                yield edge
            await gateway.settled()
    finally:
        spool.close()


def parts(keyring: Keyring) -> tuple[Part, ...]:
    """What `edge` wants to know of the database."""
    own = (snapshot_provider_keys.part(keyring), snapshot_safety.part(keyring))
    return (KEYS, *own, *guarding.PARTS, *snapshot_parts.PARTS)


def policies_guard() -> PolicyGuard:
    options = Options(
        cache_max_bytes=settings.CACHE_MAX_BYTES, reply_max_bytes=settings.CACHE_REPLY_MAX_BYTES,
        is_open_without_redis=settings.LIMITS_WITHOUT_REDIS == "open",
        are_budgets_open=settings.BUDGETS_WITHOUT_REDIS == "open", output_tokens=settings.BUDGET_OUTPUT_TOKENS,
    )  # fmt: skip
    return PolicyGuard(Pipe(settings.REDIS_URL, patience=settings.REDIS_PATIENCE_MS / 1000), options)


def screens_options() -> screens.Options:
    return screens.Options(
        seconds=settings.SCREEN_TIMEOUT_MS / 1000, classifier_url=settings.SECURITY_CLASSIFIER_URL,
        public_url=settings.PUBLIC_URL,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs coroutines beside the block; one that fails is said, loudly."""
    tasks = [asyncio.create_task(each) for each in work]
    for task in tasks:
        task.add_done_callback(_say_failed)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _say_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("edge_part_failed", exc_info=error)


def conninfo() -> str:
    """Postgres as psycopg wants it told, from the same setting Django reads."""
    database = settings.DATABASES["default"]
    given = {
        "dbname": database["NAME"], "user": database["USER"], "password": database.get("PASSWORD"),
        "host": database["HOST"], "port": database["PORT"],
    }  # fmt: skip
    options = {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "application_name": "edge"}
    return make_conninfo(**{**options, **{k: v for k, v in given.items() if v}, **database.get("OPTIONS", {})})


def allow_many_files() -> None:
    """A stream holds two sockets: take as many descriptors as we may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


application = Switch()


def main() -> None:
    """`manage.py edge`: serves HOST:PORT until told to stop, then lets what is under way end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    allow_many_files()
    collector.spare()
    uvicorn.run(
        application, host=settings.HOST, port=settings.PORT, loop="uvloop", http=Bounded, ws="none", lifespan="on",
        log_config=None, log_level="warning", access_log=False, server_header=False, date_header=False,
        proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        backlog=2048,
    )  # fmt: skip


if __name__ == "__main__":
    main()
