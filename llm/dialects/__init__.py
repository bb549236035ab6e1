"""How bytes are read: one module a wire dialect, found by being here. Its shape is `llm.call.Dialect`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import cast

from llm.call import Call, Dialect


@cache
def every() -> tuple[tuple[str, Dialect], ...]:
    """(name, dialect) of every module here, by name."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple((name, cast(Dialect, importlib.import_module(f"{__name__}.{name}"))) for name in names)


def by_name(name: str) -> Dialect | None:
    return _by_name().get(name)


def choose(call: Call) -> tuple[str, Dialect] | None:
    """The dialect that is surest of this call; None where all say 0."""
    best, best_score = None, 0
    for name, score in _scores():
        said = score(call)
        if said > best_score:
            best, best_score = name, said
    return (best, _by_name()[best]) if best else None


@cache
def _by_name() -> dict[str, Dialect]:
    return dict(every())


@cache
def _scores() -> tuple[tuple[str, Callable[[Call], int]], ...]:
    return tuple((name, dialect.score) for name, dialect in every())
