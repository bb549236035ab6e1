"""Frozen dataclasses made quickly, where many are made a second.

A frozen dataclass sets each field through `object.__setattr__`, ten times as slow as an assignment: a request of the
gateway sets hundreds. Here a twin that is not frozen is filled, and then given the class.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import fields, make_dataclass
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def maker(frozen: Callable[P, T]) -> Callable[P, T]:
    """Called like the class itself, a frozen dataclass with slots and no `__post_init__`; makes the same instances."""
    kind: Any = frozen

    def freeze(self: Any) -> None:
        self.__class__ = kind

    told = [(one.name, one.type, copy(one)) for one in fields(kind)]
    twin: Any = make_dataclass(kind.__name__, told, slots=True, namespace={"__post_init__": freeze})
    return twin  # type: ignore[no-any-return]
