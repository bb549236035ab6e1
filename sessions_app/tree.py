"""A session as a tree: its steps hung under their paths (or, for spans, their parents) and summed upwards.

    steps ──from_paths──┐
                        ├─▶ places ──_grow──▶ Tree: nodes in reading order, each with its own and total sums
    steps ──from_spans──┘

A path names a node, as in Helicone: `/plan/search` is `search` under `plan`, whether or not anything was
sent from `/plan` itself. One request at a path *is* that node; of several, each becomes a node under it.
Steps without a path hang under the root, which is the session itself and always node 0.

Pure and iterative: ten thousand nodes, paths five hundred deep, spans that are their own ancestors: fine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import add
from typing import Any
from uuid import UUID

PATH_BUDGET = 200_000
"""Most nodes all paths together may ask for; where they would be more, the deep end of a path is one node."""
NOT_HERE = "step not here yet"
"""Label of the node that stands for a parent several steps name and nobody has sent."""


@dataclass(frozen=True, slots=True)
class Step:
    """One stored request or span as the tree needs it; money in nano-USD, None for "not told"."""

    id: UUID
    started_at: datetime
    duration_ms: int | None = None
    path: str | None = None
    kind: str = "llm"
    calls_model: bool = True
    name: str | None = None
    provider: str = ""
    model: str | None = None
    status: int = 200
    is_error: bool = False
    cached: bool = False
    end_user_id: str | None = None
    cost_nano_usd: int | None = None
    cost_reason: str = "price"
    input_tokens: int | None = None
    output_tokens: int | None = None
    time_to_first_token_ms: int | None = None
    error: str = ""
    request_preview: str = ""
    response_preview: str = ""
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_id: str | None = None
    door: str = ""

    @property
    def is_open(self) -> bool:
        """A span whose end nobody has told yet."""
        return self.door == "otlp" and self.duration_ms is None and self.kind != "event"

    @property
    def ended_at(self) -> datetime:
        return self.started_at + timedelta(milliseconds=max(self.duration_ms or 0, 0))


@dataclass(frozen=True, slots=True)
class Sums:
    """What adds up along a tree. Tokens, cost and model time count only steps that call a model."""

    steps: int = 0
    requests: int = 0
    """Steps that call a model."""
    errors: int = 0
    cost_nano_usd: int = 0
    """Of the calls whose cost is known."""
    priced: int = 0
    """Calls whose cost is known."""
    unpriced: int = 0
    """Answered calls whose cost is unknown; a failed call without a charge is not among them."""
    input_tokens: int = 0
    output_tokens: int = 0
    untold_tokens: int = 0
    """Answered calls that told no token count."""
    model_ms: int = 0

    @property
    def known_cost(self) -> int | None:
        """Nano-USD; None where calls were made and none has a known cost."""
        return self.cost_nano_usd if self.priced or not self.requests else None

    def __add__(self, other: Sums) -> Sums:
        return Sums(*map(add, _numbers(self), _numbers(other)))


NOTHING = Sums()


@dataclass(frozen=True, slots=True)
class Node:
    """`size` nodes from this one on (itself included) are its subtree. Times span the whole subtree."""

    index: int
    parent: int
    """-1 for the root."""
    depth: int
    size: int
    label: str
    path: str
    step: Step | None
    own: Sums
    total: Sums
    started_at: datetime
    ended_at: datetime
    is_lost: bool = False
    """Its parent has not come; a lost node without a step stands for such a parent."""

    @property
    def wall_ms(self) -> int:
        return (self.ended_at - self.started_at) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Tree:
    nodes: tuple[Node, ...]
    slowest: frozenset[int]
    """Nodes on the way from the root along whatever lasted longest."""
    costliest: frozenset[int]

    @property
    def root(self) -> Node:
        return self.nodes[0]


@dataclass(frozen=True, slots=True)
class Share:
    """What all steps of one label cost together, however the tree spreads them."""

    label: str
    sums: Sums


@dataclass(slots=True)
class _Place:
    """A node before its children are known: parents are indexes, in no order."""

    parent: int
    label: str
    path: str
    step: Step | None = None
    is_lost: bool = False


def from_paths(steps: Sequence[Step]) -> Tree:
    """The tree of the steps' paths. Raises ValueError when there are no steps."""
    ordered = sorted(steps, key=lambda step: (step.started_at, step.id))
    places = [_Place(-1, "", "/")]
    _hang(places, ordered)
    return _grow(places)


def from_spans(steps: Sequence[Step]) -> Tree:
    """The tree of the steps' parent span ids. Raises ValueError when there are no steps.

    A step whose parent is not here stands at the top; several with the same one stand under a node in its place.
    Calls of no span at all hang under their paths.
    """
    ordered = sorted(steps, key=lambda step: (step.started_at, step.id))
    parents = {(step.trace_id, step.parent_span_id) for step in ordered if step.parent_span_id}
    here = {(step.trace_id, step.span_id) for step in ordered if step.span_id}
    spans: list[Step] = []
    others: list[Step] = []
    for step in ordered:
        is_hung = (step.trace_id, step.parent_span_id) in here or (step.trace_id, step.span_id) in parents
        (spans if is_hung or step.door == "otlp" or not split_path(step.path) else others).append(step)
    places = [_Place(-1, "", "/"), *_nested(spans)]
    _stand_in(places)
    _hang(places, others)
    return _grow(places)


