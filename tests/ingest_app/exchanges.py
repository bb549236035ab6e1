"""Exchanges for tests, made by plain functions with keyword overrides."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from lib.clock import uuid7
from llm.exchange import Attribution, Body, Exchange

NOON = datetime(2026, 11, 18, 12, 0, 0, 123456, tzinfo=UTC)


def chat(n: int = 0, *, door: str = "gateway", organization_id: int = 1, text: str = "Hello", **said: Any) -> Exchange:
    """A small OpenAI chat call `n` seconds after noon. Keywords of Attribution go into it."""
    at = NOON + timedelta(seconds=n)
    request = orjson.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}]})
    response = orjson.dumps({
        "id": f"chatcmpl-{n}", "object": "chat.completion", "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"Reply {n}"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    })
    return Exchange(
        id=uuid7(at), organization_id=organization_id, requested_at=at, door=door,  # type: ignore[arg-type]
        provider="openai", status=200, url="https://api.openai.com/v1/chat/completions", duration_ms=420,
        request=Body(request, "application/json", "", len(request)),
        response=Body(response, "application/json", "", len(response)),
        attribution=Attribution(**said),
    )


def opening(exchange: Exchange) -> Exchange:
    """The same exchange as its begin record has it: no reply yet."""
    return replace(exchange, status=-5, duration_ms=None, response=Body())


def ending(exchange: Exchange) -> Exchange:
    """The same exchange as its end record has it: the request went with the begin."""
    return replace(exchange, request=replace(exchange.request, data=b""))
