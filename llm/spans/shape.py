"""What the names of a span's attributes alone say, worked out once for all spans that have the same ones.

An SDK writes few sets of names and many values, so that asking a span for one of forty names is asking which of them
its shape has: mostly none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Final

KEPT: Final = 1024
"""Shapes that are remembered, each of at most so many names and characters: what a stranger makes up takes 10 MB."""
MAX_NAMES, MAX_CHARACTERS = 128, 4096
_INDEX: Final = re.compile(r"\.[0-9]+(?=\.|$)")

Names = tuple[str, ...]


class Shape:
    """The names of one mapping's attributes, in their order."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known = frozenset(names)
        self._present: dict[Names, Names] = {}
        self._under: dict[Names, tuple[tuple[str, str], ...]] = {}

    @cached_property
    def heads(self) -> frozenset[str]:
        """First words of the names."""
        return frozenset(name.partition(".")[0] for name in self._names)

    def present(self, names: Names) -> Names:
        """Those of the names that are here, in the order they are asked for. `names` are a constant of the code."""
        if (found := self._present.get(names)) is None:
            found = self._present[names] = tuple(name for name in names if name in self._known)
        return found

    def under(self, prefixes: Names) -> tuple[tuple[str, str], ...]:
        """(name, the prefix it begins with) of all that begin with one of these; the first prefix that fits."""
        if (found := self._under.get(prefixes)) is None:
            found = self._under[prefixes] = tuple(
                (name, next(prefix for prefix in prefixes if name.startswith(prefix)))
                for name in self._names if name.startswith(prefixes)
            )  # fmt: skip
        return found

    @cached_property
    def families(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """{"llm.input_messages": (("0.message.role", "llm.input_messages.0.message.role"), …)}"""
        found: dict[str, list[tuple[str, str]]] = {}
        for name in self._names:
            if place := _INDEX.search(name):
                found.setdefault(name[: place.start()], []).append((name[place.start() + 1 :], name))
        return found


def shape_of(names: Names) -> Shape:
    is_kept = len(names) <= MAX_NAMES and sum(map(len, names)) <= MAX_CHARACTERS
    return _remembered(names) if is_kept else Shape(names)


_remembered = lru_cache(maxsize=KEPT)(Shape)
