"""The cluster test: Gonen & Goldberg 2019, "Lipstick on a pig: Debiasing methods cover up
systematic gender biases in word embeddings but do not remove them".

    1. The words that lie farthest to each side of the direction g, in the vectors as they were.
    2. Two clusters of them by k-means, in the vectors after debiasing.
    3. The share of words whose cluster is that of their side, with the better of the two ways to
       name the clusters: 0.5 where the clusters have nothing to do with the bias, 1 where they are
       the bias, although no word has a part along g any more.

k-means (Lloyd 1982) has the centers c_1, c_2, and moves each word to the nearest center and each
center to the mean of its words in turn, which never raises  sum_w min_j |w - c_j|². It starts from
words drawn as k-means++ does (Arthur & Vassilvitskii 2007): the second with a probability in
proportion to its squared distance from the first. The best of several starts counts.

    n words · D numbers of a vector, which has length 1
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from seqlm.errors import DataError
from seqlm.evaluation.bias.find_words import unit_rows
from seqlm.runs.loading.load_vectors import LoadedVectors

STARTS = 10
STEPS = 300
"""The most steps of a start; they end where no word moves."""


def cluster_accuracies(
    tables: Iterable[LoadedVectors], side_of: Mapping[str, int], seed: int = 1
) -> tuple[list[float], int]:
    """The accuracy in each of several tables, and how many words it is of: those of `side_of`, each
    with 0 or 1, that are in all tables. One table at a time is needed.

    Errors: DataError where none are left on one side.
    """
    vectors = [unit_vectors(table, side_of) for table in tables]
    words = [word for word in side_of if all(word in each for each in vectors)]
    sides = np.array([side_of[word] for word in words], np.int64)
    if len(np.unique(sides)) < 2:
        raise DataError("the vectors share no words on one side of the direction")
    accuracies = []
    for each in vectors:
        x = np.stack([each[word] for word in words])  # (n, D)
        accuracies.append(cluster_accuracy(x[sides == 0], x[sides == 1], seed))
    return accuracies, len(words)


def unit_vectors(table: LoadedVectors, words: Iterable[str]) -> dict[str, np.ndarray]:
    """(D,) of each of `words` that is in a table, of length 1."""
    found = [word for word in words if word in table.rows]
    rows = unit_rows(table.vectors[[table.rows[word] for word in found]])
    return dict(zip(found, rows))


def cluster_accuracy(positive: np.ndarray, negative: np.ndarray, seed: int = 1) -> float:
    """The share of words whose cluster is that of their side, of vectors (n, D) and (m, D)."""
    clusters = two_means(np.concatenate([positive, negative]), seed)
    sides = np.arange(len(clusters)) >= len(positive)
    right = int((clusters == sides).sum())
    return max(right, len(clusters) - right) / len(clusters)


def two_means(x: np.ndarray, seed: int = 1) -> np.ndarray:
    """(n,) bool, which of two clusters each of x (n, D) is in. Equal seeds draw equal starts."""
    generator = np.random.default_rng(seed)
    best, lowest = np.zeros(len(x), bool), np.inf
    for _ in range(STARTS):
        clusters, total = lloyd(x, draw_centers(x, generator))
        if total < lowest:
            best, lowest = clusters, total
    return best


def draw_centers(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(2, D) k-means++; two equal ones where all words are equal."""
    first = x[generator.integers(len(x))]
    distances = ((x - first) ** 2).sum(1)
    total = distances.sum()
    p = distances / total if total > 0 else None
    return np.stack([first, x[generator.choice(len(x), p=p)]])


def lloyd(x: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, float]:
    """The clusters (n,) bool that two centers (2, D) lead to, and the sum of squared distances."""
    clusters = None
    for _ in range(STEPS):
        distances = ((x[:, None] - centers) ** 2).sum(2)  # (n, 2)
        nearest = distances[:, 1] < distances[:, 0]
        if clusters is not None and (nearest == clusters).all():
            break
        clusters = nearest
        for j, members in enumerate((~nearest, nearest)):
            if members.any():
                centers[j] = x[members].mean(0)
    assert clusters is not None
    return clusters, float(distances.min(1).sum())
