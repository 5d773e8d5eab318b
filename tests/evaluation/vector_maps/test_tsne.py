"""t-SNE: its probabilities by plain loops, its gradient by finite differences, what it finds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqlm.errors import UsageError
from seqlm.evaluation.vector_maps.tsne import (
    conditional_probabilities,
    cost,
    gradient,
    joint_probabilities,
    squared_distances,
    start,
    tsne,
)

X = np.random.default_rng(1).normal(size=(9, 4))
Y = np.random.default_rng(2).normal(size=(9, 2))


def conditional_slowly(x: np.ndarray, b: np.ndarray) -> np.ndarray:
    """p_{j|i} as it is printed."""
    p = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        weights = [
            math.exp(-b[i] * sum((x[i] - x[j]) ** 2)) if j != i else 0 for j in range(len(x))
        ]
        p[i] = np.array(weights) / sum(weights)
    return p


def cost_slowly(p: np.ndarray, y: np.ndarray) -> float:
    """C as it is printed."""
    n = len(y)
    w = [[1 / (1 + sum((y[i] - y[j]) ** 2)) if i != j else 0 for j in range(n)] for i in range(n)]
    total = sum(map(sum, w))
    return sum(
        p[i, j] * math.log(p[i, j] / (w[i][j] / total))
        for i in range(n)
        for j in range(n)
        if i != j and p[i, j] > 0
    )


def test_the_probabilities_are_those_of_the_paper() -> None:
    distances, b = squared_distances(X), np.linspace(0.1, 2, len(X))
    np.testing.assert_allclose(
        conditional_probabilities(distances, b), conditional_slowly(X, b), rtol=1e-9
    )


@pytest.mark.parametrize("perplexity", [1.5, 3, 7.9])
def test_every_point_has_as_many_neighbors_as_asked(perplexity: float) -> None:
    distances = squared_distances(X)
    joint = joint_probabilities(distances, perplexity)
    assert joint.sum() == pytest.approx(1)
    np.testing.assert_allclose(joint, joint.T)
    assert not np.diag(joint).any()
    b = [bandwidth_slowly(X, i, perplexity) for i in range(len(X))]
    p = conditional_slowly(X, np.array(b))
    np.testing.assert_allclose(joint, (p + p.T) / (2 * len(X)), atol=1e-6)


def bandwidth_slowly(x: np.ndarray, i: int, perplexity: float) -> float:
    low, high = 1e-6, 1e2
    for _ in range(100):
        b = math.sqrt(low * high)
        p = conditional_slowly(x, np.full(len(x), b))[i]
        entropy = -sum(share * math.log(share) for share in p if share > 0)
        low, high = (b, high) if math.exp(entropy) > perplexity else (low, b)
    return low


def test_the_cost_is_that_of_the_paper() -> None:
    p = joint_probabilities(squared_distances(X), 3)
    assert cost(p, Y) == pytest.approx(cost_slowly(p, Y))


def test_the_gradient_is_that_of_finite_differences() -> None:
    p = joint_probabilities(squared_distances(X), 3)
    found, expected, step = gradient(p, Y), np.empty_like(Y), 1e-6
    for place in np.ndindex(Y.shape):
        above, below = Y.copy(), Y.copy()
        above[place] += step
        below[place] -= step
        expected[place] = (cost_slowly(p, above) - cost_slowly(p, below)) / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_groups_stay_together_and_the_cost_falls() -> None:
    rng = np.random.default_rng(3)
    centers = 5 * rng.normal(size=(4, 10))
    x = np.repeat(centers, 15, 0) + rng.normal(size=(60, 10))
    group = np.repeat(np.arange(4), 15)
    for seed in (None, 1):
        made = tsne(x, perplexity=10, seed=seed)
        p = joint_probabilities(squared_distances(x), 10)
        assert made.cost == pytest.approx(cost(p, made.places))
        assert made.cost < 0.5 * cost(p, start(x, seed))
        assert np.abs(gradient(p, made.places)).max() < 1e-4
        distances = squared_distances(made.places)
        np.fill_diagonal(distances, np.inf)
        assert (group[distances.argmin(1)] == group).all()


def test_the_same_words_have_the_same_places() -> None:
    for seed in (None, 7):
        first, second = tsne(X, seed=seed), tsne(X, seed=seed)
        assert (first.places == second.places).all()
    assert (tsne(X, seed=7).places != tsne(X, seed=8).places).all()


def test_points_that_are_equal_or_very_far() -> None:
    for x in (np.ones((6, 3)), np.repeat(X, 2, 0), 1e12 * X, 1e-12 * X):
        made = tsne(x)
        assert np.isfinite(made.places).all()
        assert np.isfinite(made.cost)


def test_what_cannot_be_mapped() -> None:
    with pytest.raises(UsageError, match="t-SNE maps 4 to 5,000 words, and there are 3"):
        tsne(X[:3])
    with pytest.raises(UsageError, match="t-SNE maps 4 to 5,000 words, and there are 5,001"):
        tsne(np.zeros((5001, 1)))
    for perplexity in (0.5, 9, float("nan")):
        with pytest.raises(UsageError, match=r"perplexity is .*: it is from 1 to 8, the number"):
            tsne(X, perplexity)
