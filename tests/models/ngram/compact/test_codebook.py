"""Codes against the numbers that they stand for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seqlm.models.ngram.compact.codebook import CODES, EVEN, encode_numbers

NUMBERS = arrays(
    np.float32,
    st.integers(0, 300),
    elements=st.one_of(
        st.just(-np.inf), st.just(0.0), st.floats(-100, 3, width=32).map(lambda x: x or 0.0)
    ),
)


@given(NUMBERS)
def test_a_code_stands_for_the_mean_of_its_numbers_and_none_is_far(numbers: np.ndarray) -> None:
    codes, book = encode_numbers(numbers)
    assert (codes.dtype, book.dtype, len(book)) == (np.uint8, np.float32, CODES)
    decoded = book[codes]
    for exact in (-np.inf, 0.0):
        assert np.array_equal(decoded == exact, numbers == exact)
    others = np.isfinite(numbers) & (numbers != 0)
    if not others.any():
        return
    for code in np.unique(codes[others]):
        mean = numbers[codes == code].mean(dtype=np.float64)
        np.testing.assert_allclose(book[code], mean, atol=1e-5, rtol=1e-5)
    spread = float(np.ptp(numbers[others].astype(np.float64)))
    # A part is as wide as its share that is even says, and a cell or two more.
    widest = spread / (EVEN * (CODES - 2)) + 3 * spread / 2**16 + 1e-4
    assert np.abs(decoded[others].astype(np.float64) - numbers[others]).max() <= widest


def test_few_numbers_apart_are_exact() -> None:
    numbers = np.array([-0.5, -1.25, -7, -0.5, 0, -np.inf, -3], np.float32)
    codes, book = encode_numbers(numbers)
    assert np.array_equal(book[codes], numbers)


def test_many_numbers_are_nearly_exact() -> None:
    numbers = -np.random.default_rng(0).gamma(6, 1, 100_000).astype(np.float32)
    codes, book = encode_numbers(numbers)
    errors = np.abs(book[codes] - numbers)
    assert errors.mean() < 0.015
    assert abs((book[codes] - numbers).mean(dtype=np.float64)) < 1e-5
