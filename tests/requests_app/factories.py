"""Rows of the ground for tests, put straight into the table with the partition they need."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings
from django.db import connection

from lib import clock, zstd
from requests_app import store
from requests_app.rows import BodyRow, RequestRow

PLAIN: dict[str, Any] = {
    **dict.fromkeys((f.name for f in fields(RequestRow)), None),
    "kind": "llm", "door": "gateway", "provider": "openai", "model": "gpt-4o", "request_model": "gpt-4o",
    "response_model": "gpt-4o-2024-11-20", "status": 200, "finish_reason": "stop", "is_stream": False,
    "cached": False, "duration_ms": 1820, "input_tokens": 1204, "output_tokens": 310,
    "cost_nano_usd": 6_020_000, "cost_reason": "price", "properties": {}, "method": "POST",
    "target_url": "https://api.openai.com/v1/chat/completions", "dialect": "openai_chat",
    "request_preview": "Summarise the ticket", "response_preview": "The customer asks for a refund",
    "tool_calls": (), "request_bytes": 120, "response_bytes": 480, "request_state": "kept",
    "response_state": "kept", "problems": (),
}  # fmt: skip


def make_row(organization_id: int, requested_at: datetime | None = None, **values: Any) -> RequestRow:
    at = requested_at or clock.now()
    return RequestRow(
        **{
            **PLAIN,
            "organization_id": organization_id,
            "requested_at": at,
            "id": clock.uuid7(at),
            **values,
        }
    )


def make_request(
    organization_id: int,
    requested_at: datetime | None = None,
    *,
    request: Any = None,
    response: Any = None,
    headers: Any = None,
    **values: Any,
) -> RequestRow:
    """A stored row; with bodies where `request` or `response` (JSON values or bytes) are given."""
    row = make_row(organization_id, requested_at, **values)
    insert([row])
    if request is not None or response is not None:
        insert_body(row, request, response, headers)
    return row


def insert(rows: list[RequestRow]) -> None:
    connection.ensure_connection()
    raw = connection.connection
    starts = {store.partition_start(row.requested_at, settings.PARTITION_DAYS) for row in rows}
    store.ensure_partitions(raw, starts, days=settings.PARTITION_DAYS)
    names = ", ".join(store.COLUMNS)
    marks = ", ".join(["%s"] * len(store.COLUMNS))
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO llm_request ({names}) VALUES ({marks})", [_values(row) for row in rows])
        cursor.executemany(
            "INSERT INTO request_alias (organization_id, client_id, requested_at, id) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT DO NOTHING",
            [(r.organization_id, r.client_request_id, r.requested_at, r.id) for r in rows if r.client_request_id],
        )


def insert_body(row: RequestRow, request: Any, response: Any, headers: Any = None) -> None:
    """Each part in a frame of its own, as those of long bodies are, and all of rows from before `together`."""
    sides = (_frame(request), _frame(response), None, _frame(headers), None)
    key = (row.organization_id, row.requested_at, row.id)
    connection.ensure_connection()
    store.insert_bodies(connection.connection, [BodyRow(*key, 0, 0, *sides, "application/json", "application/json")])


def _frame(value: Any) -> bytes | None:
    if value is None:
        return None
    return zstd.compress(value if isinstance(value, bytes) else orjson.dumps(value))


def _values(row: RequestRow) -> list[Any]:
    return store.values_of(row)
