"""A session tree as the page's script draws it: one column of numbers per fact, one entry per node.

Columns instead of one object per node keep ten thousand nodes near one megabyte. Times are milliseconds from the
session's start, money is nano-USD, texts are places in `strings`; null is "not told".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sessions_app.tree import Node, Step, Tree, label_of

LONGEST_LABEL = 120
SLOWEST, COSTLIEST = 1, 2
"""Bits of the `ways` column."""


class _Strings:
    """Every text once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    def all(self) -> list[str]:
        return list(self._places)


def drawing(tree: Tree) -> dict[str, Any]:
    """JSON for static/js/session.js. Node 0, the session itself, is among the nodes and is not drawn as a row."""
    strings, start = _Strings(), tree.root.started_at
    columns: Mapping[str, Callable[[Node], Any]] = {
        "parent": lambda node: node.parent,
        "size": lambda node: node.size,
        "label": lambda node: strings.place(_label(node)[:LONGEST_LABEL]),
        "at": lambda node: _ms(start, node.started_at),
        "wall": lambda node: node.wall_ms,
        "cost": lambda node: node.total.cost_nano_usd,
        "unpriced": lambda node: node.total.unpriced,
        "requests": lambda node: node.total.requests,
        "steps": lambda node: node.total.steps,
        "errors": lambda node: node.total.errors,
        "input": lambda node: node.total.input_tokens,
        "output": lambda node: node.total.output_tokens,
        "untold": lambda node: node.total.untold_tokens,
        "ways": lambda node: SLOWEST * (node.index in tree.slowest) + COSTLIEST * (node.index in tree.costliest),
        "id": _of_step(lambda step: str(step.id), none=""),
        "ms": _of_step(lambda step: step.duration_ms),
        "first": _of_step(lambda step: step.time_to_first_token_ms),
        "own": _of_step(lambda step: step.cost_nano_usd if step.calls_model else None),
        "status": _of_step(lambda step: step.status),
        "failed": _of_step(lambda step: int(step.is_error), none=0),
        "cached": _of_step(lambda step: int(step.cached), none=0),
        "model": _of_step(lambda step: strings.place(step.model or "")),
        "kind": _of_step(lambda step: strings.place(step.kind)),
        "error": _of_step(lambda step: strings.place(step.error)),
    }
    drawn = {name: [column(node) for node in tree.nodes] for name, column in columns.items()}
    return {"start": round(start.timestamp() * 1000), "strings": strings.all(), **drawn}


def _label(node: Node) -> str:
    return node.label or (label_of(node.step) if node.step else "")


def _ms(start: datetime, moment: datetime) -> int:
    return (moment - start) // timedelta(milliseconds=1)


def _of_step(read: Callable[[Step], Any], none: Any = None) -> Callable[[Node], Any]:
    return lambda node: read(node.step) if node.step else none
