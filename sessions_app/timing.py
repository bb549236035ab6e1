"""Where a tree's time went: what each step did itself, and the chain of stretches the whole had to wait for.

The critical path is read backwards from the end: the step that ended last was waited for; before its start, whatever
ended last before that; and where nothing below had just ended, the step around them was busy itself. The stretches
lie end to end and cover the tree from its first start to its last end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sessions_app.tree import Node, children_of

TOLERANCE_US = 1_000
"""Lengths are whole milliseconds: by so much the end of one step may seem to lie behind the start of the next."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Microseconds from the tree's start in which everything waited for this node itself, not for one below it."""

    node: int
    since: int
    until: int


def critical_path(nodes: Sequence[Node]) -> list[Stretch]:
    """The stretches, latest first. One pass over the nodes, sorted child by child."""
    times = _times(nodes)
    waiting, path = [(0, times[0][1])], []
    while waiting:
        index, until = waiting.pop()
        for child, ended_at in _waited_for(nodes, times, index, until=until):
            if ended_at < until:
                path.append(Stretch(index, ended_at, until))
            waiting.append((child, ended_at))
            until = times[child][0]
        if times[index][0] < until:
            path.append(Stretch(index, times[index][0], until))
    return sorted(path, key=lambda stretch: -stretch.since)


def _waited_for(
    nodes: Sequence[Node], times: Sequence[tuple[int, int]], index: int, *, until: int
) -> Iterator[tuple[int, int]]:
    """The children that held a node up, latest first, and until when; what ran beside them is passed over."""
    below = sorted((child.index for child in children_of(nodes, nodes[index])), key=lambda child: -times[child][1])
    for child in below:
        started_at, ended_at = times[child]
        if ended_at <= until + TOLERANCE_US and started_at < min(ended_at, until):
            yield child, min(ended_at, until)
            until = started_at


def busy(path: Sequence[Stretch], nodes: Sequence[Node]) -> dict[int, list[tuple[int, int]]]:
    """Of the path, by node, the parts in which its own step ran: pauses between steps belong to nobody."""
    start, found = nodes[0].started_at, dict[int, list[tuple[int, int]]]()
    for stretch in reversed(path):
        step = nodes[stretch.node].step
        if step is None:
            continue
        since = max(stretch.since, _us(step.started_at - start))
        until = min(stretch.until, _us(step.ended_at - start))
        if since < until:
            found.setdefault(stretch.node, []).append((since, until))
    return found


def self_us(nodes: Sequence[Node], node: Node) -> int | None:
    """How long a node's step ran while nothing below it did; None where it has none, or its length is not known."""
    step = node.step
    if step is None or step.duration_ms is None:
        return None
    free, here = 0, step.started_at
    for child in children_of(nodes, node):
        free += max(_us(min(child.started_at, step.ended_at) - here), 0)
        here = max(here, child.ended_at)
    return free + max(_us(step.ended_at - here), 0)


def _times(nodes: Sequence[Node]) -> list[tuple[int, int]]:
    start = nodes[0].started_at
    return [(_us(node.started_at - start), _us(node.ended_at - start)) for node in nodes]


def _us(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
