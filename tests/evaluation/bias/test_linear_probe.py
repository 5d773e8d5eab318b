"""The linear probe: the minimum of its loss, and how it is measured."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.errors import UsageError
from seqlm.evaluation.bias.linear_probe import (
    FOLDS,
    Probe,
    probe,
    stratified_folds,
    train_probe,
)


def words(n: int = 90, width: int = 5, k: int = 3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    return rng.normal(size=(n, width)) + rng.normal(size=(k, width))[labels], labels


def J(trained: Probe, x: np.ndarray, labels: np.ndarray) -> float:
    """The loss as it is printed, by loops."""
    total = 0.0
    for row, label in zip(x, labels):
        scores = [
            sum(
                v * (number - m) / s for v, number, m, s in zip(V, row, trained.mean, trained.scale)
            )
            + b
            for V, b in zip(trained.V, trained.b)
        ]
        total += np.log(sum(np.exp(scores))) - scores[label]
    return total / len(x) + float((trained.V**2).sum()) / (2 * len(x))


@pytest.mark.parametrize("k", [2, 3])
def test_training_finds_the_minimum(k) -> None:
    """The loss grows along every coordinate, on both sides, as that of a convex function."""
    x, labels = words(30, 3, k)
    trained = train_probe(x, labels, k)
    least = J(trained, x, labels)
    assert least < J(trained._replace(V=0 * trained.V), x, labels) - 0.1
    for name in ("V", "b"):
        for place in np.ndindex(getattr(trained, name).shape):
            for step in (-0.01, 0.01):
                moved = getattr(trained, name).copy()
                moved[place] += step
                assert J(trained._replace(**{name: moved}), x, labels) > least


def test_scikit_learn_finds_the_same() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, labels = words()
    trained = train_probe(x, labels, 3)
    theirs = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=5000)
    theirs.fit((x - x.mean(0)) / x.std(0), labels)
    assert np.abs(trained.V - theirs.coef_).max() < 1e-4


def test_the_scale_of_numbers_does_not_matter() -> None:
    x, labels = words()
    scaled = x * [1, 1e-3, 1e4, 7, -1] + [0, 5, 0, -1e3, 0]
    assert train_probe(scaled, labels, 3).predict(scaled).tolist() == (
        train_probe(x, labels, 3).predict(x).tolist()
    )


def test_a_number_that_is_always_the_same_is_passed_over() -> None:
    x, labels = words()
    more = np.concatenate([x, np.full((len(x), 1), 0.1)], 1)
    assert probe(more, labels) == probe(x, labels)
    assert (train_probe(more, labels, 3).V[:, -1] == 0).all()


def test_equal_means_leave_the_majority() -> None:
    x = np.concatenate([np.eye(4)] * 5)
    labels = np.repeat([0, 1, 1, 1, 0], 4)
    trained = train_probe(x, labels, 2)
    assert np.abs(trained.V).max() == 0
    assert probe(x, labels).training_accuracy == probe(x, labels).majority == 0.6


def test_accuracy_is_of_words_that_were_left_out() -> None:
    """Labels that are drawn are learned by heart, and not told of new words."""
    rng = np.random.default_rng(1)
    found = probe(rng.normal(size=(200, 150)), np.arange(200) % 2)
    assert found.training_accuracy == 1
    assert 0.35 < found.accuracy < 0.65
    x, labels = words(n=300, k=2, seed=3)
    assert probe(x, labels).accuracy > 0.8


def test_equal_seeds_find_equal_figures() -> None:
    x, labels = words()
    assert probe(x, labels, 3) == probe(x, labels, 3)
    assert len({probe(x, labels, seed).accuracy for seed in range(6)}) > 1


def test_folds_have_each_label_in_equal_parts() -> None:
    labels = np.array([0] * 12 + [1] * 5 + [2] * 8)
    folds = stratified_folds(labels, FOLDS, 1)
    for label in range(3):
        sizes = np.bincount(folds[labels == label], minlength=FOLDS)
        assert sizes.max() - sizes.min() <= 1
    assert np.bincount(folds).tolist() == [5] * 5


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0] * 10, "all words have one label"),
        ([0] * 10 + [1] * 4, "a label has 4 words: a probe needs 5 of each"),
    ],
)
def test_too_few_words(labels, message) -> None:
    with pytest.raises(UsageError, match=message):
        probe(np.ones((len(labels), 2)), np.array(labels))
