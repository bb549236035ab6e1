"""JSON as clients really send it: NaN, halves of surrogate pairs and deep nesting are met in the wild."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_BOM = b"\xef\xbb\xbf"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def loads(data: bytes) -> tuple[Any, bool]:
    """The value, and whether it had to be repaired: NaN and Infinity become null, broken characters U+FFFD.

    Raises ValueError for what is no JSON at all, saying where it stops being so.
    """
    try:
        return orjson.loads(data), False
    except orjson.JSONDecodeError:
        pass
    try:
        text = data.removeprefix(_BOM).decode("utf-8", "replace")
        return repaired(json.loads(text, parse_constant=lambda _: None)), True
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def dumps(value: Any) -> bytes:
    """Compact JSON, also of values nested deeper than orjson writes. Raises ValueError where even that is too deep."""
    try:
        return orjson.dumps(value)
    except TypeError:
        pass
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def repaired(value: Any) -> Any:
    """The value with U+FFFD for halves of surrogate pairs, which no text outside JSON can hold."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [repaired(item) for item in value]
    if isinstance(value, dict):
        return {_LONE_SURROGATE.sub("\ufffd", key): repaired(item) for key, item in value.items()}
    return value
