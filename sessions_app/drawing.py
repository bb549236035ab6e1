"""What the session page shows of a tree: a summary to read, and the drawing its script makes rows of.

The drawing is one column of values per fact, with one entry per node, which keeps ten thousand nodes near one
megabyte. Times are milliseconds from the session's start, money is nano-USD, texts are places in `strings`; null is
"not told".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sessions_app import timing
from sessions_app.queries import MOST_STEPS, SessionRow
from sessions_app.tree import Node, Share, Step, Sums, Tree, label_of, place_label, shares

LONGEST_LABEL = 120
SLOWEST, COSTLIEST, CRITICAL = 1, 2, 4
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
    path = timing.busy(timing.critical_path(tree.nodes), tree.nodes)
    columns: Mapping[str, Callable[[Node], Any]] = {
        "label": lambda node: strings.place(_label(node)[:LONGEST_LABEL]),
        "at": lambda node: _ms(start, node.started_at),
        "self": lambda node: _rounded(timing.self_us(tree.nodes, node)),
        "critical": lambda node: [round(at / 1000, 1) for part in path.get(node.index, ()) for at in part] or 0,
        "ways": lambda node: (
            SLOWEST * (node.index in tree.slowest) + COSTLIEST * (node.index in tree.costliest)
            + CRITICAL * (node.index in path)
        ),
        "model": _of_step(lambda step: strings.place(step.model or "")),
        "kind": _of_step(lambda step: strings.place(step.kind)),
        "error": _of_step(lambda step: strings.place(step.error)),
        **_SUMMED, **_OF_STEP,
    }  # fmt: skip
    drawn = {name: [column(node) for node in tree.nodes] for name, column in columns.items()}
    return {"start": round(start.timestamp() * 1000), "strings": strings.all(), **drawn}


def _label(node: Node) -> str:
    return node.label or (label_of(node.step) if node.step else "")


def _ms(start: datetime, moment: datetime) -> int:
    return (moment - start) // timedelta(milliseconds=1)


def _of_step(read: Callable[[Step], Any], none: Any = None) -> Callable[[Node], Any]:
    return lambda node: read(node.step) if node.step else none


def _rounded(microseconds: int | None) -> int | None:
    return None if microseconds is None else round(microseconds / 1000)


_SUMMED: Final[Mapping[str, Callable[[Node], Any]]] = {
    "parent": lambda node: node.parent,
    "size": lambda node: node.size,
    "lost": lambda node: int(node.is_lost),
    "wall": lambda node: node.wall_ms,
    "cost": lambda node: node.total.cost_nano_usd,
    "priced": lambda node: node.total.priced,
    "unpriced": lambda node: node.total.unpriced,
    "requests": lambda node: node.total.requests,
    "steps": lambda node: node.total.steps,
    "errors": lambda node: node.total.errors,
    "input": lambda node: node.total.input_tokens,
    "output": lambda node: node.total.output_tokens,
    "ownInput": lambda node: node.own.input_tokens,
    "ownOutput": lambda node: node.own.output_tokens,
    "untold": lambda node: node.total.untold_tokens,
}
_OF_STEP: Final[Mapping[str, Callable[[Node], Any]]] = {
    "id": _of_step(lambda step: str(step.id), none=""),
    "ms": _of_step(lambda step: step.duration_ms),
    "open": _of_step(lambda step: int(step.is_open), none=0),
    "first": _of_step(lambda step: step.time_to_first_token_ms),
    "own": _of_step(lambda step: step.cost_nano_usd if step.calls_model else None),
    "status": _of_step(lambda step: step.status),
    "failed": _of_step(lambda step: int(step.is_error), none=0),
    "cached": _of_step(lambda step: int(step.cached), none=0),
    "calls": _of_step(lambda step: int(step.calls_model), none=0),
}


@dataclass(frozen=True, slots=True)
class Portion:
    """One line of "where it went": a step's name or a model, its sums, and its part of the session's cost or time."""

    label: str
    sums: Sums
    ms: int
    part: float
    """0 … 1 of the whole."""

    @property
    def width(self) -> str:
        """For SVG."""
        return f"{max(self.part * 100, 0.5):.2f}%"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a reader in a hurry wants to know of a session, or of a trace."""

    sums: Sums
    first_at: datetime
    wall_ms: int
    end_users: tuple[str, ...]
    shown: int
    """Steps read; fewer than the session counts when it is longer than a page, or retention took some."""
    is_cut: bool
    is_partly_gone: bool
    by_step: tuple[Portion, ...]
    by_model: tuple[Portion, ...]
    by_wait: tuple[Portion, ...]
    """Of the critical path, by step: whose time the whole had to wait for."""
    measure: str
    """What the portions are parts of: `cost`, or `time` where nothing is priced."""
    first_error: Step | None
    other_steps: int
    other_models: int
    other_waits: int

    @property
    def tools(self) -> int:
        return self.sums.steps - self.sums.requests


