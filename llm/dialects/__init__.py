"""How bytes are read: one module a wire dialect, found by being here. Its shape is `llm.call.Dialect`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import cast

from llm.call import Call, Dialect


@cache
def every() -> tuple[tuple[str, Dialect], ...]:
    """(name, dialect) of every module here, by name."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple((name, cast(Dialect, importlib.import_module(f"{__name__}.{name}"))) for name in names)


def by_name(name: str) -> Dialect | None:
    return dict(every()).get(name)


def choose(call: Call) -> tuple[str, Dialect] | None:
    """The dialect that is surest of this call; None where all say 0."""
    best, best_score = None, 0
    for entry in every():
        score = entry[1].score(call)
        if score > best_score:
            best, best_score = entry, score
    return best
