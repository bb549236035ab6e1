"""Rules and budgets over several `edge` processes: exact while they run, and back to nothing when they are killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import uuid
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection

from accounts_app.keys import hash_key
from alerts_app.budgets import KNOWN, Budget, Period
from alerts_app.segments import Segment
from ingest_app.run import Line, Settings
from ingest_app.spool import Reader
from llm.pricing import PriceBook
from tests.alerts_app.spending import connect
from tests.faults.alone import accepting, edge, free_port
from tests.faults.test_edge_killed import STREAM_HEAD
from tests.gateway_app.stage import KEY, chunk, listening, parse_answer, read_request

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

BODY = b'{"model":"dear","max_tokens":100,"stream":true,"stream_options":{"include_usage":true}}'
ESTIMATE = (-(-len(BODY) // 4) + 100) * 1000
"""Nano-USD, at a micro-dollar a token."""
MOST = 37


def a_house() -> tuple[dict[str, list[dict[str, Any]]], dict[str, str], Budget]:
    """Three organisations: one with a rule, one with a budget, one with the same budget and nothing to do with it."""
    first = uuid.uuid4().int % 10**12
    keys = {name: f"{KEY[:-7]}{name:r<7}" for name in ("rule", "budget", "other")}
    of = {name: first + n for n, name in enumerate(keys)}
    rows = [
        {"id": n, "organization_id": of[name], "name": name, "key_hash": hash_key(key), "permissions": "rw"}
        for n, (name, key) in enumerate(keys.items())
    ]
    counted = {"by": "organization", "property_name": "", "value": ""}
    rule = {"id": first, "organization_id": of["rule"], "name": "calm", "quota": MOST, "window_seconds": 31_536_000,
            "unit": "request", **counted}  # fmt: skip
    budgets = [
        {"id": first + n, "edition": 1, "organization_id": of[name], "name": name, "span": "month", "hours": 0,
         "limit_nano_usd": MOST * ESTIMATE + 5, "time_zone": "UTC", "warn_percents": [], "is_hard": True, **counted}
        for n, name in enumerate(("budget", "other"))
    ]  # fmt: skip
    price = {"id": 1, "provider": "", "model_key": "dear", "match": {"equals": "dear"}, "organization_id": None,
             "priority": 0, "source": "operator", "input_mtok": "1", "output_mtok": "1"}  # fmt: skip
    parts = {"keys": rows, "rate_limit_rules": [rule], "budgets": budgets, "session_caps": [], "token_prices": [price]}
    told = Budget(first, 1, of["budget"], "budget", MOST * ESTIMATE + 5, Period("month"), Segment())
    return parts, keys, told


async def ask(port: int, key: str, statuses: list[int]) -> None:
    """One call; its status is put down as soon as it is there, and the rest read until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nhelicone-auth: Bearer {key}\r\n"
    writer.write(f"{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        answer = await reader.readuntil(b"\r\n\r\n")
        statuses.append(parse_answer(answer)[0])
        while await reader.read(65536):
            pass
    writer.close()


async def settled(statuses: list[int], count: int) -> None:
    for _ in range(6000):
        if len(statuses) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(statuses)} of {count} answers came")


async def streaming(reader, writer):
    """An event at once, and another every 100 ms, for ever."""
    await read_request(reader)
    writer.write(STREAM_HEAD)
    while True:
        writer.write(chunk(b"data: 1\n\n"))
        await writer.drain()
        await asyncio.sleep(0.1)


def numbers(server: redis.Redis, budget: Budget) -> tuple[int, int, int]:
    """(spent, reserved, holds)"""
    fields = {name: int(told) for name, told in server.hgetall(budget.spent_key("")).items()}
    spent = sum(told for name, told in fields.items() if name.isdigit())
    return spent, fields.get(b"r", 0), server.hlen(budget.holds_key)


def run_lines(*folders) -> None:
    """The lines of these machines, until there is nothing more to do."""
    told = Settings(partition_days=7, redis_url=settings.REDIS_URL)
    for folder in folders:
        with contextlib.closing(Reader(folder / "spool")) as reader:
            line = Line(reader, connect=connect, load_prices=lambda _: PriceBook(()), settings=told)
            line._due["interrupted"] = 0.0
            while line.step():
                line._due["interrupted"] = 0.0
            line.close()


@pytest.fixture
def empty_ground(transactional_db):
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE llm_request, llm_request_body, session, request_alias, usage_delta, facet_delta")


def test_two_hundred_callers_of_three_edges_and_a_kill(tmp_path, empty_ground):
    parts, keys, budget = a_house()
    server = redis.Redis.from_url(settings.REDIS_URL)
    server.sadd(budget.values_key, KNOWN)
    folders = [tmp_path / name for name in "abc"]
    ports = [free_port() for _ in folders]
    found: dict[str, list[int]] = {name: [] for name in keys}

    async def work():
        async with listening(streaming) as upstream_port:
            with contextlib.ExitStack() as stack:
                edges = []
                for folder, port in zip(folders, ports, strict=True):
                    folder.mkdir()
                    made = edge(folder, port, upstream_port, parts, REDIS_URL=settings.REDIS_URL,
                                REDIS_PATIENCE_MS="20000")  # fmt: skip
                    edges.append(stack.enter_context(made))
                for port in ports:
                    await accepting(port)
                await warm(ports, keys["other"])
                callers = [
                    asyncio.create_task(ask(ports[n % 3], keys[name], found[name]))
                    for n in range(200) for name in ("rule", "budget")
                ]  # fmt: skip
                for name in ("rule", "budget"):
                    await settled(found[name], 200)
                held = numbers(server, budget)
                for process in edges:
                    process.send_signal(signal.SIGKILL)
                await asyncio.gather(*callers, return_exceptions=True)
        return held

    held = asyncio.run(asyncio.wait_for(work(), 120))
    assert (found["rule"].count(200), found["rule"].count(429)) == (MOST, 200 - MOST)
    assert (found["budget"].count(200), found["budget"].count(429)) == (MOST, 200 - MOST)
    assert held == (0, MOST * ESTIMATE, MOST)
    assert numbers(server, budget) == held
    run_lines(*folders)
    assert numbers(server, budget) == (0, 0, 0)


async def warm(ports: list[int], key: str) -> None:
    """Until each edge speaks with Redis: a budget without its mark lets calls pass, and says nothing of Redis."""
    for port in ports:
        for _ in range(500):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nhelicone-auth: Bearer {key}\r\n"
            writer.write(f"{head}content-length: 2\r\n\r\n{{}}".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            if b"did not answer" not in answer:
                break
            await asyncio.sleep(0.02)
