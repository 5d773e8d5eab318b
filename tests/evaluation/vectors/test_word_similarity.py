"""Correlations against plain loops by their formulas, and against scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from seqlm.evaluation.vectors.bounded_vocabulary import bound_vocabulary
from seqlm.evaluation.vectors.vector_test_sets import Pair
from seqlm.evaluation.vectors.word_similarity import (
    average_ranks,
    pearson,
    similarities,
    spearman,
)
from tests.evaluation.vectors.tables import kings, slow_cosine


def slow_pearson(x: Sequence[float], y: Sequence[float]) -> float:
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    product = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y))
    return product / math.sqrt(
        sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y)
    )


def slow_ranks(x: Sequence[float]) -> list[float]:
    """The mean of the places that equal numbers have in the sorted list."""
    places: dict[float, list[int]] = {}
    for place, number in enumerate(sorted(x), 1):
        places.setdefault(number, []).append(place)
    return [sum(places[number]) / len(places[number]) for number in x]


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_those_of_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, 20) / 3, rng.normal(size=20).round(1)
    assert average_ranks(x).tolist() == slow_ranks(x.tolist())
    assert pearson(x, y) == pytest.approx(slow_pearson(x.tolist(), y.tolist()))
    assert spearman(x, y) == pytest.approx(
        slow_pearson(slow_ranks(x.tolist()), slow_ranks(y.tolist()))
    )


def test_scipy_agrees() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(9)
    x, y = rng.integers(0, 9, 50) / 3, rng.normal(size=50).round(1)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic)


def test_only_order_counts_for_ranks() -> None:
    x = np.array([0.1, 0.5, 0.9, 0.2])
    assert spearman(x, np.exp(9 * x)) == pytest.approx(1)
    assert spearman(x, -x) == pytest.approx(-1)
    assert pearson(x, np.exp(9 * x)) < 0.9
    assert pearson(x * 1e9, x * 1e-9 + 1) == pytest.approx(1, abs=1e-6)


def test_a_correlation_that_is_not_defined_is_nan() -> None:
    for correlation in (pearson, spearman):
        assert math.isnan(correlation(np.ones(3), np.arange(3.0)))
        assert math.isnan(correlation(np.ones(1), np.ones(1)))


def test_similarities_of_pairs() -> None:
    table = kings()
    pairs = [Pair("king", "queen", 1), Pair("King", "cat", 2), Pair("king", "dog", 3)]
    of_keys = [table.vector(word).tolist() for word in ("king", "queen", "Cat")]
    king_queen, king_cat = (slow_cosine(of_keys[0], other) for other in of_keys[1:])
    lower, keep = bound_vocabulary(table, 6, "lower"), bound_vocabulary(table, 6, "keep")
    assert similarities(table, pairs, lower, True) == [
        pytest.approx(king_queen), pytest.approx(king_cat), None
    ]  # fmt: skip
    assert similarities(table, pairs, keep, True) == [pytest.approx(king_queen), None, None]
    first = bound_vocabulary(table, 2, "lower")
    assert similarities(table, pairs, first, True) == [pytest.approx(king_queen), None, None]
