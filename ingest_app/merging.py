"""Two documents of one span as one: SDKs send a span again when it ends, when it is updated, when they retry.

An ended one beats one that still ran, a later end an earlier one; between equals the fuller value wins. So the order
in which they come does not matter, and a document merged with itself is itself.

Where a document says when each of its values was told (`told`: {path: ns}), the last word on each counts instead: so
Langfuse's updates may come before what they update.

However often a span is told, its document is bounded: the first events, links and attributes of an order that does not
depend on when they came; `dropped.merged` says that there were more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

import orjson

from ingest_app.otlp_document import MAX_ATTRIBUTES, MAX_EVENTS, MAX_LINKS

Document = Mapping[str, Any]

_JOINED: Final = ("attributes", "resource", "status", "dropped")
_UNITED: Final = ("events", "links")
_ATTRIBUTES: Final = "attributes."
_MOST: Final = {"events": MAX_EVENTS, "links": MAX_LINKS, "attributes": MAX_ATTRIBUTES}
MAX_BYTES: Final = 64 * 2**20
"""Of one span's document, all that was told of it together."""
MORE: Final = "merged"


def merged(documents: Iterable[Document]) -> dict[str, Any]:
    """The document of all of them, of which there is one at least; two by two, so that many short ones added to a long
    one do not each take as long as the long one."""
    found = [_bounded(dict(one)) for one in documents]
    while len(found) > 1:
        pairs = zip(found[::2], found[1::2], strict=False)
        found = [*(merge(one, other) for one, other in pairs), *(found[-1:] if len(found) % 2 else ())]
    return found[0]


def fullest(documents: Iterable[Document]) -> dict[str, Any]:
    """The one that stands for all where they are too long together."""
    one = max(documents, key=lambda document: (_rank(document), len(_dumped(document)), _dumped(document)))
    return {**one, "dropped": {**one.get("dropped", {}), MORE: 1}}


def merge(one: Document, other: Document) -> dict[str, Any]:
    """The document of both."""
    return _bounded(_by_time(one, other) if "told" in one or "told" in other else _by_rank(one, other))


def _bounded(document: dict[str, Any]) -> dict[str, Any]:
    """What comes first of what there is too much of. Changes the mapping itself."""
    longer = [key for key, most in _MOST.items() if len(document.get(key, ())) > most]
    for key in longer:
        if key == "attributes":
            names = sorted(document[key], key=lambda name: (".metadata." in name, name))
            document[key] = {name: document[key][name] for name in islice(names, MAX_ATTRIBUTES)}
        else:
            document[key] = _united(document[key], ())[: _MOST[key]]
    if "attributes" in longer and "told" in document:
        kept = {_ATTRIBUTES + name for name in document["attributes"]}
        told = document["told"].items()
        document["told"] = {path: at for path, at in told if path in kept or not path.startswith(_ATTRIBUTES)}
    if longer:
        document["dropped"] = {**document.get("dropped", {}), MORE: 1}
    return document


def _by_rank(one: Document, other: Document) -> dict[str, Any]:
    early, late = (one, other) if _rank(one) <= _rank(other) else (other, one)
    is_tie = _rank(one) == _rank(other)
    merged = _over(early, late, is_tie=is_tie)
    for key in _JOINED:
        if key in early and key in late:
            merged[key] = _over(early[key], late[key], is_tie=is_tie)
    if "scope" in early and "scope" in late:
        merged["scope"] = {**_over(early["scope"], late["scope"], is_tie=is_tie), **_scope_attributes(early, late)}
    for key in _UNITED:
        if found := _united(early.get(key, ()), late.get(key, ())):
            merged[key] = found
    if starts := [doc["start_ns"] for doc in (one, other) if doc.get("start_ns")]:
        merged["start_ns"] = min(starts)
    return merged


def _by_time(one: Document, other: Document) -> dict[str, Any]:
    """Each value as it was told last; what nobody told, but was seen, is the widest span of time."""
    values, times = (_flat(one), _flat(other)), (one.get("told", {}), other.get("told", {}))
    merged: dict[str, Any] = {}
    for path in sorted(values[0].keys() | values[1].keys()):
        found = [(times[n].get(path, 0), values[n][path]) for n in (0, 1) if path in values[n]]
        last = max(at for at, _ in found)
        chosen = [value for at, value in found if at == last]
        _put(merged, path, chosen[0] if len(chosen) == 1 else _of_two(path, *chosen))
    merged["told"] = {path: max(t.get(path, 0) for t in times) for path in sorted(times[0].keys() | times[1].keys())}
    return merged


def _of_two(path: str, one: Any, other: Any) -> Any:
    if path in _UNITED:
        return _united(one, other)
    if path == "start_ns":
        return min(one, other)
    return max(one, other) if path == "end_ns" else _fuller(one, other)


def _flat(document: Document) -> dict[str, Any]:
    """Values by their path: `name`, `attributes.langfuse.observation.input`."""
    flat = {key: value for key, value in document.items() if key not in ("told", "attributes")}
    return {**flat, **{_ATTRIBUTES + key: value for key, value in document.get("attributes", {}).items()}}


def _put(document: dict[str, Any], path: str, value: Any) -> None:
    if path.startswith(_ATTRIBUTES):
        document.setdefault("attributes", {})[path.removeprefix(_ATTRIBUTES)] = value
    else:
        document[path] = value


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
