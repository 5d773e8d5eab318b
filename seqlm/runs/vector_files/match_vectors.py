"""A vocabulary and a file of word vectors -> a matrix to start an embedding from.

A word is looked up as it is, then in lower case; where the file is a fastText model, other words
are composed of their character n-grams. What is not found is drawn from N(0, s), s being the
standard deviation of the numbers that were found.

    V words · D numbers of a vector
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlm.errors import ModelError
from seqlm.runs.vector_files.read_vectors import read_vectors
from seqlm.runs.vector_files.word_vectors import WordVectors


class MatchedVectors(NamedTuple):
    """A row for each word, and how many words were found in which way."""

    matrix: np.ndarray  # (V, D) float32
    found: np.ndarray  # (V,) bool
    num_as_is: int
    num_lowercased: int
    num_composed: int


def match_vectors(words: Sequence[str], path: str | Path, seed: int = 1) -> MatchedVectors:
    """The vectors of `words`, as far as the file has them; the others are drawn with `seed`.

    Errors: those of `read_vectors`; ModelError where the file has none of the words.
    """
    file = read_vectors(path, {form for word in words for form in (word, word.lower())})
    row_of = {word: row for row, word in enumerate(file.words)}
    as_is = np.array([row_of.get(word, -1) for word in words], np.int64)  # (V,)
    lowercased = np.array([row_of.get(word.lower(), -1) for word in words], np.int64)
    ways = [is_listed(as_is, file), is_listed(lowercased, file), as_is >= 0]
    rows = np.select(ways, [as_is, lowercased, as_is], -1)
    found = rows >= 0
    if not found.any():
        raise ModelError(f"{path} has none of the {len(words):,} words: is it of another language?")
    matrix = np.empty((len(words), file.vectors.shape[1]), np.float32)
    matrix[found] = file.vectors[rows[found]]
    deviation = matrix[found].std(dtype=np.float64)
    rng = np.random.default_rng(seed)
    matrix[~found] = rng.normal(0, deviation, matrix[~found].shape)
    counts = np.bincount(np.select(ways, [0, 1, 2], 3), minlength=3).tolist()
    return MatchedVectors(matrix, found, *counts[:3])


def is_listed(rows: np.ndarray, file: WordVectors) -> np.ndarray:
    """(V,) bool, True for rows of words that are in the file and not composed; -1 is no row."""
    return (rows >= 0) & (rows < file.num_listed)
