"""What many people's bodies say alike: the only text that may outlive them in a dictionary.

A body is cut at spaces and punctuation into pieces. A run of consecutive pieces is *common* when exactly that run
stands in bodies of at least PEOPLE different people. Runs of 1, 2, 4 … pieces are counted at every place, and only
where both halves are common, so what one person wrote drops out at the first step. Two common runs are never joined:
that this text is followed by that one may be one person's.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

PEOPLE = 10
LONGEST_RUN = 256
SHORTEST_USEFUL = 4
"""Bytes; a match that short costs as much as it saves."""
NONE = -1

_PIECE = re.compile(rb'[^ ,.:;{}\[\]!?\\\n]*[ ,.:;{}\[\]!?\\\n]+"?|[^ ,.:;{}\[\]!?\\\n]+')


class Sample(NamedTuple):
    """A body, and whose it is; "" where nobody is named: all such bodies together count as nobody's."""

    person: str
    data: bytes


class _Level(NamedTuple):
    """Runs of one length: for each sample the run beginning at each piece, NONE where it is not common."""

    rows: list[array[int]]
    texts: dict[int, bytes]


def common(samples: Sequence[Sample]) -> Counter[bytes]:
    """Common runs and how often each was taken when every sample is covered by the longest of them."""
    levels = [_pieces(samples)]
    width = 1
    while levels[-1].texts and width < LONGEST_RUN:
        levels.append(_doubled(samples, levels[-1], width))
        width *= 2
    taken: Counter[bytes] = Counter()
    for index in range(len(samples)):
        taken.update(_cover([level.rows[index] for level in levels], levels))
    return taken


def _pieces(samples: Sequence[Sample]) -> _Level:
    numbers: dict[bytes, int] = {}
    rows = [
        array("i", [numbers.setdefault(piece, len(numbers)) for piece in _PIECE.findall(data)]) for _, data in samples
    ]
    texts = list(numbers)
    return _kept(samples, rows, {number: texts[number] for number in _common_ones(samples, rows)})


def _doubled(samples: Sequence[Sample], level: _Level, width: int) -> _Level:
    """Runs of twice the pieces."""
    numbers: dict[tuple[int, int], int] = {}
    rows = [
        array("i", [
            NONE if first == NONE or second == NONE else numbers.setdefault((first, second), len(numbers))
            for first, second in zip(row, row[width:], strict=False)
        ])
        for row in level.rows
    ]  # fmt: skip
    found = _common_ones(samples, rows)
    texts = {
        number: level.texts[first] + level.texts[second]
        for (first, second), number in numbers.items() if number in found
    }  # fmt: skip
    return _kept(samples, rows, texts)


def _kept(samples: Sequence[Sample], rows: Sequence[Sequence[int]], texts: dict[int, bytes]) -> _Level:
    return _Level([array("i", (number if number in texts else NONE for number in row)) for row in rows], texts)


def _common_ones(samples: Sequence[Sample], rows: Iterable[Iterable[int]]) -> set[int]:
    people: dict[int, set[str]] = {}
    for (person, _), row in zip(samples, rows, strict=True):
        if not person:
            continue
        for number in set(row):
            if number != NONE:
                people.setdefault(number, set()).add(person)
    return {number for number, found in people.items() if len(found) >= PEOPLE}


def _cover(rows: Sequence[Sequence[int]], levels: Sequence[_Level]) -> Iterator[bytes]:
    """The longest common run at each place, then on behind it."""
    place, end = 0, len(rows[0])
    while place < end:
        for power in range(len(rows) - 1, -1, -1):
            row = rows[power]
            if place < len(row) and row[place] != NONE:
                yield levels[power].texts[row[place]]
                place += 1 << power
                break
        else:
            place += 1


def joined(taken: Counter[bytes], *, most: int) -> bytes:
    """The most useful runs in at most so many bytes, the best last, where a dictionary reaches cheapest."""
    order = sorted(taken, key=lambda run: (taken[run] * (len(run) - 3) / len(run), run), reverse=True)
    text = b""
    for run in order:
        if taken[run] > 1 and len(run) >= SHORTEST_USEFUL and len(run) + len(text) <= most and run not in text:
            text = run + text
    return text
