"""The words whose vectors have the smallest angles with a vector.

    cos(q, w) = q · v_w / |q| |v_w|          0 where v_w is 0, which has no direction

Equal similarities stand in the order of the table. What is computed of the table is one number a
word: there is no normalized copy of it.

    N words · D numbers of a vector · k neighbors
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from seqlm.arguments import check_number
from seqlm.errors import UsageError, shown
from seqlm.runs.loading.load_vectors import LoadedVectors

SMALLEST = np.finfo(np.float32).tiny
"""What a norm of 0 is taken for, so that 0 / 0 is 0."""


class Neighbor(NamedTuple):
    word: str
    similarity: float
    """The cosine of the angle between the two vectors, from -1 to 1."""


def nearest_words(
    table: LoadedVectors,
    query: np.ndarray,
    k: int = 10,
    exclude: Collection[str] = (),
    vocabulary: int | None = None,
) -> list[Neighbor]:
    """The `k` words nearest to `query` (D,), nearest first, without those of `exclude`.

    Only the first `vocabulary` words of the table are searched; fewer words than `k` are all.
    Errors: UsageError where `k` is less than 1, or `query` has no direction.
    """
    similarity = cosines(table, query, vocabulary)
    return [
        Neighbor(table.words[row], float(similarity[row]))
        for row in highest_rows(similarity, k, rows_of(table, exclude))
    ]


def cosines(table: LoadedVectors, query: np.ndarray, vocabulary: int | None = None) -> np.ndarray:
    """(N,) float32, the cosines of `query` (D,) with the first words of the table. Errors:
    UsageError where it has no direction."""
    last = check_vocabulary(table, vocabulary)
    similarity: np.ndarray = table.vectors[:last] @ unit(query, table.width)  # (N,)
    similarity /= np.maximum(table.norms[:last], SMALLEST)
    return np.clip(similarity, -1, 1, out=similarity)


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    """The cosine of the angle between two vectors (D,); 0 where one of them is 0."""
    lengths = np.linalg.norm(first.astype(np.float64)) * np.linalg.norm(second.astype(np.float64))
    product = first.astype(np.float64) @ second.astype(np.float64)
    return float(np.clip(product / lengths, -1, 1)) if lengths > 0 else 0.0


def direction(table: LoadedVectors, word: str) -> np.ndarray:
    """(D,) float32, the vector of `word` with length 1. Errors: UsageError where it has no vector,
    or one of zeros."""
    vector = table.vector(word)
    if not vector.any():
        raise UsageError(f"the vector of {shown(word)} is all zeros: it has no direction")
    return unit(vector, table.width)


def as_vector(numbers: Any) -> np.ndarray:
    """(D,) float64, a vector that a user gives. Errors: UsageError where it has no numbers."""
    try:
        vector = np.asarray(numbers, np.float64)
    except (TypeError, ValueError, OverflowError):
        vector = np.empty(())
    if vector.ndim == 0:
        raise UsageError(f"{shown(numbers)} is neither a word nor a vector")
    return vector


def unit(query: np.ndarray, width: int) -> np.ndarray:
    """(D,) float32, `query` with length 1.

    Errors: UsageError where it has another number of numbers than `width`, one of them is not
    finite, or all are 0.
    """
    if query.shape != (width,):
        shape = " × ".join(map(str, query.shape))
        raise UsageError(f"a vector of {shape} numbers, where the vectors have {width}")
    wide = query.astype(np.float64)
    if not np.isfinite(wide).all():
        raise UsageError("the vector to compare has a number that is not finite")
    largest = np.abs(wide).max()
    if largest == 0:
        raise UsageError("the vector to compare is all zeros: it has no direction")
    wide /= largest  # whose square might be too small, or too large, for a number
    scaled: np.ndarray = (wide / np.linalg.norm(wide)).astype(np.float32)
    return scaled


def highest_rows(scores: np.ndarray, k: int, exclude: Collection[int] = ()) -> list[int]:
    """The `k` rows with the highest `scores` (N,), highest first, and of equal ones the first rows
    first; without those of `exclude`. Errors: UsageError where `k` is less than 1."""
    k = check_number("k", k, low=1)
    wanted = min(k + len(exclude), len(scores))
    lowest = np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
    rows = np.flatnonzero(scores >= lowest)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    return [row for row in rows.tolist() if row not in exclude][:k]


def rows_of(table: LoadedVectors, words: Collection[str]) -> set[int]:
    """The rows of those of `words` that are in the table."""
    return {row for word in words if (row := table.row(word)) is not None}


def check_vocabulary(table: LoadedVectors, vocabulary: int | None) -> int:
    """How many of the first words of the table are meant. Errors: UsageError on less than 1."""
    most = check_number("vocabulary", vocabulary, low=1, optional=True)
    return len(table) if most is None else min(most, len(table))
