"""How bytes are read: one module a wire dialect, found by being here. Its shape is `llm.call.Dialect`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from typing import cast

from llm.call import SURE, Call, Dialect

Score = Callable[[Call], int]


@cache
def every() -> tuple[tuple[str, Dialect], ...]:
    """(name, dialect) of every module here, by name."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple((name, cast(Dialect, importlib.import_module(f"{__name__}.{name}"))) for name in names)


def by_name(name: str) -> Dialect | None:
    return _by_name().get(name)


def choose(call: Call) -> tuple[str, Dialect] | None:
    """The dialect that is surest of this call; None where all say 0.

    Nearly always a key tells the few that may be sure of it, and one of them is; else all are asked.
    """
    known = _by_key()
    keys = known.keys() & call.sample.keys() | known.keys() & call.request.keys()
    name, said = _surest({name: score for key in keys for name, score in known[key]}, call)
    if said < SURE:
        name, said = _surest(_scores(), call)
    return (name, _by_name()[name]) if said else None


def _surest(scores: Mapping[str, Score], call: Call) -> tuple[str, int]:
    """(name, score); of those that say the same the first by name."""
    best, best_score = "", 0
    for name, score in scores.items():
        said = score(call)
        if said > best_score or (said == best_score and name < best):
            best, best_score = name, said
    return best, best_score


@cache
def _by_name() -> dict[str, Dialect]:
    return dict(every())


@cache
def _scores() -> dict[str, Score]:
    return {name: dialect.score for name, dialect in every()}


@cache
def _by_key() -> dict[str, tuple[tuple[str, Score], ...]]:
    """The dialects each key may tell."""
    keys = {key for _, dialect in every() for key in dialect.TOLD_BY}
    return {key: tuple((name, dialect.score) for name, dialect in every() if key in dialect.TOLD_BY) for key in keys}
