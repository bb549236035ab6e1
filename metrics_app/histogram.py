"""Histograms of lengths in ms as bytes whose concatenation is their sum, so that Postgres merges them by itself.

A histogram is int32 little-endian words, in any order: `count << 12 | bucket`. The count is signed, so an amendment
takes away by adding; a bucket may repeat; no bytes at all is the empty one. Bucket 0 is the value 0, bucket i holds
(1.02^(i-2), 1.02^(i-1)] and is read as a value less than 1 % from every other in it.

Nothing here but reading quantiles needs numpy, and numpy is loaded when the first quantile is asked for.
"""

from __future__ import annotations

import importlib
import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BASE = 1.02
LAST_BUCKET = 4095
LARGEST_COUNT = 2**19 - 1
"""Of one word; a larger count takes several."""
_LN_BASE = math.log(BASE)


def bucket(value: int) -> int:
    """The bucket of a length in ms; a negative one counts as 0."""
    if value <= 0:
        return 0
    return min(math.ceil(math.log(value) / _LN_BASE) + 1, LAST_BUCKET)


def value_of(index: int) -> float:
    """What a bucket is read as, in ms."""
    return 2 * BASE ** (index - 1) / (1 + BASE) if index else 0.0


def encode(values: Iterable[int]) -> bytes:
    return pack(Counter(map(bucket, values)))


def pack(by_bucket: Mapping[int, int]) -> bytes:
    """Signed counts by bucket; those of zero are left out."""
    words: list[int] = []
    for index in sorted(by_bucket):
        count = by_bucket[index]
        while abs(count) > LARGEST_COUNT:
            part = LARGEST_COUNT if count > 0 else -LARGEST_COUNT
            words.append(part << 12 | index)
            count -= part
        if count:
            words.append(count << 12 | index)
    return struct.pack(f"<{len(words)}i", *words)


def unpack(blob: bytes) -> Counter[int]:
    """Signed counts by bucket, zeros among them where words cancel out."""
    found: Counter[int] = Counter()
    for word in struct.unpack(f"<{len(blob) // 4}i", blob):
        found[word & 4095] += word >> 12
    return found


def shorten(blob: bytes) -> bytes:
    """The same histogram, each bucket once."""
    return pack(unpack(blob))


# --- quantiles --------------------------------------------------------------------------------------------------------


@cache
def _numpy() -> Any:
    return importlib.import_module("numpy")


def counts(blob: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(buckets ascending, their signed counts), without zeros."""
    numpy = _numpy()
    words = numpy.frombuffer(blob, dtype="<i4").astype(numpy.int64)
    dense = numpy.bincount(words & 4095, weights=words >> 12).astype(numpy.int64)
    found = numpy.flatnonzero(dense)
    return found, dense[found]


def quantiles(blob: bytes, qs: Sequence[float]) -> list[float | None]:
    """The nearest-rank quantiles in ms; None of an empty histogram."""
    return [None if math.isnan(value) else float(value) for value in grouped_quantiles([blob], qs)[0]]


def grouped_quantiles(groups: Sequence[bytes], qs: Sequence[float], *, has_total: bool = False) -> NDArray[np.float64]:
    """One row per group, one column per quantile, in ms; NaN where a group is empty. `has_total`: before them one row
    of all groups together."""
    numpy = _numpy()
    if not groups and not has_total:
        return numpy.empty((0, len(qs)))  # type: ignore[no-any-return]
    dense, lowest = _dense(groups)
    if has_total:
        dense = numpy.vstack([dense.sum(axis=0, keepdims=True), dense])
    cumulated = dense.cumsum(axis=1)
    totals = cumulated[:, -1]
    found = numpy.full((len(dense), len(qs)), math.nan)
    for column, q in enumerate(qs):
        ranks = numpy.maximum(numpy.ceil(totals * q - 1e-9), 1)  # 1e-9: 0.07 * 100 is a little more than 7
        places = (cumulated < ranks[:, None]).sum(axis=1) + lowest
        values = numpy.where(places > 0, 2 * BASE ** (places - 1.0) / (1 + BASE), 0.0)
        found[:, column] = numpy.where(totals > 0, values, math.nan)
    return found  # type: ignore[no-any-return]


def _dense(groups: Sequence[bytes]) -> tuple[Any, int]:
    """Counts as a table of group by bucket, and the bucket its first column is."""
    numpy = _numpy()
    words = numpy.frombuffer(b"".join(groups), dtype="<i4")
    if not len(words):
        return numpy.zeros((len(groups), 1)), 0
    places = words & 4095
    lowest = int(places.min())
    width = int(places.max()) - lowest + 1
    firsts = numpy.arange(len(groups), dtype=numpy.int32) * width - lowest
    places += numpy.repeat(firsts, [len(group) // 4 for group in groups])
    dense = numpy.bincount(places, weights=words >> 12, minlength=len(groups) * width)
    return dense.reshape(len(groups), width), lowest
