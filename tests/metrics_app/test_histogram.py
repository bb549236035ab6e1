"""Laws of the histograms."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics_app import histogram

SIGNED = st.dictionaries(st.integers(0, 900), st.integers(-(2**22), 2**22), max_size=30)
CALM = settings(deadline=None)
"""The first quantile loads numpy."""
LENGTHS = st.lists(st.integers(0, 4_000_000), min_size=1, max_size=60)


def nothing_left_out(counts: Counter[int]) -> dict[int, int]:
    return {bucket: count for bucket, count in counts.items() if count}


@given(SIGNED, SIGNED)
def test_bytes_put_one_after_the_other_are_the_sum(a, b):
    both = Counter(a)
    both.update(b)
    assert nothing_left_out(histogram.unpack(histogram.pack(a) + histogram.pack(b))) == nothing_left_out(both)


@given(SIGNED)
def test_shortening_changes_nothing_and_a_count_may_be_larger_than_a_word_holds(a):
    blob = histogram.pack(a)
    assert nothing_left_out(histogram.unpack(histogram.shorten(blob + blob))) == {
        bucket: 2 * count for bucket, count in a.items() if count
    }


@given(SIGNED)
def test_what_is_taken_away_again_leaves_no_bytes(a):
    away = histogram.pack({bucket: -count for bucket, count in a.items()})
    assert histogram.shorten(histogram.pack(a) + away) == b""


@CALM
@given(SIGNED)
def test_the_reading_with_numpy_says_the_same(a):
    buckets, counts = histogram.counts(histogram.pack(a))
    assert dict(zip(buckets.tolist(), counts.tolist(), strict=True)) == nothing_left_out(Counter(a))


@CALM
@given(LENGTHS, st.sampled_from([0.5, 0.75, 0.9, 0.95, 0.99]))
def test_a_quantile_is_within_a_percent_of_the_nearest_rank(values, q):
    exact = sorted(values)[max(math.ceil(q * len(values) - 1e-9), 1) - 1]
    [found] = histogram.quantiles(histogram.encode(values), [q])
    assert found is not None
    assert abs(found - exact) <= 0.01 * exact


def test_every_length_up_to_an_hour_is_read_within_a_percent():
    wrong = [ms for ms in range(3_600_001) if abs(histogram.value_of(histogram.bucket(ms)) - ms) > 0.01 * ms]
    assert wrong == []


@CALM
@given(st.lists(st.lists(st.integers(0, 100_000), max_size=20), max_size=6))
def test_many_groups_at_once_are_each_as_if_alone(groups):
    blobs = [histogram.encode(values) for values in groups]
    table = histogram.grouped_quantiles(blobs, [0.5, 0.99])
    alone = [histogram.quantiles(blob, [0.5, 0.99]) for blob in blobs]
    assert [[None if math.isnan(cell) else cell for cell in line] for line in table.tolist()] == alone


@pytest.mark.parametrize(("values", "expected"), [([], None), ([0], 0.0), ([0, 0, 0], 0.0)])
def test_no_value_has_no_quantile_and_zero_is_zero(values, expected):
    assert histogram.quantiles(histogram.encode(values), [0.5]) == [expected]


def test_a_length_beyond_every_bucket_counts_in_the_last():
    assert histogram.bucket(2**200) == histogram.LAST_BUCKET
