"""A span's document with the ways of reading it that every SDK's dialect needs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache, cached_property
from typing import Any, Final

import orjson

from llm import loose, semconv

MAX_PARTS: Final = 24
MAX_INDEX: Final = 10_000
"""The longest list an indexed family (`llm.input_messages.12.…`) may claim."""


@dataclass(frozen=True)
class Span:
    """One span, as `ingest_app/otlp_document.py` writes it."""

    document: Mapping[str, Any]

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        return loose.mapping(self.document.get("attributes"))

    @cached_property
    def heads(self) -> frozenset[str]:
        """First words of its attributes', its events' and its own name: enough to know whose it can be."""
        names = (*self.attributes, *(loose.text(event.get("name")) for event in self.events), self.name)
        return frozenset(name.partition(".")[0] for name in names)

    @cached_property
    def _firsts(self) -> Mapping[int, Any]:
        return _firsts(self.attributes)

    @cached_property
    def _around(self) -> tuple[Mapping[int, Any], ...]:
        """Where a fact is looked for beside the span: what it was made by, and what it ran in."""
        scope = loose.mapping(loose.mapping(self.document.get("scope")).get("attributes"))
        return tuple(_firsts(found) for found in (scope, loose.mapping(self.document.get("resource"))) if found)

    @property
    def name(self) -> str:
        return loose.text(self.document.get("name"))

    @property
    def scope(self) -> str:
        return loose.text(loose.mapping(self.document.get("scope")).get("name"))

    @property
    def events(self) -> list[dict[str, Any]]:
        return loose.mappings(self.document.get("events"))

    @property
    def start_ns(self) -> int | None:
        value = self.document.get("start_ns")
        return value if isinstance(value, int) else None

    @property
    def is_failed(self) -> bool:
        return loose.mapping(self.document.get("status")).get("code") == 2

    def event(self, *names: str) -> Mapping[str, Any]:
        """The attributes of the first event with one of these names."""
        return next((loose.mapping(e.get("attributes")) for e in self.events if e.get("name") in names), {})

    def has(self, prefix: str) -> bool:
        return prefix.partition(".")[0] in self.heads and any(key.startswith(prefix) for key in self.attributes)

    def first(self, names: Collection[str]) -> Any:
        """The first attribute that says something, on the span alone. Lists of `llm.semconv` are looked up at once."""
        if id(names) in _tables():
            return self._firsts.get(id(names))
        for name in names:
            if says(value := self.attributes.get(name)):
                return value
        return None

    def anywhere(self, names: semconv.Names) -> Any:
        """As `first`, then on its scope and resource. Only for lists of `llm.semconv`."""
        if (found := self._firsts.get(id(names))) is not None:
            return found
        return next((value for around in self._around if (value := around.get(id(names))) is not None), None)

    def text_anywhere(self, names: semconv.Names) -> str | None:
        return as_text(unquoted(self.anywhere(names)))

    def text(self, names: Collection[str]) -> str | None:
        """The first of them as text; some SDKs write all values as JSON, texts in quotes."""
        return as_text(unquoted(self.first(names)))

    def count(self, names: Collection[str]) -> int | None:
        """The first of them that is a count; 0 is one."""
        if id(names) in _tables():
            said = self._firsts.get(id(names))
            if said is None or (found := number(said)) is not None:
                return None if said is None else found
        if self.attributes.keys().isdisjoint(names):
            return None
        return next((n for name in names if (n := number(self.attributes.get(name))) is not None), None)

    @cached_property
    def _values(self) -> dict[str, Any]:
        return {}

    def value(self, *names: str) -> Any:
        """The first of them that says something, read as JSON where it is JSON text; always the same object."""
        for name in names:
            if says(sent := self.attributes.get(name)):
                if name not in self._values:
                    self._values[name] = unpacked(sent)
                return self._values[name]
        return None

    def packed(self, *names: str) -> Any:
        """As `value`, where the SDK writes all values as JSON: texts in quotes, and objects in texts."""
        found = self.value(*names)
        return unpacked(unquoted(found)) if isinstance(found, str) else found

    @cached_property
    def _families(self) -> Mapping[str, list[tuple[str, Any]]]:
        found: dict[str, list[tuple[str, Any]]] = {}
        for key, value in self.attributes.items():
            if place := _INDEX.search(key):
                found.setdefault(key[: place.start()], []).append((key[place.start() + 1 :], value))
        return found

    def family(self, prefix: str) -> Any:
        """`prefix.0.a.b`, `prefix.1.…` as lists and objects; None where there are none."""
        return nested(self._families[prefix]) if prefix in self._families else None


_INDEX: Final = re.compile(r"\.[0-9]+(?=\.|$)")


def says(value: Any) -> bool:
    """Whether a value says something: 0 and false do."""
    return bool(value) or type(value) in (int, float, bool)


@cache
def _tables() -> frozenset[int]:
    return frozenset(place for places in _places().values() for place, _ in places)


@cache
def _places() -> Mapping[str, tuple[tuple[int, int], ...]]:
    """{attribute: (list of `llm.semconv` by its identity, place in it), …}."""
    found: dict[str, list[tuple[int, int]]] = {}
    for names in vars(semconv).values():
        if isinstance(names, tuple) and all(isinstance(name, str) for name in names):
            for place, name in enumerate(names):
                found.setdefault(name, []).append((id(names), place))
    return {name: tuple(places) for name, places in found.items()}


def _firsts(attributes: Mapping[str, Any]) -> Mapping[int, Any]:
    """{list of `llm.semconv`: its first attribute that says something}, in one pass."""
    best: dict[int, tuple[int, Any]] = {}
    places = _places()
    for name, value in attributes.items():
        if name in places and says(value):
            for table, place in places[name]:
                if table not in best or place < best[table][0]:
                    best[table] = (place, value)
    return {table: value for table, (_, value) in best.items()}


def unpacked(value: Any) -> Any:
    """JSON that was packed into text; any other text is itself."""
    if isinstance(value, str) and value[:64].lstrip()[:1] in ("{", "["):
        try:
            return loose.loads(value.encode("utf-8", "replace"))
        except orjson.JSONDecodeError:
            return value
    return value


def unquoted(value: Any) -> Any:
    """A text without the quotes JSON put around it."""
    if isinstance(value, str) and value[:1] == '"' == value[-1:] and len(value) > 1:
        try:
            found = loose.loads(value.encode("utf-8", "replace"))
        except orjson.JSONDecodeError:
            return value
        return found if isinstance(found, str) else value
    return value


def number(value: Any) -> int | None:
    """A count, also as text or inside a float."""
    if isinstance(value, str):
        try:
            value = int(value[:20])
        except ValueError:
            return None
    return loose.count(value)


def nano_usd(value: Any) -> int | None:
    """An amount in USD ×1e9; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value)[:40])
    except InvalidOperation:
        return None
    return round(amount * 10**9) if amount.is_finite() and 0 <= amount <= 10**6 else None


def as_text(value: Any) -> str | None:
    """Scalars as text; what is no scalar, or empty, is None."""
    if isinstance(value, bool) or value is None:
        return None
    return str(value) if isinstance(value, int | float) else loose.name(value)


def nested(pairs: Iterable[tuple[str, Any]]) -> Any:
    """Dotted keys as objects, whole numbers among them as places in lists, sorted as numbers."""
    tree: dict[str, Any] = {}
    for key, value in pairs:
        *path, last = key.split(".", MAX_PARTS)
        node: Any = tree
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                break
        else:
            node.setdefault(last, value)
    return _listed(tree) if tree else None


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = {key: _listed(value) for key, value in node.items()}
    if inner and all(key.isdecimal() and key.isascii() and len(key) < 6 for key in inner):
        return [inner[key] for key in sorted(inner, key=int)[:MAX_INDEX]]
    return inner
