"""Requests that are in the ground and counted, some folded and some not; and what they come to, said in Python."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from metrics_app import fold, rollup
from requests_app.rows import Change, RequestRow
from tests.requests_app import factories

MODELS = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude"), ("openai", None))


def random_row(organization_id: int, at: datetime, rng: random.Random) -> RequestRow:
    provider, model = rng.choice(MODELS)
    kind = rng.choice(("llm", "llm", "llm", "embedding", "tool"))
    is_call = kind != "tool"
    is_cached = rng.random() < 0.2
    saved = rng.choice(({"saved_ms": 40, "saved_nano_usd": 6_020_000, "saved_input_tokens": 1204}, {"saved_ms": 900}))
    return factories.make_row(
        organization_id, at, kind=kind, provider=provider, model=model,
        status=rng.choice((200, 200, 204, 301, 429, 500, -2)),
        cached=is_cached, usage_parts=saved if is_cached and is_call else None,
        duration_ms=rng.choice((None, 0, 7, 350, 1820, 90_000)),
        time_to_first_token_ms=rng.choice((None, 40, 120)),
        input_tokens=rng.choice((None, 0, 1204)) if is_call else None,
        output_tokens=rng.choice((None, 310)) if is_call else None, cache_read_tokens=rng.choice((None, 0)),
        cost_nano_usd=rng.choice((None, 0, 6_020_000)) if is_call else None,
        end_user_id=rng.choice((None, "ann", "bob", "eve")), api_key_id=rng.choice((None, 1, 2)),
        session_id=rng.choice((None, "s1", "s2")), session_name=rng.choice((None, "chat", "batch")),
        prompt_id=rng.choice((None, "greet")), country_code=rng.choice((None, "DE", "AT")),
        properties=rng.choice(({}, {"env": "prod"}, {"env": "dev", "team": "a"})),
    )  # fmt: skip


def count(rows: list[RequestRow]) -> None:
    """Into the ground and the deltas, as the line does."""
    factories.insert(rows)
    rollup.write(raw(), [Change(None, row) for row in rows])


def raw() -> Any:
    connection.ensure_connection()
    return connection.connection


def fold_all(organization_id: int) -> None:
    while not fold.fold(raw(), organization_id).is_done():
        pass


def sown(
    organization_id: int, until: datetime, *, count_of: int = 300, days: float = 6, seed: int = 1
) -> list[RequestRow]:
    """Rows over the days before `until`: two thirds of them folded, the rest still deltas."""
    rng = random.Random(seed)
    rows = [random_row(organization_id, until - timedelta(days=days * rng.random()), rng) for _ in range(count_of)]
    cut = count_of * 2 // 3
    count(rows[:cut])
    fold_all(organization_id)
    count(rows[cut:])
    return rows


def tally(values: Any) -> dict[Any, int]:
    return dict(Counter(values))
