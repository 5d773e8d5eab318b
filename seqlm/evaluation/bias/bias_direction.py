"""The direction of a bias, and how far words lie along it: Bolukbasi, Chang, Zou, Saligrama & Kalai
2016, "Man is to computer programmer as woman is to homemaker? Debiasing word embeddings".

    (w_i, u_i)   pairs of words that differ in the bias, as she and he
    μ_i          (w_i + u_i) / 2
    C            sum_i [(w_i - μ_i)^T (w_i - μ_i) + (u_i - μ_i)^T (u_i - μ_i)] / 2
    g            of length 1, with g · sum_i (w_i - u_i) >= 0: first words lie on the positive side

    pca          g is the first eigenvector of C, what the pairs have most in common
    difference   g is along sum_i (w_i - u_i), the difference of the means of both sides
    w · g        the projection of a word

For one pair both are w_1 - u_1. All vectors have length 1 before anything else.

    n pairs · D numbers of a vector
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.errors import DataError
from seqlm.evaluation.bias.bias_settings import DirectionMethod
from seqlm.evaluation.bias.find_words import FoundPairs, find_pairs, some_of, unit_rows
from seqlm.evaluation.vectors.nearest_words import check_vocabulary
from seqlm.runs.loading.load_vectors import ROWS_AT_ONCE, LoadedVectors


class BiasDirection(NamedTuple):
    g: np.ndarray
    """(D,) float64, of length 1."""
    share: float
    """The part of the differences within pairs that lies along g, from 0 to 1: the largest of the
    eigenvalues of C divided by their sum, with `pca`."""
    words: FoundPairs
    """The pairs that it is of, and the words that are missing."""


def find_direction(
    table: LoadedVectors, pairs: Sequence[tuple[str, str]], method: DirectionMethod = "pca"
) -> BiasDirection:
    """The direction of `pairs`; those without one of their words are left out.

    Errors: DataError where no pair is left, or the pairs have no direction in common.
    """
    found = find_pairs(table, pairs)
    if not found.pairs:
        raise DataError(
            f"{table.path} has both words of none of the {len(pairs):,} pairs; missing are"
            f" {some_of(found.missing)}"
        )
    rows = np.array(found.rows)  # (n, 2)
    first, second = (unit_rows(table.vectors[side]) for side in rows.T)
    g, share = direction_of(first, second, method)
    if not g.any():
        raise DataError(f"the pairs have no direction in common in {table.path}")
    return BiasDirection(g, share, found)


def direction_of(
    first: np.ndarray, second: np.ndarray, method: DirectionMethod
) -> tuple[np.ndarray, float]:
    """g (D,) and its share, of pairs (n, D) of vectors of length 1; 0 where there is none."""
    half = (first - second) / 2  # w_i - μ_i, and u_i - μ_i is its negative
    total = float((half**2).sum())  # the trace of C
    if method == "pca":
        # The eigenvectors of C = half^T half are the right singular vectors of half.
        g = np.linalg.svd(half, full_matrices=False)[2][0]
        g = g if g @ half.sum(0) >= 0 else -g
    else:
        g = half.sum(0)
    length = np.linalg.norm(g)
    if total < TINY or length < TINY:
        return np.zeros_like(g), 0.0
    g = g / length
    return g, float(((half @ g) ** 2).sum()) / total


TINY = 1e-12
"""What is shorter is rounding of vectors of length 1."""


def project(table: LoadedVectors, g: np.ndarray, vocabulary: int | None = None) -> np.ndarray:
    """(N,) float64, the projections w · g of the first `vocabulary` words, or of all, each w of
    length 1; 0 for the vector 0. Errors: UsageError on a vocabulary of less than 1."""
    projections = np.empty(check_vocabulary(table, vocabulary))
    for start in range(0, len(projections), ROWS_AT_ONCE):
        part = slice(start, min(start + ROWS_AT_ONCE, len(projections)))
        projections[part] = unit_rows(table.vectors[part]) @ g
    return projections


def most_biased(
    projections: np.ndarray, most: int, without: Collection[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the `most` words that lie farthest on the positive side, and on the negative one,
    the farthest first; `without` are rows of words that are left out, and 0 is on no side."""
    order = np.argsort(-projections, kind="stable")
    order = order[~np.isin(order, list(without))]
    positive = order[projections[order] > 0][:most]
    negative = order[projections[order] < 0][::-1][:most]
    return positive, negative
