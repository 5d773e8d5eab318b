"""Packed integers against the bits of one long integer of Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seqlm.models.ngram.compact.bit_packing import bits_at, pack_bits, unpack_bits, words_needed


@given(st.integers(1, 63), st.integers(0, 200), st.integers(0, 2**32))
def test_integers_of_any_width_come_back(width: int, count: int, seed: int) -> None:
    noise = np.random.default_rng(seed)
    values = noise.integers(0, 2**width, count)
    words = pack_bits(values, width)
    assert len(words) == words_needed(count, width)
    whole = sum(value << (i * width) for i, value in enumerate(values.tolist()))
    assert [*map(int, words)] == [(whole >> (64 * i)) & (2**64 - 1) for i in range(len(words))]
    assert np.array_equal(unpack_bits(words, width, count), values)
    index = noise.integers(0, max(count, 1), 50)[: 50 * (count > 0)]
    assert np.array_equal(bits_at(words, width, index), values[index])
