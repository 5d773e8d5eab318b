"""Integers that never fall, coded, against themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.ngram.compact import elias_fano
from seqlm.models.ngram.compact.elias_fano import count_ones, decode, encode, sizes, values_at

STEPS = st.lists(st.sampled_from([0, 0, 1, 2, 7, 8, 9, 1000, 100_000]), min_size=1, max_size=300)


@given(STEPS)
def test_integers_come_back_all_or_some(steps: list[int]) -> None:
    values = np.cumsum(steps)
    coded = encode(values)
    assert (len(coded.low), len(coded.high), len(coded.samples)) == sizes(
        len(values), int(values[-1])
    )
    assert np.array_equal(decode(coded), values)
    for start in range(0, len(values), elias_fano.SAMPLE):
        for stop in (start + 1, min(start + 33, len(values)), len(values)):
            assert np.array_equal(decode(coded, start, stop), values[start:stop])
    index = np.random.default_rng(0).permutation(len(values))
    assert np.array_equal(values_at(coded, index), values[index])


def test_great_leaps_and_long_rests() -> None:
    values = np.cumsum(np.repeat([0, 10**6, 0, 3, 10**5], 500))
    coded = encode(values)
    assert np.array_equal(decode(coded), values)
    assert np.array_equal(values_at(coded, np.arange(len(values))), values)


def test_most_integers_take_few_bits() -> None:
    values = np.arange(100_000) * 3 // 2
    coded = encode(values)
    assert sum(part.nbytes for part in coded[:3]) * 8 / len(values) < 5.5


def test_too_few_integers_are_an_error() -> None:
    coded = encode(np.arange(100))
    high = coded.high.copy()
    high[0] = 0
    with pytest.raises(ValueError, match="there are 43 integers, not 100"):
        decode(coded._replace(high=high))


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_ones_are_counted(words: list[int]) -> None:
    assert count_ones(np.array(words, np.uint64)).tolist() == [w.bit_count() for w in words]
    assert elias_fano.count_ones(np.array([], np.uint64)).tolist() == []