MOST_PORTIONS = 5


def summary(steps: Sequence[Step], tree: Tree | None, counted: SessionRow | None) -> Summary:
    """Of the steps shown, or where there are none left, of what the session counted; one of the two there must be."""
    sums, first_at, wall_ms, end_users = _counted(counted) if tree is None and counted else _shown(steps, tree)
    measure = "cost" if sums.cost_nano_usd else "time"
    nodes = tree.nodes if tree else ()
    calls = [node for node in nodes if _calls_model(node)]
    by_step, by_model = shares(calls if measure == "cost" else nodes, place_label), shares(calls, _model)
    waited = _waited(nodes)
    whole = counted.steps if counted else len(steps)
    is_cut = len(steps) >= MOST_STEPS and (counted is None or whole > len(steps))
    return Summary(
        sums=sums,
        first_at=first_at,
        wall_ms=wall_ms,
        end_users=counted.end_users if counted else end_users,
        shown=len(steps),
        is_cut=is_cut,
        is_partly_gone=not is_cut and whole > len(steps),
        by_step=_portions(by_step, sums, measure),
        by_model=_portions(by_model, sums, measure),
        by_wait=tuple(waited[:MOST_PORTIONS]),
        measure=measure,
        first_error=_first_error(nodes),
        other_steps=max(len(by_step) - MOST_PORTIONS, 0),
        other_models=max(len(by_model) - MOST_PORTIONS, 0),
        other_waits=max(len(waited) - MOST_PORTIONS, 0),
    )


_Figures = tuple[Sums, datetime, int, tuple[str, ...]]


def _shown(steps: Sequence[Step], tree: Tree | None) -> _Figures:
    if tree is None:
        raise ValueError("a summary needs steps, or a session that counted them")
    users = tuple(dict.fromkeys(step.end_user_id for step in steps if step.end_user_id))
    return tree.root.total, tree.root.started_at, tree.root.wall_ms, users


def _first_error(nodes: Sequence[Node]) -> Step | None:
    """The earliest failure that no failure below it explains."""
    failed = [node.step for node in nodes if node.step and node.own.errors and node.total.errors == node.own.errors]
    return min(failed, key=lambda step: (step.started_at, step.id), default=None)


def _portions(found: Sequence[Share], whole: Sums, measure: str) -> tuple[Portion, ...]:
    def weight(sums: Sums) -> int:
        return sums.cost_nano_usd if measure == "cost" else sums.model_ms

    total = max(weight(whole), 1)
    return tuple(
        Portion(share.label, share.sums, share.sums.model_ms, weight(share.sums) / total)
        for share in found[:MOST_PORTIONS]
    )


def _waited(nodes: Sequence[Node]) -> list[Portion]:
    """Stretches of the critical path by the step's name, longest first."""
    us: dict[str, int] = defaultdict(int)
    steps: dict[str, int] = defaultdict(int)
    if not nodes:
        return []
    for index, parts in timing.busy(timing.critical_path(nodes), nodes).items():
        step = nodes[index].step
        if step is not None:
            us[place_label(step)] += sum(until - since for since, until in parts)
            steps[place_label(step)] += 1
    whole = max(sum(us.values()), 1)
    ordered = sorted(us, key=lambda label: (-us[label], label))
    return [Portion(label, Sums(steps=steps[label]), us[label] // 1000, us[label] / whole) for label in ordered]


def _counted(session: SessionRow) -> _Figures:
    sums = Sums(
        steps=session.steps, requests=session.requests, errors=session.errors,
        cost_nano_usd=session.cost_nano_usd, priced=session.priced, unpriced=session.unpriced,
        input_tokens=session.input_tokens, output_tokens=session.output_tokens,
    )  # fmt: skip
    return sums, session.first_at, session.wall_ms, session.end_users


def _calls_model(node: Node) -> bool:
    return node.own.requests > 0


def _model(step: Step) -> str:
    return step.model or "unknown model"
