"""Packed integers against the bits of one long integer of Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.ngram.compact.bit_packing import (
    bits_at,
    pack_bits,
    unpack_bits,
    words_needed,
    words_of,
)


@given(st.integers(1, 63), st.integers(0, 200), st.integers(0, 2**32))
def test_integers_of_any_width_come_back(width: int, count: int, seed: int) -> None:
    noise = np.random.default_rng(seed)
    values = noise.integers(0, 2**width, count)
    words = pack_bits(values, width)
    assert len(words) == words_needed(count, width)
    whole = sum(value << (i * width) for i, value in enumerate(values.tolist()))
    assert [*map(int, words)] == [(whole >> (64 * i)) & (2**64 - 1) for i in range(len(words))]
    assert np.array_equal(unpack_bits(words, width, 0, count), values)
    start, stop = np.sort(noise.integers(0, count + 1, 2)).tolist()
    assert np.array_equal(unpack_bits(words, width, start, stop), values[start:stop])
    held = words_of(start, stop, width)  # what is not there does not matter
    blank = np.zeros_like(words)
    blank[held] = words[held]
    assert np.array_equal(unpack_bits(blank, width, start, stop), values[start:stop])
    index = noise.integers(0, max(count, 1), 50)[: 50 * (count > 0)]
    assert np.array_equal(bits_at(words, width, index), values[index])