def has_spans(steps: Iterable[Step]) -> bool:
    """Whether the steps tell a tree by their parents."""
    kept = list(steps)
    here = {(step.trace_id, step.span_id) for step in kept if step.span_id}
    return any(step.door == "otlp" or (step.trace_id, step.parent_span_id) in here for step in kept)


def _nested(spans: Sequence[Step]) -> Iterator[_Place]:
    """Places 1, 2, … of the spans under their parents, those whose parent is not here as lost ones at the top."""
    at: dict[tuple[str | None, str | None], int] = {
        (step.trace_id, step.span_id): index for index, step in enumerate(spans, 1) if step.span_id
    }
    parents = [-1, *(at.get((step.trace_id, step.parent_span_id), 0) for step in spans)]
    is_lost = [bool(step.parent_span_id) and not parent for step, parent in zip(spans, parents[1:], strict=True)]
    _cut_cycles(parents)
    for step, parent, lost in zip(spans, parents[1:], is_lost, strict=True):
        yield _Place(parent, label_of(step), step.path or "/", step, is_lost=lost)


def _stand_in(places: list[_Place]) -> None:
    """One place for each parent that several wait for."""
    waiting: dict[tuple[str | None, str | None], list[_Place]] = defaultdict(list)
    for place in places:
        if place.is_lost and place.step:
            waiting[place.step.trace_id, place.step.parent_span_id].append(place)
    for siblings in waiting.values():
        if len(siblings) < 2:
            continue
        places.append(_Place(0, NOT_HERE, "/", is_lost=True))
        for sibling in siblings:
            sibling.parent, sibling.is_lost = len(places) - 1, False


def split_path(path: str | None) -> tuple[str, ...]:
    """`//a/ b /` → ("a", "b"); None and "/" → ()."""
    return tuple(part for raw in (path or "").split("/") if (part := raw.strip()))


def label_of(step: Step) -> str:
    """What to call a step that its path does not name."""
    return step.name or step.model or step.kind


def shares(nodes: Iterable[Node], key: Callable[[Step], str]) -> list[Share]:
    """The nodes' steps summed by `key`, costliest first, then by model time."""
    measured: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for node in nodes:
        if node.step:
            measured[key(node.step)].append(_numbers(node.own))
    found = [Share(label, Sums(*map(sum, zip(*numbers, strict=True)))) for label, numbers in measured.items()]
    return sorted(found, key=lambda share: (-share.sums.cost_nano_usd, -share.sums.model_ms, share.label))


def place_label(step: Step) -> str:
    """The last segment of a step's path: the same action, whichever branch or round it ran in."""
    segments = split_path(step.path)
    return segments[-1] if segments else label_of(step)


def measure(step: Step) -> Sums:
    """One step's own sums."""
    if not step.calls_model:
        return Sums(steps=1, errors=int(step.is_error))
    answered = not step.is_error
    is_told = step.input_tokens is not None or step.output_tokens is not None
    return Sums(
        steps=1,
        requests=1,
        errors=int(step.is_error),
        cost_nano_usd=step.cost_nano_usd or 0,
        priced=int(step.cost_nano_usd is not None),
        unpriced=int(step.cost_nano_usd is None and (answered or is_told)),
        input_tokens=step.input_tokens or 0,
        output_tokens=step.output_tokens or 0,
        untold_tokens=int(answered and not is_told),
        model_ms=max(step.duration_ms or 0, 0),
    )


