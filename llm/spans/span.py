"""A span's document with the ways of reading it that every SDK's dialect needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

from llm import loose, semconv
from llm.spans.shape import Shape, shape_of

MAX_PARTS: Final = 24
MAX_INDEX: Final = 10_000
"""The longest list an indexed family (`llm.input_messages.12.…`) may claim."""


class Span:
    """One span, as `ingest_app/otlp_document.py` writes it."""

    __slots__ = ("_around", "_values", "attributes", "document", "events", "heads", "name", "shape")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document: Final = document
        self.attributes: Final = loose.mapping(document.get("attributes"))
        self.events: Final = loose.mappings(document.get("events"))
        self.name: Final = loose.text(document.get("name"))
        self.shape: Final = shape_of(tuple(self.attributes))
        self.heads: Final = self._heads()
        self._values: Final[dict[str, Any]] = {}
        self._around: tuple[tuple[Shape, Mapping[str, Any]], ...] | None = None

    def _heads(self) -> frozenset[str]:
        """First words of its attributes', its events' and its own name: enough to know whose it can be."""
        names = (self.name, *(loose.text(event.get("name")) for event in self.events))
        return self.shape.heads.union([name.partition(".")[0] for name in names])

    def _beside(self) -> tuple[tuple[Shape, Mapping[str, Any]], ...]:
        """Where a fact is looked for beside the span: what it was made by, and what it ran in."""
        if self._around is None:
            scope = loose.mapping(loose.mapping(self.document.get("scope")).get("attributes"))
            beside = (scope, loose.mapping(self.document.get("resource")))
            self._around = tuple((shape_of(tuple(found)), found) for found in beside if found)
        return self._around

    @property
    def scope(self) -> str:
        return loose.text(loose.mapping(self.document.get("scope")).get("name"))

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
        return bool(self.shape.under((prefix,)))

    def first(self, names: semconv.Names) -> Any:
        """The first attribute that says something, on the span alone."""
        return _first(self.shape.present(names), self.attributes)

    def anywhere(self, names: semconv.Names) -> Any:
        """As `first`, then on its scope and resource."""
        if (found := self.first(names)) is not None:
            return found
        for shape, attributes in self._beside():
            if (found := _first(shape.present(names), attributes)) is not None:
                return found
        return None

    def text_anywhere(self, names: semconv.Names) -> str | None:
        return as_text(unquoted(self.anywhere(names)))

    def text(self, names: semconv.Names) -> str | None:
        """The first of them as text; some SDKs write all values as JSON, texts in quotes."""
        return as_text(unquoted(found)) if (found := self.first(names)) is not None else None

    def count(self, names: semconv.Names) -> int | None:
        """The first of them that is a count; 0 is one."""
        for name in self.shape.present(names):
            if (found := number(self.attributes[name])) is not None:
                return found
        return None

    def value(self, *names: str) -> Any:
        """The first of them that says something, read as JSON where it is JSON text; always the same object."""
        for name in self.shape.present(names):
            if says(sent := self.attributes[name]):
                if name not in self._values:
                    self._values[name] = unpacked(sent)
                return self._values[name]
        return None

    def packed(self, *names: str) -> Any:
        """As `value`, where the SDK writes all values as JSON: texts in quotes, and objects in texts."""
        found = self.value(*names)
        return unpacked(unquoted(found)) if isinstance(found, str) else found

    def family(self, prefix: str) -> Any:
        """`prefix.0.a.b`, `prefix.1.…` as lists and objects; None where there are none."""
        pairs = self.shape.families.get(prefix)
        return nested((rest, self.attributes[name]) for rest, name in pairs) if pairs else None


def says(value: Any) -> bool:
    """Whether a value says something: 0 and false do."""
    return bool(value) or type(value) in (int, float, bool)


def _first(names: semconv.Names, attributes: Mapping[str, Any]) -> Any:
    for name in names:
        if says(value := attributes[name]):
            return value
    return None


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
