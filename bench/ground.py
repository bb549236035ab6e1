"""A ground of many rows for benchmarks: a company's calls over thirty days, put through the real store and counts.

Two thirds of the calls are turns of a session's conversation, of one user; the rest stand alone. See `bodies.py` for
what is said. Half come through the gateway, with headers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta

import psycopg

from bench.bodies import Company, Said, Talk
from lib.clock import uuid7
from llm.exchange import PREVIEW_LENGTH, Attribution, Body, Charge, Exchange, PricedExchange, Reading, Usage
from metrics_app import fold
from metrics_app import rollup as counts
from requests_app import store
from sessions_app import rollup as sessions

DAYS = 30
BATCH = 2_000
BODY_EVERY = 10
"""Bodies on one row in so many, as the targets say."""
SCORED_EVERY = 50
"""Scores on one row in so many, said afterwards."""
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


Nightly = Callable[[store.Db, datetime], object]


def exchanges(count: int, *, organization_id: int, seed: int, until: datetime) -> Iterator[PricedExchange]:
    """`count` priced calls in the order of their time, the last at `until`."""
    calls = Calls(organization_id, seed)
    start = until - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / max(count, 1)
    for number in range(count):
        yield calls.make(number, start + step * number + timedelta(microseconds=calls.chance.randrange(900)))


class Calls:
    """One company's, one after the other."""

    def __init__(self, organization_id: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self._organization_id = organization_id
        self._of_seed = f"{seed}-" if seed > 1 else ""
        """So that sessions are as many as calls have, whoever loads them."""
        self._company = Company(self.chance)
        self._shares = [model[4] for model in MODELS]
        self._talk: Talk | None = None
        self._previews = [self._company.prose.text(PREVIEW_LENGTH) for _ in range(400)]

    def make(self, number: int, at: datetime) -> PricedExchange:
        chance = self.chance
        provider, name, input_price, output_price, _ = chance.choices(MODELS, self._shares)[0]
        status = chance.choice(STATUSES)
        ok = status == 200
        given, told = int(chance.lognormvariate(6.5, 0.8)), int(chance.lognormvariate(5, 0.9))
        usage = Usage(given, told, cache_read_tokens=given // 3 if number % 4 == 0 else 0, reasoning_tokens=0)
        user = self._user(number)
        said = self._said(number, name, at, usage=usage if ok else None, user=user)
        cost = given * input_price + told * output_price if ok else None
        return PricedExchange(
            self._exchange(number, at, provider, status=status, said=said, user=user),
            self._reading(number, name, usage if ok else None, said),
            Charge(cost, "price" if ok else "failed"),
        )

    def _user(self, number: int) -> str | None:
        """One for all calls of a session. Some are there all day, most once."""
        if number % 3 == 0 or number % 8 == 0 or self._talk is None:
            return f"user-{int(self.chance.paretovariate(0.6)) % 20_000}" if number % 5 else None
        return self._talk.user

    def _said(self, number: int, model: str, at: datetime, *, usage: Usage | None, user: str | None) -> Said | None:
        """None on rows without bodies; a conversation goes on in those that have them."""
        if number % 8 == 0 or self._talk is None:
            self._talk = self._company.talk(user or "anonymous")
        if number % BODY_EVERY:
            return None
        talk = self._talk if number % 3 else self._company.talk(user or "anonymous")
        counts = usage or Usage()
        tokens = (counts.input_tokens or 0, counts.cache_read_tokens or 0, counts.output_tokens or 0)
        return self._company.call(talk, model=model, made_at=int(at.timestamp()), tokens=tokens, ok=usage is not None)

    def _exchange(
        self, number: int, at: datetime, provider: str, *, status: int, said: Said | None, user: str | None
    ) -> Exchange:
        chance = self.chance
        duration = int(chance.lognormvariate(7, 0.7))
        request, response = (said.request, said.response) if said else (b"", b"")
        is_live = number % 2 == 0
        asked, told = (
            self._company.headers(made_at=int(at.timestamp()), took_ms=duration, size=len(request))
            if said and is_live else ({}, {})
        )  # fmt: skip
        return Exchange(
            id=uuid7(at), organization_id=self._organization_id, requested_at=at,
            door="gateway" if is_live else "log", provider=provider, status=status,
            url=f"https://api.{provider}.com/v1/chat/completions", duration_ms=duration,
            time_to_first_token_ms=duration // 4 if number % 2 else None,
            request=Body(request, "application/json" if said else "", "", len(request)),
            response=Body(response, "application/json" if said else "", "", len(response)),
            request_headers=asked, response_headers=told,
            attribution=self._attribution(number, user), api_key_id=1 + chance.randrange(20),
        )  # fmt: skip

    def _reading(self, number: int, name: str, usage: Usage | None, said: Said | None) -> Reading:
        previews = self._previews
        question = said.question[:PREVIEW_LENGTH] if said else previews[number % len(previews)]
        answer = said.answer[:PREVIEW_LENGTH] if said else previews[number * 7 % len(previews)]
        return Reading(
            dialect="openai_chat", kind="embedding" if "embedding" in name else "llm", request_model=name,
            response_model=name if usage else None,
            usage=replace(usage, sent=said.usage if said else None) if usage else Usage(), is_stream=bool(number % 2),
            finish_reason="stop" if usage else None, provider_response_id=said.response_id if said else None,
            service_tier="default" if usage else None, request_preview=question, response_preview=answer,
        )  # fmt: skip

    def _attribution(self, number: int, user: str | None) -> Attribution:
        session = number // 8 if number % 3 else None
        return Attribution(
            end_user_id=user,
            session_id=None if session is None else f"session-{self._of_seed}{session}",
            session_name=None if session is None else f"flow {session % 60}",
            session_path=None if session is None else f"/plan/{number % 8}",
            properties={key: f"{key}-{int(many * self.chance.random() ** 2)}" for key, many in PROPERTIES},
            prompt_id=f"prompt-{number % 25}" if number % 4 == 0 else None,
        )


def load(
    conninfo: str, count: int, *, organization_id: int, seed: int, until: datetime, days: int = 7,
    nightly: Nightly | None = None, most: int = BATCH,
) -> int:  # fmt: skip
    """Puts `count` exchanges through store, counts and sessions; answers the bytes of the bodies as they came.

    `nightly` is called between two days of them, with the moment it then is. `most` are of one batch: in batches beyond
    `store.LEISURELY` bodies are packed as by a line that is behind.
    """
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
            is_night = nightly is not None and batch and _day(batch[-1]) != _day(batch[0])
            if len(batch) == most or is_night:
                _put(connection, batch)
                if nightly is not None and is_night:
                    nightly(connection, batch[-1].exchange.requested_at)
                batch = []
        _put(connection, batch)
    return raw


def _day(priced: PricedExchange) -> date:
    return priced.exchange.requested_at.date()


def _put(connection: store.Db, batch: list[PricedExchange]) -> None:
    if not batch:
        return
    with connection.transaction():
        changes = store.store(connection, batch).changes
        counts.write(connection, changes)
        sessions.apply(connection, changes)
        for change in changes[::SCORED_EVERY]:
            if change.after:
                scores = {"helpfulness": change.after.status % 90, "accuracy": 0.5}
                store.update_late_facts(connection, replace(change.after, scores=scores, amended={}))


def fold_all(conninfo: str, organization_id: int) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while not fold.fold(connection, organization_id).is_done():
            pass
        while sessions.fold(connection, organization_id):
            pass
