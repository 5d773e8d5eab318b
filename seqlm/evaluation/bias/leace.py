"""LEACE, least-squares concept erasure: Belrose, Schneider-Joseph, Ravfogel, Cotterell, Raff &
Biderman 2023, "LEACE: Perfect linear concept erasure in closed form".

    x, μ     a vector, and the mean of all
    z        its label, as a row of 0 and 1
    Σ_XX     covariance of the vectors             Σ_XZ   covariance of vectors and labels
    W        (Σ_XX^{1/2})⁺, which whitens: the vectors W (x - μ) have the covariance 1
    P        (W Σ_XZ) (W Σ_XZ)⁺, the orthogonal projection on the columns of W Σ_XZ

    r(x) = x - W⁺ P W (x - μ)

After it Cov(r(x), z) = 0: every label has the same mean vector, and a linear classifier that is
trained on these words, with any convex loss, learns no more than how frequent the labels are. Of
all affine maps of which that holds, r has the smallest mean of |r(x) - x|², by the norm of any
inner product.

μ and Σ_XX are of the words whose change is to be the smallest: all words of the table, or those
that have a label, as in the paper. Σ_XZ is always of those that have one, and either way
Cov(r(x), z) = 0 for these.

With P = U U^T of its r < k columns, W⁺ P W = (W⁺ U) (U^T W) takes 2 r D products a word.

    N words, n of them with a label · D numbers of a vector · k labels
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqlm.arguments import check_choice
from seqlm.evaluation.bias.bias_settings import Whitening
from seqlm.evaluation.bias.find_words import LabeledWords
from seqlm.runs.loading.load_vectors import ROWS_AT_ONCE, LoadedVectors

CORRELATION = 1e-5
"""A smaller correlation of a label with any direction is rounding of float32, and stays."""


class Leace(NamedTuple):
    """The map r."""

    mean: np.ndarray  # (D,) μ
    left: np.ndarray  # (D, r) W⁺ U
    right: np.ndarray  # (r, D) U^T W

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """r(x) (n, D) float64 of x (n, D)."""
        erased: np.ndarray = x - (x - self.mean) @ self.right.T @ self.left.T
        return erased


class Moments(NamedTuple):
    """Of the vectors whose mean change is to be the smallest."""

    mean: np.ndarray  # (D,) μ
    covariance: np.ndarray  # (D, D) Σ_XX


def fit_leace(x: np.ndarray, labels: np.ndarray, over: Moments) -> Leace:
    """The map that erases `labels` (n,), whole numbers from 0, of which each is there, from the
    vectors x (n, D)."""
    x = x.astype(np.float64)
    z = np.eye(labels.max() + 1)[labels]  # (n, k)
    z = (z - z.mean(0)) / z.std(0)  # of variance 1, which changes no column space
    sigma_xz = (x - x.mean(0)).T @ z / len(z)  # (D, k)
    root, inverse_root = square_roots(over.covariance)  # W⁺ and W, (D, D)
    u, correlations, _ = np.linalg.svd(inverse_root @ sigma_xz, full_matrices=False)
    u = u[:, correlations > CORRELATION]  # (D, r)
    return Leace(over.mean, root @ u, u.T @ inverse_root)


def moments(vectors: np.ndarray) -> Moments:
    """Of vectors (N, D), in float64."""
    pieces = range(0, len(vectors), ROWS_AT_ONCE)
    mean = np.zeros(vectors.shape[1])
    for i in pieces:
        mean += vectors[i : i + ROWS_AT_ONCE].sum(0, dtype=np.float64) / len(vectors)
    covariance = np.zeros((len(mean), len(mean)))
    for i in pieces:
        centered = vectors[i : i + ROWS_AT_ONCE] - mean  # float64
        covariance += centered.T @ centered / len(vectors)
    return Moments(mean, covariance)


def square_roots(sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ^{1/2} and (Σ^{1/2})⁺ of a covariance (D, D): directions without variance stay out."""
    values, vectors = np.linalg.eigh(sigma)  # Σ = V diag(values) V^T
    has_variance = values > len(sigma) * np.finfo(np.float64).eps * values.max(initial=0)
    roots = np.sqrt(values[has_variance])
    v = vectors[:, has_variance]
    return (v * roots) @ v.T, (v / roots) @ v.T


def erase_labels(
    table: LoadedVectors, labeled: LabeledWords, whitening: Whitening = "all"
) -> LoadedVectors:
    """The table without the labels. Errors: UsageError on `whitening`."""
    check_choice("whitening", whitening, Whitening)
    x = table.vectors[labeled.rows]
    over = moments(table.vectors if whitening == "all" else x)
    leace = fit_leace(x, labeled.labels, over)
    erased = np.empty(table.vectors.shape, np.float32)  # the one new matrix
    for start in range(0, len(table), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        erased[part] = leace(table.vectors[part])
    return table.with_vectors(erased)
