"""How well the similarities of word vectors agree with what people say of pairs of words.

    x_i     cos of the two words of pair i         y_i     what people say, on any scale

    Pearson     r = Σ (x_i - x̄)(y_i - ȳ) / √(Σ (x_i - x̄)² Σ (y_i - ȳ)²)
    Spearman    r of the ranks; equal numbers share the mean of their ranks

Both are from -1 to 1. They are not defined where all numbers of one kind are equal, and nan then.

    n pairs
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from seqlm.evaluation.vectors.bounded_vocabulary import BoundedVocabulary, in_case
from seqlm.evaluation.vectors.nearest_words import cosine
from seqlm.evaluation.vectors.vector_test_sets import Pair
from seqlm.runs.loading.load_vectors import LoadedVectors


def similarities(
    table: LoadedVectors, pairs: Sequence[Pair], vocabulary: BoundedVocabulary, composes: bool
) -> list[float | None]:
    """The cosine of the vectors of each pair, or None where a word has none.

    The words of `vocabulary` have vectors, and where the model `composes`, others that have
    character n-grams.
    """
    found: list[float | None] = []
    for pair in pairs:
        first, second = (vector_of(table, word, vocabulary, composes) for word in pair[:2])
        found.append(None if first is None or second is None else cosine(first, second))
    return found


def vector_of(
    table: LoadedVectors, word: str, vocabulary: BoundedVocabulary, composes: bool
) -> np.ndarray | None:
    """(D,) the vector of `word`, or None."""
    place = vocabulary.place(word)
    if place is not None:
        return np.asarray(table.vectors[vocabulary.rows[place]])
    if composes and table.compose is not None:
        _, composed = table.compose([in_case(word, vocabulary.case)])
        return composed[0] if len(composed) else None
    return None


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of two rows of numbers (n,), or nan."""
    x, y = (numbers.astype(np.float64) - numbers.mean(dtype=np.float64) for numbers in (x, y))
    scale = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
    return float(np.clip(x @ y / scale, -1, 1)) if scale > 0 else math.nan


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of the ranks of two rows of numbers (n,), or nan."""
    return pearson(average_ranks(x), average_ranks(y))


def average_ranks(numbers: np.ndarray) -> np.ndarray:
    """(n,) the ranks of `numbers`, from 1, of which equal ones share the mean of theirs.

    >>> average_ranks(np.array([0.5, 2, 0.5, 9])).tolist()
    [1.5, 3.0, 1.5, 4.0]
    """
    _, group, sizes = np.unique(numbers, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)  # the highest rank of each group of equal numbers
    ranks: np.ndarray = (last - (sizes - 1) / 2)[group]
    return ranks
