"""Numbers as codes of 8 bits, each of which stands for the numbers around it.

The range of the numbers is cut into parts, and a code stands for the mean of those in its part. An
n-gram that is common in the text is one of few with so high a probability: parts of equal counts,
as those of KenLM (`-q`), would be widest there. So the borders follow the root of the density f of
the numbers, which errs least on text, and a share of them is even, which bounds every error:

    parts per unit of x   ∝   (1 - EVEN) √f(x) / ∫√f  +  EVEN / range

Log 0 and 0, for contexts that back off to all of it, have codes of their own where they occur.

    N numbers · C codes
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BITS = 8
CODES = 1 << BITS
EVEN = 0.25
EXACT = (-np.inf, 0.0)
"""Numbers that have a code of their own where they occur."""
CELLS, DENSITY_CELLS = 1 << 16, 1 << 10
"""How finely borders are drawn, and the density is looked at."""


class Coded(NamedTuple):
    """Numbers as codes."""

    codes: np.ndarray  # (N,) uint8
    book: np.ndarray  # (C,) float32, what each code stands for


def encode_numbers(numbers: np.ndarray) -> Coded:
    """`numbers` (N,) float32 that are finite or -inf.

    >>> coded = encode_numbers(np.array([-1.5, -np.inf, -1.5, 0, -7], np.float32))
    >>> coded.book[coded.codes].tolist()
    [-1.5, -inf, -1.5, 0.0, -7.0]
    """
    codes, book = np.zeros(len(numbers), np.uint8), np.zeros(CODES, np.float32)
    others, used = np.ones(len(numbers), bool), 0
    for number in EXACT:
        equal = numbers == number
        if equal.any():
            codes[equal], book[used] = used, number
            others &= ~equal
            used += 1
    rest = numbers[others].astype(np.float64)
    parts = parts_of(rest, CODES - used)
    counts = np.bincount(parts, minlength=CODES - used)
    means = np.bincount(parts, rest, minlength=CODES - used) / np.maximum(counts, 1)
    codes[others], book[used:] = used + parts, means
    return Coded(codes, book)


def parts_of(numbers: np.ndarray, count: int) -> np.ndarray:
    """(N,) int64, the part in which each of finite `numbers` (N,) is, of so many."""
    if len(numbers) == 0:
        return np.zeros(0, np.int64)
    least, most = float(numbers.min()), float(numbers.max())
    scale = (CELLS - 1) / max(most - least, 1e-9)
    cells = ((numbers - least) * scale).astype(np.int64)
    in_cell = np.bincount(cells, minlength=CELLS).reshape(DENSITY_CELLS, -1).sum(1)
    root = np.sqrt(in_cell).repeat(CELLS // DENSITY_CELLS)
    share = (1 - EVEN) * root / root.sum() + EVEN / CELLS  # of the parts, in each cell
    part_of_cell = np.minimum(share.cumsum() * count, count - 1).astype(np.int64)
    parts: np.ndarray = part_of_cell[cells]
    return parts
