"""Two documents of one span as one: SDKs send a span again when it ends, when it is updated, when they retry.

An ended one beats one that still ran, a later end an earlier one; between equals the fuller value wins. So the order
in which they come does not matter, and a document merged with itself is itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

Document = Mapping[str, Any]

_JOINED: Final = ("attributes", "resource", "status", "dropped")


def merge(one: Document, other: Document) -> dict[str, Any]:
    """The document of both."""
    early, late = (one, other) if _rank(one) <= _rank(other) else (other, one)
    is_tie = _rank(one) == _rank(other)
    merged = _over(early, late, is_tie=is_tie)
    for key in _JOINED:
        if key in early and key in late:
            merged[key] = _over(early[key], late[key], is_tie=is_tie)
    if "scope" in early and "scope" in late:
        merged["scope"] = {**_over(early["scope"], late["scope"], is_tie=is_tie), **_scope_attributes(early, late)}
    for key in ("events", "links"):
        if found := _united(early.get(key, ()), late.get(key, ())):
            merged[key] = found
    if starts := [doc["start_ns"] for doc in (one, other) if doc.get("start_ns")]:
        merged["start_ns"] = min(starts)
    return merged


def _rank(document: Document) -> int:
    end = document.get("end_ns")
    return end if isinstance(end, int) else 0


def _over(early: Mapping[str, Any], late: Mapping[str, Any], *, is_tie: bool) -> dict[str, Any]:
    if not is_tie:
        return {**early, **late}
    return {key: _fuller(early.get(key), late.get(key)) for key in sorted(early.keys() | late.keys())}


def _scope_attributes(early: Document, late: Document) -> dict[str, Any]:
    found = {**early["scope"].get("attributes", {}), **late["scope"].get("attributes", {})}
    return {"attributes": found} if found else {}


def _fuller(one: Any, other: Any) -> Any:
    return max(one, other, key=lambda value: (value is not None, len(_dumped(value)), _dumped(value)))


def _united(one: Iterable[Any], other: Iterable[Any]) -> list[Any]:
    found = {_dumped(item): item for item in (*one, *other)}
    return [found[key] for key in sorted(found, key=lambda key: (found[key].get("time_ns") or 0, key))]


def _dumped(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)
