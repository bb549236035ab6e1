"""Exchanges for tests: from golden files (see README.md here) and from recorded traffic."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from llm import providers
from llm.exchange import Body, Exchange, Reading

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def exchange(**given: Any) -> Exchange:
    facts = {
        "id": UUID(int=1), "organization_id": 1, "requested_at": NOON, "door": "gateway", "provider": "openai",
        "status": 200, "url": "https://api.openai.com/v1/chat/completions", **given,
    }
    return Exchange(**facts)


def body(value: Any, **given: Any) -> Body:
    """A side of an exchange: bytes and text as they are, anything else as JSON."""
    text = value if isinstance(value, bytes | str) else json.dumps(value)
    data = text if isinstance(text, bytes) else text.encode()
    return Body(data=data, size=len(data), **given)


def sse(events: Sequence[Mapping[str, Any]], *, named: bool = False, done: bool = False, cut: str = "") -> bytes:
    """Events as a provider streams them."""
    lines = [
        (f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events
    ]
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "") + cut).encode()


def golden(file: Path) -> tuple[Exchange, dict[str, Any]]:
    """A golden file as an exchange, and the file itself."""
    said = json.loads(file.read_text(encoding="utf-8"))
    if "events" in said:
        given = {key: said[key] for key in ("named", "done", "cut") if key in said}
        came = sse(said["events"], **given)
    else:
        came = said["response_text"].encode() if "response_text" in said else json.dumps(said["response"]).encode()
    asked = body(said["request"]) if said["request"] is not None else Body()
    return exchange(
        provider=said["provider"], url=said["url"], status=said.get("status", 200), method=said.get("method", "POST"),
        request=asked, response=body(came),
    ), said


def fact(reading: Reading, name: str) -> Any:
    """A reading's field by the name golden files use."""
    if name.startswith("usage."):
        return getattr(reading.usage, name.removeprefix("usage."))
    value = getattr(reading, name)
    if name == "problems":
        return [problem.code for problem in value]
    return list(value) if isinstance(value, tuple) else value


# --- recorded traffic -------------------------------------------------------------------------------------------------


def recorded(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def of_record(record: Mapping[str, Any]) -> Exchange:
    asked, came = record["request"], record["response"]
    host = urlsplit(asked["url"]).hostname or ""
    provider = providers.by_host(host)
    return exchange(
        provider=provider.slug if provider else host, status=came["status"], method=asked["method"], url=asked["url"],
        request=_side(asked), response=_side(came), response_headers=headers_of(came),
    )


def headers_of(side: Mapping[str, Any]) -> dict[str, str]:
    """Of a side of a record; of a repeated one the first."""
    values = {name.lower(): value for name, value in side["headers"].items()}
    return {name: value[0] if isinstance(value, list) else value for name, value in values.items()}


def bytes_of(side: Mapping[str, Any]) -> bytes:
    text = side.get("body") or ""
    return base64.b64decode(text) if side.get("body_encoding") == "base64" else text.encode()


def _side(side: Mapping[str, Any]) -> Body:
    if side.get("body") is None:
        return Body()
    headers = headers_of(side)
    encoding = headers.get("content-encoding", "")
    return body(bytes_of(side), content_type=headers.get("content-type", ""), content_encoding=encoding)
