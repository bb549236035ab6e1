"""Stored bodies as bytes, JSON and conversation again.

BodyUnreadable     a body was sealed with a key, or packed with a dictionary, that is not here
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import zstandard

from llm import render
from llm.conversation import Conversation
from requests_app import body_frame, dictionaries
from requests_app.models import BodyDictionary
from requests_app.rows import BodyRow


class BodyUnreadable(Exception):
    """Says what is missing to read it."""


@dataclass(frozen=True, slots=True)
class Bodies:
    """Both sides of one request, unpacked. None where a side was omitted, never came, or is past its retention."""

    request: bytes | None = None
    response: bytes | None = None
    response_raw: bytes | None = None
    """The stream as it came, where it could not be folded cleanly."""
    request_headers: Mapping[str, str] = field(default_factory=dict)
    response_headers: Mapping[str, str] = field(default_factory=dict)
    request_type: str = ""
    response_type: str = ""
    prompt: Mapping[str, Any] | None = None
    """`template`, `inputs` and `auto_inputs` of a request that told them by tags (llm/prompt_tags.py)."""


def read(row: BodyRow | None) -> Bodies:
    """Raises BodyUnreadable."""
    if row is None:
        return Bodies()
    request, response, sent = _parts(row)
    headers = json_of(sent) or {}
    return Bodies(
        request=request,
        response=response,
        response_raw=_unpacked(row, row.response_raw),
        request_headers=headers.get("request", {}),
        response_headers=headers.get("response", {}),
        request_type=row.request_type,
        response_type=row.response_type,
        prompt=headers.get("prompt"),
    )


def _parts(row: BodyRow) -> tuple[bytes | None, ...]:
    """Request, response and headers."""
    together = _unpacked(row, row.together)
    if together is not None:
        return tuple(part or None for part in body_frame.split(together))
    return tuple(_unpacked(row, frame) for frame in (row.request, row.response, row.headers))


def _unpacked(row: BodyRow, frame: bytes | None) -> bytes | None:
    if frame is None:
        return None
    if row.key_version:
        raise BodyUnreadable(f"This body is sealed with key {row.key_version}, which this server does not have.")
    try:
        return dictionaries.codec(row.organization_id, row.dict_version).decompress(frame)
    except BodyDictionary.DoesNotExist:
        raise BodyUnreadable(f"This body needs dictionary {row.dict_version}, which is not here.") from None
    except zstandard.ZstdError as error:
        raise BodyUnreadable(f"This body cannot be unpacked: {error}.") from error


def json_of(data: bytes | None) -> Any | None:
    """The JSON value; None where there is none or it is no JSON."""
    if not data:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def values(dialect: str, found: Bodies) -> tuple[Any, Any]:
    """(request, reply) for an API: JSON values, else texts, else None."""
    return render.bodies(dialect=dialect, request=found.request or b"", response=found.response or b"")


def pretty(data: bytes | None) -> str:
    """Indented where it is JSON, else as text; bytes that are no text become U+FFFD."""
    if not data:
        return ""
    found = json_of(data)
    if found is None:
        return data.decode("utf-8", "replace")
    try:
        return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()
    except TypeError:  # nested too deeply to be written anew
        return data.decode("utf-8", "replace")


def conversation(dialect: str, bodies: Bodies) -> Conversation:
    """What was said, as far as the two bodies tell."""
    return render.conversation(dialect=dialect, request=bodies.request or b"", response=bodies.response or b"")
