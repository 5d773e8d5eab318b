"""Word vectors for tests, and what they are compared with: plain loops by the printed formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqlm.runs.loading.load_vectors import LoadedVectors

KINGS = {
    "king": [1, 0.5, 0],
    "queen": [1, 0.4, 0.3],
    "man": [0.2, 1, 0],
    "woman": [0.2, 0.9, 0.3],
    "zero": [0, 0, 0],
    "Cat": [0.1, 0.1, 0.9],
}


def table_of(words: Sequence[str], vectors: Any, **more: Any) -> LoadedVectors:
    rows = np.asarray(vectors, np.float32)
    return LoadedVectors(
        words=list(words), vectors=rows, path=Path("toy"), weights_digest="0" * 12, **more
    )


def kings() -> LoadedVectors:
    return table_of([*KINGS], [*KINGS.values()])


def random_table(size: int, width: int, seed: int, has_zeros: bool = True) -> LoadedVectors:
    """Words w0, w1, … of which some have the same direction, and one has a vector of zeros."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(size, width)) * rng.uniform(0.1, 10, (size, 1))
    for copy in rng.integers(0, size, size // 4):
        vectors[copy] = 2 * vectors[copy // 2]  # so that their cosines are equal
    if has_zeros:
        vectors[size // 3] = 0
    return table_of([f"w{row}" for row in range(size)], vectors)


def slow_cosine(first: Sequence[float], second: Sequence[float]) -> float:
    product = sum(x * y for x, y in zip(first, second))
    lengths = math.sqrt(sum(x * x for x in first)) * math.sqrt(sum(y * y for y in second))
    return product / lengths if lengths else 0.0
