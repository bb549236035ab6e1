"""`Helicone-Fallbacks`: targets to try in order, as Helicone has them, or models, as LiteLLM documents it.

    [{"target-url": "https://api.openai.com", "headers": {"Authorization": "Bearer …"}, "onCodes": [429,
      {"from": 500, "to": 599}], "bodyKeyOverride": {"model": "…"}}, …]          ["gpt-3.5-turbo", "gpt-4"]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, Final

import orjson

from gateway_app.errors import FallbacksInvalid
from lib.frozen import dataclass

MOST: Final = 20
HEADER: Final = "Helicone-Fallbacks"


@dataclass(frozen=True, slots=True)
class Codes:
    """Statuses after which the next candidate is tried: ranges, both ends in them."""

    ranges: tuple[tuple[int, int], ...] = ()

    def __contains__(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self.ranges)


ANY_FAILURE: Final = Codes(((0, 199), (300, 999)))
"""Whatever is not 2xx."""
USUAL: Final = Codes(((429, 429), (500, 599)))
"""What is worth another try."""


@dataclass(frozen=True, slots=True)
class FallbackTarget:
    """One entry. `headers` (lower-case names) replace all the client's."""

    url: str
    headers: Mapping[str, str]
    codes: Codes
    override: Mapping[str, Any] = field(default_factory=dict)
    """Deep-merged into the body, those of the entries before it included."""


def read(text: str) -> tuple[FallbackTarget, ...] | tuple[str, ...]:
    """Targets or models. Raises FallbacksInvalid."""
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise FallbacksInvalid(f"{HEADER} is not valid JSON ({error}). {_LOOKS}") from None
    if not isinstance(told, list) or not told or len(told) > MOST:
        raise FallbacksInvalid(f"{HEADER} must be a list of 1 to {MOST} entries. {_LOOKS}")
    if all(isinstance(entry, str) and entry.strip() for entry in told):
        return tuple(entry.strip() for entry in told)
    return _targets(told)


_LOOKS: Final = (
    'It looks like [{"target-url": "https://api.example.com", "headers": {"Authorization": "Bearer ..."}, '
    '"onCodes": [429, {"from": 500, "to": 599}]}] or ["gpt-4o", "gpt-4o-mini"].'
)


def _targets(told: Sequence[Any]) -> tuple[FallbackTarget, ...]:
    found: list[FallbackTarget] = []
    override: Mapping[str, Any] = {}
    for place, entry in enumerate(told):
        where = f"Entry {place} of {HEADER}"
        if not isinstance(entry, dict):
            raise FallbacksInvalid(f"{where} is no object. {_LOOKS}")
        for name in ("target-url", "headers", "onCodes"):
            if entry.get(name) in (None, "", 0, False):
                raise FallbacksInvalid(f"{where} has no {name!r}. {_LOOKS}")
        more = entry.get("bodyKeyOverride") or {}
        if not isinstance(entry["target-url"], str) or not isinstance(more, dict):
            raise FallbacksInvalid(f"{where}: 'target-url' is a text, 'bodyKeyOverride' an object.")
        override = merged(override, more)
        found.append(FallbackTarget(
            entry["target-url"], _headers(entry["headers"], where), read_codes(entry["onCodes"], where), override
        ))
    return tuple(found)


def _headers(told: Any, where: str) -> dict[str, str]:
    if not isinstance(told, dict):
        raise FallbacksInvalid(f"{where}: 'headers' is an object of names and texts.")
    found = {}
    for name, value in told.items():
        text = str(value) if isinstance(value, int) else value
        if not isinstance(text, str) or not _is_header(name, text):
            raise FallbacksInvalid(f"{where}: the header {name[:50]!r} is none that can be sent.")
        found[name.lower()] = text
    return found


def _is_header(name: str, value: str) -> bool:
    is_name = name.isascii() and name.replace("-", "a").replace("_", "a").isalnum()
    return is_name and value.isprintable()


def read_codes(told: Any, where: str) -> Codes:
    """From statuses and {"from", "to"}. Raises FallbacksInvalid."""
    ranges: list[tuple[int, int]] = []
    for code in told if isinstance(told, list) else [None]:
        low, high = (code.get("from"), code.get("to")) if isinstance(code, dict) else (code, code)
        if type(low) is not int or type(high) is not int or not 100 <= low <= high:
            raise FallbacksInvalid(f"{where}: 'onCodes' lists statuses, such as 429 or {{'from': 500, 'to': 599}}.")
        ranges.append((low, high))
    return Codes(tuple(ranges))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Objects into each other; a text, number or list takes the place of what was there."""
    found = dict(base)
    for key, value in over.items():
        before = found.get(key)
        found[key] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return found


def overridden(body: bytes, override: Mapping[str, Any], dropped: Iterable[str] = ()) -> bytes:
    """Raises FallbacksInvalid where the body is no JSON object. `dropped`: fields that are left out."""
    if not override and not dropped:
        return body
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        raise FallbacksInvalid("A fallback changes the body, which is no JSON object. Send JSON, or change nothing.")
    try:
        return orjson.dumps(merged({name: value for name, value in told.items() if name not in dropped}, override))
    except (orjson.JSONEncodeError, RecursionError):
        raise FallbacksInvalid("The body is nested too deeply to be changed, as a fallback does.") from None
