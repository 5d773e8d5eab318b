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

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from seqlm.arguments import check_choice
from seqlm.errors import DataError
from seqlm.evaluation.bias.bias_settings import DirectionMethod
from seqlm.evaluation.bias.find_words import (
    FoundPairs,
    LabeledWords,
    find_pairs,
    find_words,
    some_of,
    unit_rows,
    vectors_part,
)
from seqlm.evaluation.vectors.nearest_words import check_vocabulary
from seqlm.runs.loading.load_vectors import ROWS_AT_ONCE, LoadedVectors

TINY = 1e-12
"""What is shorter is rounding of vectors of length 1."""
FARTHEST = 500
"""How many words of each side Gonen & Goldberg (2019) take."""
SIDES = ("positive", "negative")


class Projection(NamedTuple):
    word: str
    projection: float
    """w · g, from -1 to 1: the cosine of the word and the direction."""


class BiasDirection(NamedTuple):
    g: np.ndarray
    """(D,) float64, of length 1."""
    share: float
    """The part of the differences within pairs that lies along g, from 0 to 1: the largest of the
    eigenvalues of C divided by their sum, with `pca`."""
    words: FoundPairs
    """The pairs that it is of, and the words that are missing."""
    method: DirectionMethod

    @property
    def made_of(self) -> str:
        """'direction:pca.10.0f3d1a2b4c5d', the part of a signature: the method, the number of pairs
        and a digest of them."""
        pairs = json.dumps(self.words.pairs).encode()
        digest = hashlib.sha256(pairs).hexdigest()[:12]
        return f"direction:{self.method}.{len(self.words.pairs)}.{digest}"

    def signature(self, measure: str, table: LoadedVectors) -> str:
        """That of a figure called `measure`: 'measure:projection|direction:pca.10.…|…'."""
        return f"measure:{measure}|{self.made_of}|{vectors_part(table)}"


def find_direction(
    table: LoadedVectors, pairs: Sequence[tuple[str, str]], method: DirectionMethod = "pca"
) -> BiasDirection:
    """The direction of `pairs`; those without one of their words are left out.

    Errors: UsageError on the method; DataError where no pair is left, or the pairs have no
    direction in common.
    """
    check_choice("method", method, DirectionMethod)
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
    return BiasDirection(g, share, found, method)


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


def direction_of_labels(table: LoadedVectors, labeled: LabeledWords) -> np.ndarray | None:
    """g (D,), the difference of the means of the words of two labels, each of length 1; None where
    there are more labels, or the means are equal."""
    if len(labeled.names) > 2:
        return None
    x = unit_rows(table.vectors[labeled.rows])
    difference = x[labeled.labels == 0].mean(0) - x[labeled.labels == 1].mean(0)
    length = np.linalg.norm(difference)
    return difference / length if length > TINY else None


def project(table: LoadedVectors, g: np.ndarray, vocabulary: int | None = None) -> np.ndarray:
    """(N,) float64, the projections w · g of the first `vocabulary` words, or of all, each w of
    length 1; 0 for the vector 0. Errors: UsageError on a vocabulary of less than 1."""
    projections = np.empty(check_vocabulary(table, vocabulary))
    for start in range(0, len(projections), ROWS_AT_ONCE):
        part = slice(start, min(start + ROWS_AT_ONCE, len(projections)))
        projections[part] = unit_rows(table.vectors[part]) @ g
    return projections


def farthest_words(
    table: LoadedVectors, direction: BiasDirection, most: int, vocabulary: int | None = None
) -> list[Projection]:
    """The `most` words of the first `vocabulary` words that lie farthest to each side, from the
    positive to the negative one, without those of the direction. Errors: those of `project`."""
    lies_at = project(table, direction.g, vocabulary)
    positive, negative = most_biased(lies_at, most, direction.words.all_rows)
    rows = [*positive.tolist(), *negative.tolist()[::-1]]
    return [Projection(table.words[row], float(lies_at[row])) for row in rows]


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


def biased_words(
    table: LoadedVectors,
    direction: BiasDirection,
    most: int | None = None,
    vocabulary: int | None = None,
    keep: Iterable[str] = (),
) -> LabeledWords:
    """The `most` words of the first `vocabulary` words that lie farthest to each side, with the
    labels `positive` and `negative`. The words of the direction and those of `keep`, which are
    biased by their meaning, are left out. By default `most` is FARTHEST, or a tenth of the words.

    Errors: UsageError on a vocabulary of less than 1; DataError where there are none on a side.
    """
    lies_at = project(table, direction.g, vocabulary)
    if most is None:
        most = min(FARTHEST, len(lies_at) // 10)
    without = {*direction.words.all_rows, *find_words(table, keep).rows}
    positive, negative = most_biased(lies_at, most, without)
    if not len(positive) or not len(negative):
        raise DataError(f"{table.path} has no words on one side of the direction")
    labels = np.repeat([0, 1], [len(positive), len(negative)])
    return LabeledWords(np.concatenate([positive, negative]), labels, [*SIDES], [])
