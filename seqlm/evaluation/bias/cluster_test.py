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

import numpy as np

STARTS = 10
STEPS = 300
"""The most steps of a start; they end where no word moves."""


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