def _hang(places: list[_Place], ordered: Sequence[Step]) -> None:
    """Every step at the place its path names."""
    segments = {step.path: split_path(step.path) for step in ordered}
    depth = max(PATH_BUDGET // max(len(segments), 1), 4)
    at: dict[tuple[int, str], int] = {}
    crowd: dict[int, list[Step]] = defaultdict(list)
    for step in ordered:
        crowd[_home(places, at, _shorten(segments[step.path], depth))].append(step)
    for home, living in crowd.items():
        _settle(places, home, living)


def _shorten(segments: tuple[str, ...], depth: int) -> tuple[str, ...]:
    if len(segments) <= depth:
        return segments
    return (*segments[: depth - 1], "/".join(segments[depth - 1 :]))


def _home(places: list[_Place], at: dict[tuple[int, str], int], segments: tuple[str, ...]) -> int:
    """The place a path names, made with its ancestors where it is not yet there."""
    here = 0
    for segment in segments:
        found = at.get((here, segment))
        if found is None:
            found = at[here, segment] = len(places)
            above = places[here].path.rstrip("/")
            # Kept whole, the paths along a monstrous one would take its square in memory.
            places.append(_Place(here, segment, f"{above}/{segment}" if len(above) < 2_000 else above))
        here = found
    return here


def _settle(places: list[_Place], home: int, living: list[Step]) -> None:
    """One step alone is the place it lives in; several, or any at the root, live under it."""
    if len(living) == 1 and home != 0:
        places[home].step = living[0]
        return
    for step in living:
        places.append(_Place(home, label_of(step), places[home].path, step))


def _cut_cycles(parents: list[int]) -> None:
    """Hang one member of every cycle under the root, in place."""
    clean = [False] * len(parents)
    clean[0] = True
    for start in range(1, len(parents)):
        trail: dict[int, None] = {}
        here = start
        while not clean[here] and here not in trail:
            trail[here] = None
            here = parents[here]
        if not clean[here]:
            parents[here] = 0
        for member in trail:
            clean[member] = True


def _numbers(sums: Sums) -> tuple[int, ...]:
    return (
        sums.steps, sums.requests, sums.errors, sums.cost_nano_usd, sums.priced, sums.unpriced,
        sums.input_tokens, sums.output_tokens, sums.untold_tokens, sums.model_ms,
    )  # fmt: skip


def _grow(places: list[_Place]) -> Tree:
    """Sums and times upwards, children by their first start, then everything in reading order."""
    if len(places) < 2:
        raise ValueError("a tree needs at least one step")
    children: list[list[int]] = [[] for _ in places]
    for index, place in enumerate(places[1:], 1):
        children[place.parent].append(index)
    downwards = _downwards(children)
    owns = [measure(place.step) if place.step else NOTHING for place in places]
    totals = owns.copy()
    starts = [place.step.started_at if place.step else None for place in places]
    ends = [place.step.ended_at if place.step else None for place in places]
    for index in reversed(downwards[1:]):
        parent = places[index].parent
        totals[parent] += totals[index]
        starts[parent] = min(filter(None, (starts[parent], starts[index])))
        ends[parent] = max(filter(None, (ends[parent], ends[index])))
    for siblings in children:
        siblings.sort(key=lambda child: (starts[child], child))
    spans: Any = list(zip(starts, ends, strict=True))
    return _read(places, children, sums=list(zip(owns, totals, strict=True)), spans=spans)


def _downwards(children: list[list[int]]) -> list[int]:
    """Every place after its parent."""
    order = [0]
    for index in order:
        order.extend(children[index])
    return order


def _read(
    places: list[_Place],
    children: list[list[int]],
    *,
    sums: list[tuple[Sums, Sums]],
    spans: list[tuple[datetime, datetime]],
) -> Tree:
    """Places in reading order as nodes, renumbered."""
    order: list[tuple[int, int, int]] = []
    waiting = [(0, -1, 0)]
    while waiting:
        place, parent, depth = waiting.pop()
        order.append((place, parent, depth))
        here = len(order) - 1
        waiting.extend((child, here, depth + 1) for child in reversed(children[place]))
    sizes = [1] * len(order)
    for here in range(len(order) - 1, 0, -1):
        sizes[order[here][1]] += sizes[here]
    nodes = tuple(
        _node(where, size=sizes[index], place=places[place], sums=sums[place], span=spans[place])
        for index, (place, parent, depth) in enumerate(order)
        for where in [(index, parent, depth)]
    )
    return Tree(
        nodes,
        slowest=_heaviest_way(nodes, lambda node: node.wall_ms, _own_ms),
        costliest=_heaviest_way(nodes, lambda n: n.total.cost_nano_usd, lambda n: n.own.cost_nano_usd),
    )


def _node(
    where: tuple[int, int, int], *, size: int, place: _Place, sums: tuple[Sums, Sums], span: tuple[datetime, datetime]
) -> Node:
    return Node(
        *where, size=size, label=place.label, path=place.path, step=place.step,
        own=sums[0], total=sums[1], started_at=span[0], ended_at=span[1], is_lost=place.is_lost,
    )  # fmt: skip


def _own_ms(node: Node) -> int:
    return (node.step.duration_ms or 0) if node.step else 0


def children_of(nodes: Sequence[Node], node: Node) -> Iterable[Node]:
    """A node's children in reading order."""
    here = node.index + 1
    while here < node.index + node.size:
        yield nodes[here]
        here += nodes[here].size


def _heaviest_way(nodes: tuple[Node, ...], total: Callable[[Node], int], own: Callable[[Node], int]) -> frozenset[int]:
    """From the root to the heaviest child, on until a node outweighs its heaviest child by itself."""
    here, way = nodes[0], [0]
    while heaviest := max(children_of(nodes, here), key=total, default=None):
        if total(heaviest) <= 0 or (here.index and own(here) > total(heaviest)):
            break
        here = heaviest
        way.append(here.index)
    return frozenset(way)
