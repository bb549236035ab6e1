"""Ten bars over the common values of a measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """How many values lie in [start, end); the last bin holds its end too."""

    start: float
    end: float
    count: int


def kept_range(values: Sequence[float], part: float, *, is_inner: bool = False) -> list[float]:
    """Values up to the `part` quantile; with `is_inner` those between the quantiles 1 - `part` and `part`, sorted."""
    ordered = sorted(values)
    if not ordered:
        return []
    low, high = sorted((_quantile(ordered, 1 - part) if is_inner else ordered[0], _quantile(ordered, part)))
    return [value for value in ordered if low <= value <= high]


def histogram(values: Sequence[float]) -> list[Bin]:
    """Sorted values in bins of equal width; one bin where all are the same, none where there are none."""
    if not values:
        return []
    low, high = values[0], values[-1]
    if low == high:
        return [Bin(low, high, len(values))]
    width = (high - low) / BINS
    counts = [0] * BINS
    for value in values:
        counts[min(int((value - low) / width), BINS - 1)] += 1
    return [Bin(low + width * place, low + width * (place + 1), count) for place, count in enumerate(counts)]


def _quantile(ordered: Sequence[float], part: float) -> float:
    """The nearest-rank quantile."""
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]
