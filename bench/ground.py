"""A ground of many rows for benchmarks: a company's calls over thirty days, put through the real store and counts."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import orjson
import psycopg

from lib.clock import uuid7
from llm.exchange import Attribution, Body, Charge, Exchange, PricedExchange, Reading, Usage
from metrics_app import fold
from metrics_app import rollup as counts
from requests_app import store
from sessions_app import rollup as sessions

DAYS = 30
BATCH = 2_000
BODY_EVERY = 10
"""Bodies on one row in so many, as the targets say."""
TEXTS = 400
MODELS = (
    ("openai", "gpt-4o-mini-2024-07-18", 150, 600, 30), ("openai", "gpt-4o-2024-08-06", 2500, 10000, 18),
    ("openai", "gpt-4.1-2025-04-14", 2000, 8000, 8), ("openai", "gpt-4.1-mini-2025-04-14", 400, 1600, 10),
    ("openai", "gpt-5-mini-2025-08-07", 250, 2000, 6), ("openai", "gpt-5.1", 1250, 10000, 4),
    ("anthropic", "claude-sonnet-4-5-20250929", 3000, 15000, 10),
    ("anthropic", "claude-haiku-4-5-20251001", 1000, 5000, 6),
    ("groq", "llama-3.3-70b-versatile", 590, 790, 3), ("mistral", "mistral-small-latest", 100, 300, 2),
    ("deepseek", "deepseek-chat", 280, 420, 2), ("openai", "text-embedding-3-small", 20, 0, 1),
)  # fmt: skip
"""Provider, model, nano-USD per input and output token, share."""
STATUSES = (200,) * 96 + (429, 429, 500, 400)
PROPERTIES = (("environment", 3), ("feature", 40), ("team", 12), ("version", 100), ("customer", 5000))


def exchanges(count: int, *, organization_id: int, seed: int, until: datetime) -> Iterator[PricedExchange]:
    """`count` priced calls in the order of their time, the last at `until`."""
    chance = random.Random(seed)
    texts = [_text(chance, 3400) for _ in range(TEXTS)]
    start = until - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / max(count, 1)
    shares = [model[4] for model in MODELS]
    for number in range(count):
        at = start + step * number + timedelta(microseconds=chance.randrange(900))
        yield _one(chance, at, organization_id, number, chance.choices(MODELS, shares)[0], texts)


def _one(
    chance: random.Random, at: datetime, organization_id: int, number: int,
    model: tuple[str, str, int, int, int], texts: list[str],
) -> PricedExchange:
    provider, name, input_price, output_price, _ = model
    status = chance.choice(STATUSES)
    ok = status == 200
    given, told = int(chance.lognormvariate(6.5, 0.8)), int(chance.lognormvariate(5, 0.9))
    duration = int(chance.lognormvariate(7, 0.7))
    body = Body()
    reply = Body()
    if number % BODY_EVERY == 0:
        body, reply = _bodies(chance, name, texts)
    exchange = Exchange(
        id=uuid7(at), organization_id=organization_id, requested_at=at, door="log", provider=provider, status=status,
        url=f"https://api.{provider}.com/v1/chat/completions", duration_ms=duration,
        time_to_first_token_ms=duration // 4 if number % 2 else None, request=body, response=reply,
        attribution=_attribution(chance, number), api_key_id=1 + chance.randrange(20),
    )  # fmt: skip
    cached = given // 3 if number % 4 == 0 else 0
    usage = Usage(given, told, cache_read_tokens=cached, reasoning_tokens=0) if ok else Usage()
    reading = Reading(
        dialect="openai_chat", kind="embedding" if "embedding" in name else "llm", request_model=name,
        response_model=name if ok else None, usage=usage, is_stream=bool(number % 2),
        finish_reason="stop" if ok else None,
        request_preview=texts[number % TEXTS][:160], response_preview=texts[(number * 7) % TEXTS][200:360],
    )  # fmt: skip
    cost = given * input_price + told * output_price if ok else None
    return PricedExchange(exchange, reading, Charge(cost, "price" if ok else "failed"))


def _attribution(chance: random.Random, number: int) -> Attribution:
    session = number // 8 if number % 3 else None
    return Attribution(
        end_user_id=f"user-{int(chance.paretovariate(0.6)) % 20_000}" if number % 5 else None,
        session_id=None if session is None else f"session-{session}",
        session_name=None if session is None else f"flow {session % 60}",
        session_path=None if session is None else f"/plan/{number % 8}",
        properties={key: f"{key}-{int(many * chance.random() ** 2)}" for key, many in PROPERTIES},
        prompt_id=f"prompt-{number % 25}" if number % 4 == 0 else None,
    )  # fmt: skip


def _bodies(chance: random.Random, model: str, texts: list[str]) -> tuple[Body, Body]:
    system, question, answer = texts[0][:1500], chance.choice(texts)[:1700], chance.choice(texts)[:1600]
    asked = orjson.dumps({"model": model, "messages": [
        {"role": "system", "content": system}, {"role": "user", "content": question},
    ]})  # fmt: skip
    told = orjson.dumps({"id": f"chatcmpl-{chance.getrandbits(64):x}", "object": "chat.completion", "model": model,
                         "choices": [{"index": 0, "finish_reason": "stop",
                                      "message": {"role": "assistant", "content": answer}}]})  # fmt: skip
    return Body(asked, "application/json", "", len(asked)), Body(told, "application/json", "", len(told))


def _text(chance: random.Random, length: int) -> str:
    letters = "etaoinshrdlucmfwypvbgk"
    words = ("".join(chance.choices(letters, k=2 + int(chance.expovariate(0.35)))) for _ in range(length // 4))
    return " ".join(words)[:length]


def load(conninfo: str, count: int, *, organization_id: int, seed: int, until: datetime, days: int = 7) -> int:
    """Puts `count` exchanges through store, counts and sessions; answers the bytes of the bodies as they came."""
    raw = 0
    with psycopg.connect(conninfo, autocommit=True) as connection:
        store.prepare(connection)
        weeks = range(math.ceil(DAYS / days) + 2)
        starts = {store.partition_start(until - timedelta(days=days * n), days) for n in weeks}
        store.ensure_partitions(connection, starts, days=days)
        batch: list[PricedExchange] = []
        for priced in exchanges(count, organization_id=organization_id, seed=seed, until=until):
            raw += priced.exchange.request.size + priced.exchange.response.size
            batch.append(priced)
            if len(batch) == BATCH:
                _put(connection, batch)
                batch = []
        _put(connection, batch)
    return raw


def _put(connection: store.Db, batch: list[PricedExchange]) -> None:
    if not batch:
        return
    with connection.transaction():
        changes = store.store(connection, batch).changes
        counts.write(connection, changes)
        sessions.apply(connection, changes)


def fold_all(conninfo: str, organization_id: int) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while not fold.fold(connection, organization_id).is_done():
            pass
