"""The cluster test, and the k-means in it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from seqlm.errors import DataError
from seqlm.evaluation.bias import cluster_test as module
from seqlm.evaluation.bias.cluster_test import cluster_accuracies, cluster_accuracy, two_means
from seqlm.evaluation.bias.find_words import unit_rows
from tests.evaluation.bias.tables import table_of


def clouds(distance: float, n: int = 60, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, n, 4))
    first[:, 0] += distance
    return first, second


def scatter(x: np.ndarray, clusters: np.ndarray) -> float:
    """The sum of squared distances from the means of two clusters."""
    return sum(
        float(((x[members] - x[members].mean(0)) ** 2).sum())
        for members in (clusters, ~clusters)
        if members.any()
    )


def test_two_clouds_are_told_apart() -> None:
    assert cluster_accuracy(*clouds(8)) == 1
    assert cluster_accuracy(*clouds(0)) < 0.7
    assert 0.7 < cluster_accuracy(*clouds(2)) < 1


def test_the_names_of_clusters_do_not_matter() -> None:
    for seed in range(5):
        first, second = clouds(2, seed=seed)
        assert cluster_accuracy(first, second) == cluster_accuracy(second, first)
        assert cluster_accuracy(first, second) >= 0.5


def test_no_other_clusters_are_tighter(monkeypatch) -> None:
    """All 2^9 ways to divide nine words."""
    monkeypatch.setattr(module, "STARTS", 100)
    rng = np.random.default_rng(2)
    for _ in range(5):
        x = rng.normal(size=(9, 2))
        ways = [scatter(x, np.array(way)) for way in product([False, True], repeat=9)]
        assert scatter(x, two_means(x)) == pytest.approx(min(ways))


def test_equal_seeds_find_equal_clusters() -> None:
    x = np.concatenate(clouds(0.5))
    assert (two_means(x, 3) == two_means(x, 3)).all()


def test_several_starts_find_the_best_of_them(monkeypatch) -> None:
    x = np.random.default_rng(5).normal(size=(40, 2))
    monkeypatch.setattr(module, "STARTS", 1)
    single = [scatter(x, two_means(x, seed)) for seed in range(20)]
    assert max(single) > min(single) + 1e-9
    monkeypatch.setattr(module, "STARTS", 100)
    assert scatter(x, two_means(x)) <= min(single) + 1e-9


def test_equal_words_are_one_cluster() -> None:
    x = np.ones((6, 3))
    assert cluster_accuracy(x[:3], x[3:]) == 0.5


def test_words_that_are_in_all_tables_are_clustered() -> None:
    first, second = clouds(8, n=10)
    words = [f"w{n}" for n in range(20)]
    table = table_of(words, np.concatenate([first, second]))
    other = table_of([*words[:3:-1], "more"], np.random.default_rng(1).normal(size=(17, 6)))
    side_of = {word: int(n >= 10) for n, word in enumerate(words)}
    accuracies, number = cluster_accuracies([table, other], side_of)
    assert number == 16
    x, y = (unit_rows(t.vectors[[t.rows[word] for word in words[4:]]]) for t in (table, other))
    assert accuracies == [cluster_accuracy(x[:6], x[6:]), cluster_accuracy(y[:6], y[6:])]
    with pytest.raises(DataError, match="share no words on one side"):
        cluster_accuracies([table, table_of(words[12:], np.ones((8, 3)))], side_of)
