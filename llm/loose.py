"""Reading JSON whose shape nobody promised: the value if it has the type asked for, else an empty one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

_NOTHING: Final[Mapping[str, Any]] = {}


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NOTHING


def listing(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def mappings(value: Any) -> list[dict[str, Any]]:
    """The objects of an array; whatever else stands in it is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def first(value: Any) -> Mapping[str, Any]:
    """The first item of an array, if that is an object."""
    return mapping(value[0]) if isinstance(value, list) and value else _NOTHING


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def name(value: Any) -> str | None:
    """A non-empty string, else None."""
    return value if isinstance(value, str) and value else None


def path(url: str) -> str:
    """The path of a URL, also of one that is none (`http://[/v1/chat`): clients name such targets too."""
    try:
        return urlsplit(url).path
    except ValueError:
        behind = url.partition("//")[2].partition("?")[0].partition("#")[0]
        return "/" + behind.partition("/")[2]


def count(value: Any) -> int | None:
    """A whole number ≥ 0 that a row can hold, else None."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**31 else None


def pretty(value: Any) -> str:
    """JSON for people to read."""
    return _dumped(value, orjson.OPT_INDENT_2)


def compact(value: Any) -> str:
    return _dumped(value, 0)


def _dumped(value: Any, option: int) -> str:
    try:
        return orjson.dumps(value, option=option | orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        return "(nested too deeply to show)"


_LONE_SURROGATES: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def loads(data: bytes) -> Any:
    """The JSON value of `data`; half characters (an emoji cut in two) become U+FFFD. Raises orjson.JSONDecodeError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if b"\\u" not in data:
            raise
        whole, changed = _LONE_SURROGATES.subn(rb"\\ufffd", data)
        if not changed:
            raise
        return orjson.loads(whole)
