"""The filtered list as a file, streamed: CSV for a spreadsheet, JSONL for a program."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson

from lib import loose_json
from requests_app import bodies, queries
from requests_app.bodies import Bodies
from requests_app.queries import Question
from requests_app.rows import RequestRow

BATCH, BATCH_WITH_BODIES = 1_000, 50
CSV_COLUMNS = (
    "requested_at", "id", "client_request_id", "kind", "provider", "model", "request_model", "response_model",
    "status", "error_type", "error_message", "finish_reason", "is_stream", "cached", "duration_ms",
    "time_to_first_token_ms", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens", "cost_usd", "cost_reason", "end_user_id", "session_id", "session_path", "session_name",
    "prompt_id", "properties", "scores", "request_preview", "response_preview", "estimated_input_tokens",
    "estimated_output_tokens", "estimated_cost_usd", "estimate_method",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet takes text that begins so for a formula."""


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def as_csv(question: Question) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(CSV_COLUMNS)
    for batch in queries.batches(question, size=BATCH):
        yield "".join(writer.writerow(_cells(row)) for row in batch)


def _cells(row: RequestRow) -> list[Any]:
    facts = _facts(row)
    return [cell(facts[name]) for name in CSV_COLUMNS]


def cell(value: Any) -> Any:
    """Numbers as they are, nothing for what is not known, text that no spreadsheet runs."""
    if isinstance(value, dict):
        value = orjson.dumps(value).decode() if value else ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def _facts(row: RequestRow) -> dict[str, Any]:
    """In our own words; money in USD, exactly."""
    facts = asdict(row)
    facts["requested_at"] = row.requested_at.isoformat(timespec="microseconds").replace("+00:00", "Z")
    facts["id"] = str(row.id)
    for name in ("cost", "estimated_cost"):
        nano = facts.pop(f"{name}_nano_usd")
        facts[f"{name}_usd"] = None if nano is None else f"{(Decimal(nano) / 10**9).normalize():f}"
    for ours in ("organization_id", "amended", "price_id", "api_key_id"):
        facts.pop(ours)
    return facts


def as_jsonl(question: Question, *, has_bodies: bool) -> Iterator[bytes]:
    for batch in queries.batches(question, size=BATCH_WITH_BODIES if has_bodies else BATCH):
        yield b"".join(_line(*told) for told in _lines(batch, has_bodies=has_bodies))


def _line(facts: dict[str, Any], found: Bodies) -> bytes:
    """Bodies nested too deeply to be written are told as texts."""
    try:
        return loose_json.dumps(facts) + b"\n"
    except ValueError:
        sides = {"request": found.request, "response": found.response}
        texts = {side: None if data is None else data.decode("utf-8", "replace") for side, data in sides.items()}
        return orjson.dumps({**facts, **texts}) + b"\n"


def _lines(batch: Sequence[RequestRow], *, has_bodies: bool) -> Iterator[tuple[dict[str, Any], Bodies]]:
    stored = queries.bodies(batch) if has_bodies else {}
    for row in batch:
        facts = _facts(row)
        facts["cost_usd"] = None if row.cost_nano_usd is None else row.cost_nano_usd / 1e9
        if row.estimated_cost_nano_usd is not None:
            facts["estimated_cost_usd"] = row.estimated_cost_nano_usd / 1e9
        found = bodies.read(stored.get(row.id)) if has_bodies else Bodies()
        if has_bodies:
            facts |= _sides(row, found)
        yield facts, found


def _sides(row: RequestRow, found: Bodies) -> dict[str, Any]:
    request, response = bodies.values(row.dialect, found)
    return {"request": request, "response": response}
