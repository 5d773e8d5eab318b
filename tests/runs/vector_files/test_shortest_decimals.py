"""Decimals of float32, beside those that numpy spells one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seqlm.runs.vector_files.shortest_decimals import spell_rows

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def spell_slowly(rows: np.ndarray) -> list[bytes]:
    return ["".join(f" {number!s}" for number in row).encode() for row in rows]


def neighbors(numbers: np.ndarray) -> np.ndarray:
    """Each number, and the two of float32 beside it."""
    numbers = numbers.astype(np.float32)
    above, below = np.float32(np.inf), np.float32(-np.inf)
    return np.concatenate(
        [numbers, np.nextafter(numbers, above), np.nextafter(numbers, below)]
    ).astype(np.float32)


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=FLOATS))
def test_any_numbers_are_spelled_as_by_numpy(rows: np.ndarray) -> None:
    assert spell_rows(rows) == spell_slowly(rows)


@pytest.mark.parametrize(
    "numbers",
    [
        neighbors(2.0 ** np.arange(-125, 127)),
        neighbors(10.0 ** np.arange(-37, 38)),
        np.exp(np.random.default_rng(1).uniform(np.log(1e-5), np.log(1e4), 20_000)),
        np.random.default_rng(2).normal(0, 0.3, 20_000),
        np.random.default_rng(3).normal(0, 0.3, 5_000).round(5),
        np.arange(-1100, 1100) / 8,
    ],
    ids=["powers of two", "powers of ten", "all sizes", "vectors", "five decimals", "eighths"],
)
def test_many_numbers_are_spelled_as_by_numpy(numbers: np.ndarray) -> None:
    rows = numbers.astype(np.float32)[None]
    rows = np.concatenate([rows, -rows])
    assert spell_rows(rows) == spell_slowly(rows)


@given(st.lists(FLOATS, min_size=1, max_size=20))
def test_what_is_spelled_reads_back(numbers: list[float]) -> None:
    row = np.array(numbers, np.float32)
    (text,) = spell_rows(row[None])
    back = np.array([float(field) for field in text.split()]).astype(np.float32)
    np.testing.assert_array_equal(back.view(np.uint32), row.view(np.uint32))


def test_no_rows() -> None:
    assert spell_rows(np.empty((0, 3), np.float32)) == []
    assert spell_rows(np.empty((2, 0), np.float32)) == [b"", b""]
