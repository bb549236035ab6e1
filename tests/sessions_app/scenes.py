"""Sessions for tests and for looking at: rows of the ground, and their session as the line would keep it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from llm.exchange import MODEL_KINDS
from requests_app.rows import Change, RequestRow
from sessions_app import rollup
from tests.requests_app.factories import insert, insert_body, make_row

PRICES = {"gpt-4o": (2500, 10_000), "gpt-4o-mini": (150, 600), "claude-sonnet-4-5": (3000, 15_000),
          "text-embedding-3-small": (20, 0)}  # fmt: skip
"""Nano-USD a token, in and out."""


def keep(rows: Iterable[RequestRow]) -> list[RequestRow]:
    """Stores rows and counts their sessions."""
    kept = list(rows)
    insert(kept)
    rollup.apply(connection.connection, [Change(None, row) for row in kept])
    return kept


def call(organization_id: int, at: datetime, path: str | None = None, *, session: str = "s-1", **values: Any):
    return make_row(organization_id, at, session_id=session, session_path=path, **values)


class Run:
    """Writes down what an agent does, step after step."""

    def __init__(
        self, organization_id: int, start: datetime, session: str, name: str, user: str | None, *, seed: int = 7
    ) -> None:
        self.organization_id, self.clock, self.session = organization_id, start, session
        self.name, self.user = name, user
        self.dice = random.Random(seed)
        self.rows: list[RequestRow] = []

    def ask(self, path: str, model: str, tokens: tuple[int, int], ms: int, *, wait: bool = True, **values: Any) -> None:
        tokens_in, tokens_out = tokens
        inward, outward = PRICES.get(model, (0, 0))
        cost = tokens_in * inward + tokens_out * outward if model in PRICES else None
        facts = {
            "model": model, "request_model": model, "response_model": model, "input_tokens": tokens_in,
            "output_tokens": tokens_out, "cost_nano_usd": cost, "cost_reason": "price" if cost else "no_price",
            "provider": "anthropic" if model.startswith("claude") else "openai", "duration_ms": ms,
            "time_to_first_token_ms": min(ms // 6, 900) if tokens_out > 200 else None,
            "kind": "embedding" if "embedding" in model else "llm", **values,
        }  # fmt: skip
        self._write(path, ms, wait=wait, **facts)

    def tool(self, path: str, ms: int, *, wait: bool = True, **values: Any) -> None:
        nothing = dict.fromkeys(("input_tokens", "output_tokens", "cost_nano_usd", "request_model", "response_model"))
        facts = {"kind": "tool", "cost_reason": "not_a_model_call", "model": None, "provider": "custom", **nothing}
        self._write(path, ms, wait=wait, **(facts | values))

    def fail(self, path: str, model: str, ms: int, status: int = 429, message: str = "Rate limit reached") -> None:
        self.ask(path, model, (0, 0), ms, status=status, input_tokens=None, output_tokens=None, cost_nano_usd=None,
                 cost_reason="failed", error_type="rate_limit_error", error_message=message)  # fmt: skip

    def think(self, ms: int) -> None:
        self.clock += timedelta(milliseconds=ms)

    def _write(self, path: str, ms: int, *, wait: bool, **values: Any) -> None:
        self.rows.append(make_row(
            self.organization_id, self.clock, session_id=self.session, session_name=self.name, session_path=path,
            end_user_id=self.user, **{"duration_ms": ms, **values},
        ))  # fmt: skip
        self.think(ms + 20 if wait else self.dice.randint(5, 40))


def research_agent(organization_id: int, start: datetime, session: str = "run_01HV7Q2M8ZK3") -> list[RequestRow]:
    """An agent whose summaries read everything again in each round: $40, nearly all of it in one step."""
    run = Run(organization_id, start, session, "market research", "dana@northwind.example")
    run.ask("/agent", "gpt-4o", (1800, 420), 4200)
    run.ask("/agent/plan", "gpt-4o", (2400, 900), 9100)
    size = 118_000
    for number in range(1, 8):
        base = f"/agent/round {number}"
        run.ask(f"{base}/choose query", "gpt-4o-mini", (3200, 90), 1400)
        for place in range(3):
            run.tool(f"{base}/search/web {place + 1}", 900 + 300 * place, wait=False)
        run.think(1600)
        for place in range(2):
            run.ask(f"{base}/search/read page {place + 1}", "gpt-4o-mini", (9000, 400), 3900 + 700 * place, wait=False)
        run.think(4800)
        if number in {3, 6}:
            run.fail(
                f"{base}/summarise", "claude-sonnet-4-5", 350, message="Request tokens exceed your per-minute limit"
            )
            run.think(2000)
        run.ask(f"{base}/summarise", "claude-sonnet-4-5", (size * number * 4, 2600), 21_000 + 2500 * number)
    run.ask("/agent/rank", "text-embedding-3-small", (41_000, 0), 700)
    run.ask("/agent/write report", "gpt-4o", (28_000, 6100), 58_000)
    run.ask("/agent/write report/check", "in-house-judge", (28_000, 300), 5200)
    return keep(run.rows)


def large_run(
    organization_id: int, start: datetime, steps: int = 2000, *, trace: str | None = None
) -> list[RequestRow]:
    """Of a trace: every step is a span, the first of every hundred the parent of the others."""
    session = f"batch-{steps}"
    run = Run(organization_id, start, session, "nightly classification", None, seed=3)
    for number in range(steps):
        page, item = divmod(number, 10)
        model = "gpt-4o" if number % 37 == 0 else "gpt-4o-mini"
        path = f"/batch {page // 20 + 1}/page {page + 1}/item {item + 1}"
        if number % 211 == 13:
            run.fail(path, model, 800, 500, "The server had an error while processing your request")
        else:
            tokens = (run.dice.randint(500, 4000), run.dice.randint(20, 600))
            run.ask(path, model, tokens, run.dice.randint(300, 5000), wait=number % 4 == 3)
    if trace is not None:
        run.rows = [
            replace(row, door="otlp", trace_id=trace, span_id=str(number),
                    parent_span_id=str(number - number % 100) if number % 100 else None)
            for number, row in enumerate(run.rows)
        ]  # fmt: skip
    return keep(run.rows)


def chat(organization_id: int, start: datetime, session: str, user: str, turns: int = 5) -> list[RequestRow]:
    """A person who answers after minutes."""
    run = Run(organization_id, start, session, "support chat", user, seed=turns)
    for turn in range(turns):
        run.ask(f"/turn {turn + 1}", "gpt-4o-mini", (400 + 300 * turn, 120), 2100)
        if turn % 2:
            run.tool(f"/turn {turn + 1}/look up order", 240)
        run.think(run.dice.randint(60_000, 900_000))
    return keep(run.rows)


TRACE = "0af7651916cd43dd8448eb211c80319c"
NO_CALL: dict[str, Any] = {
    **dict.fromkeys((
        "input_tokens", "output_tokens", "cost_nano_usd", "model", "request_model", "response_model", "finish_reason",
    )),
    "cost_reason": "not_a_model_call", "provider": "",
}  # fmt: skip


def span(
    organization_id: int, at: datetime, name: str, *, kind: str = "span", id: str = "", under: str | None = None,
    document: dict[str, Any] | None = None, **values: Any,
) -> RequestRow:  # fmt: skip
    """A stored span with its document; ids are its name unless told. Only kinds that call a model count."""
    facts: dict[str, Any] = {} if kind in MODEL_KINDS else NO_CALL
    row = make_row(organization_id, at, **{
        **facts, "door": "otlp", "dialect": "otlp_span", "kind": kind, "name": name, "span_id": id or name,
        "parent_span_id": under, "trace_id": TRACE, "request_preview": "", "response_preview": "", "method": "",
        "target_url": "", "duration_ms": 100, **values,
    })  # fmt: skip
    insert([row])
    start = int(at.timestamp() * 1e9)
    told = {
        "v": 1, "trace_id": row.trace_id, "span_id": row.span_id, "parent_span_id": under, "name": name, "kind": 1,
        "start_ns": start, "status": {"code": 2 if row.status >= 400 else 0}, "attributes": {},
        **({} if row.duration_ms is None else {"end_ns": start + row.duration_ms * 10**6}), **(document or {}),
    }  # fmt: skip
    insert_body(row, told, None)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO trace (organization_id, trace_id, last_at, session_id, told) "
            "VALUES (%s, %s, %s, %s, '{}') ON CONFLICT (organization_id, trace_id) DO UPDATE "
            "SET last_at = greatest(trace.last_at, excluded.last_at)",
            [organization_id, row.trace_id, at, row.session_id],
        )
    return row


def agent_run(organization_id: int, start: datetime, **values: Any) -> dict[str, RequestRow]:
    """An agent that asks a model, searches, and fails at a tool; by name."""
    def at(ms: int) -> datetime:
        return start + timedelta(milliseconds=ms)

    documents = {
        "retrieval.documents.0.document.content": "Unworn goods may come back.",
        "retrieval.documents.0.document.id": "policy#2", "retrieval.documents.0.document.score": 0.89,
    }  # fmt: skip
    told: dict[str, Any] = {
        "agent": {"attributes": {
            "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "agent", "gen_ai.usage.input_tokens": 7777,
        }, "links": [{"trace_id": "f" * 32, "span_id": "1" * 16, "attributes": {}}]},
        "search": {
            "attributes": {"openinference.span.kind": "RETRIEVER", "input.value": "may I return it?", **documents},
            "resource": {"service.name": "returns-desk"}, "scope": {"name": "the.instrumentation"},
        },
        "refund": {
            "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund",
                           "gen_ai.tool.call.arguments": '{"eur": 12}'},
            "events": [{"name": "exception", "time_ns": int(at(900).timestamp() * 1e9), "attributes": {
                "exception.type": "TimeoutError", "exception.message": "no answer <b>yet</b>",
                "exception.stacktrace": "Traceback: line 1"}}],
        },
    }  # fmt: skip
    failed: dict[str, Any] = {"status": 500, "error_message": "no answer"}
    return {row.name or "": row for row in (
        span(organization_id, at(0), "agent", kind="agent", duration_ms=1000, document=told["agent"],
             usage={"gen_ai.usage.input_tokens": 7777}, **failed, **values),
        span(organization_id, at(0), "chat", kind="llm", under="agent", duration_ms=300, **values),
        span(organization_id, at(300), "search", kind="retriever", under="agent", duration_ms=100,
             document=told["search"], **values),
        span(organization_id, at(310), "embed", kind="embedding", under="search", duration_ms=50, **values),
        span(organization_id, at(400), "refund", kind="tool", under="agent", duration_ms=590, document=told["refund"],
             **failed, **values),
    )}  # fmt: skip
