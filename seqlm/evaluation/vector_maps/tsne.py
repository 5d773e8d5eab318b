"""t-SNE, a map in which near points stay near: van der Maaten & Hinton (2008).

    p_{j|i} = exp(-b_i |x_i - x_j|^2) / sum_{k != i} exp(-b_i |x_i - x_k|^2)
              with the b_i for which exp H(p_{.|i}) is the `perplexity`: how many neighbors count
    p_ij    = (p_{j|i} + p_{i|j}) / 2N
    w_ij    = 1 / (1 + |y_i - y_j|^2),  w_ii = 0        q_ij = w_ij / sum_kl w_kl
    C       = sum_ij p_ij log(p_ij / q_ij)              what the places y minimize
    dC/dy_i = 4 sum_j (p_ij - q_ij) w_ij (y_i - y_j)    equation 5

All pairs are computed, in N^2 numbers, so that this is for a few thousand points. The descent has
momentum and a rate for each number (Jacobs 1988). Its first steps exaggerate p, so that groups form
before they spread, and the rate is N over the exaggeration (Belkina et al. 2019). It starts from
the principal components (Kobak & Berens 2019), or where a `seed` is given from random places.

What the map shows is who is whose neighbor; sizes of groups and distances between them mean little.

    N points · D numbers of a point
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seqlm.errors import UsageError
from seqlm.evaluation.vector_maps.principal_components import principal_plane

USUAL_PERPLEXITY = 30.0
FEWEST_POINTS, MOST_POINTS = 4, 5000
STEPS, EARLY_STEPS = 1000, 250
EXAGGERATION = 12.0
EARLY_MOMENTUM, MOMENTUM = 0.5, 0.8
LEAST_RATE = 10.0
SLOWEST = 0.01
"""The least gain of a rate."""
START_SIZE = 1e-4
"""The standard deviation of the places in the beginning."""
BISECTIONS = 60
TINY = np.finfo(np.float64).tiny


class Tsne(NamedTuple):
    places: np.ndarray  # (N, 2) y
    cost: float
    """C, in nats."""


def tsne(x: np.ndarray, perplexity: float | None = None, seed: int | None = None) -> Tsne:
    """The map of the points `x` (N, D). By default the perplexity is 30, or a third of the other
    points where these are fewer than 90.

    Errors: UsageError where there are too few points or too many, or `perplexity` is not from 1 to
    the number of the other points.
    """
    others = len(x) - 1
    if not FEWEST_POINTS <= len(x) <= MOST_POINTS:
        raise UsageError(
            f"t-SNE maps {FEWEST_POINTS} to {MOST_POINTS:,} words, and there are {len(x):,}"
        )
    if perplexity is None:
        perplexity = min(USUAL_PERPLEXITY, others / 3)
    if not 1 <= perplexity <= others:
        raise UsageError(
            f"`perplexity` is {perplexity:g}: it is from 1 to {others}, the number of other words"
        )
    p = joint_probabilities(squared_distances(x.astype(np.float64)), perplexity)
    y = descend(p, start(x, seed))
    y = principal_plane(y).places(y)  # turned, so that the map is wide rather than high
    return Tsne(y, cost(p, y))


def start(x: np.ndarray, seed: int | None) -> np.ndarray:
    """(N, 2) the places in the beginning."""
    if seed is not None:
        return START_SIZE * np.random.default_rng(seed).normal(size=(len(x), 2))
    y = principal_plane(x).places(x)
    return np.asarray(START_SIZE * y / max(y[:, 0].std(), TINY))


def squared_distances(x: np.ndarray) -> np.ndarray:
    """(N, N) |x_i - x_j|^2 of x (N, D)."""
    squares = (x * x).sum(1)
    return np.asarray(np.maximum(squares[:, None] + squares - 2 * (x @ x.T), 0))


def joint_probabilities(distances: np.ndarray, perplexity: float) -> np.ndarray:
    """(N, N) p_ij, from squared distances (N, N); b_i is found by bisection of its logarithm."""
    distances = distances / max(distances.mean(), TINY)
    low, high = np.full(len(distances), -50.0), np.full(len(distances), 50.0)  # (N,) log b
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        p = conditional_probabilities(distances, np.exp(middle))
        entropies = -(p * np.log(np.maximum(p, TINY))).sum(1)  # (N,)
        is_wide = entropies > np.log(perplexity)
        low, high = np.where(is_wide, middle, low), np.where(is_wide, high, middle)
    p = conditional_probabilities(distances, np.exp(high))
    return np.asarray((p + p.T) / (2 * len(p)))


def conditional_probabilities(distances: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, N) p_{j|i} in row i, from squared distances (N, N) and b (N,)."""
    others = distances + np.diag(np.full(len(b), np.inf))
    nearest = others.min(1, keepdims=True)
    p = np.exp(-b[:, None] * (others - nearest))  # of the nearest point, 1
    return np.asarray(p / p.sum(1, keepdims=True))


def similarities(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) w and (N, N) q of the places y (N, 2)."""
    w = 1 / (1 + squared_distances(y))
    np.fill_diagonal(w, 0)
    return w, w / w.sum()


def cost(p: np.ndarray, y: np.ndarray) -> float:
    """C"""
    _, q = similarities(y)
    return float((p * np.log(np.maximum(p, TINY) / np.maximum(q, TINY))).sum())


def gradient(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, 2) dC/dy; sum_j f_ij (y_i - y_j) is (sum_j f_ij) y_i - sum_j f_ij y_j."""
    w, q = similarities(y)
    f = (p - q) * w
    return np.asarray(4 * (f.sum(1)[:, None] * y - f @ y))


def descend(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, 2) the places that gradient descent finds from the places y (N, 2)."""
    rate = max(len(y) / (4 * EXAGGERATION), LEAST_RATE)  # their gradient lacks the factor 4
    gains, velocity = np.ones_like(y), np.zeros_like(y)
    for step in range(STEPS):
        is_early = step < EARLY_STEPS
        slope = gradient(EXAGGERATION * p if is_early else p, y)
        goes_on = slope * velocity < 0  # as in the step before
        gains = np.maximum(np.where(goes_on, gains + 0.2, gains * 0.8), SLOWEST)
        velocity = (EARLY_MOMENTUM if is_early else MOMENTUM) * velocity - rate * gains * slope
        y = y + velocity
        y = y - y.mean(0)
    return y
