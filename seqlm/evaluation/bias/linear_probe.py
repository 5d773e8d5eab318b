"""A linear probe: how well a linear classifier tells labels from vectors.

    p(l | x) = softmax(V x' + b)_l          x' is x less the mean, divided by the deviation of each
                                            number over the words of training
    J        = -1/n sum_i ln p(l_i | x_i) + |V|² / 2n

The minimum of J is unique (multinomial logistic regression with the penalty C = 1 of scikit-learn),
and L-BFGS finds it from V = 0 and the frequencies of the labels: there is no seed in it. Where the
labels have the same mean vector, V = 0 is the minimum, and the probe names the most frequent label.

    accuracy     share of the words whose label is named right, each by a probe that was trained
                 without it: cross-validation, in folds that have each label in equal parts
    majority     share of the most frequent label, which a probe that has learned nothing reaches

Vectors from which labels were erased have an accuracy *below* the majority: with every fold that is
left out, the means of the others shift to the opposite side.

    n words · D numbers of a vector · k labels
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from seqlm.errors import UsageError

FOLDS = 5
STEPS = 1000
GRADIENT = 1e-5
"""The largest gradient of J at what counts as its minimum; that of the rounding of float32 is less,
so that labels that are erased leave V at 0."""


class Probe(NamedTuple):
    """A trained classifier."""

    V: np.ndarray  # (k, D)
    b: np.ndarray  # (k,)
    mean: np.ndarray  # (D,)
    scale: np.ndarray  # (D,)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(n,) the most probable label of each of x (n, D)."""
        labels: np.ndarray = (((x - self.mean) / self.scale) @ self.V.T + self.b).argmax(1)
        return labels


def train_probe(x: np.ndarray, labels: np.ndarray, num_labels: int) -> Probe:
    """The minimum of J for x (n, D) and labels (n,), of which each of the k is there."""
    x = x.astype(np.float64)
    mean, scale = x.mean(0), x.std(0)
    is_flat = scale <= np.finfo(np.float32).eps * np.abs(x).max(0)  # rounding of one number
    scale[is_flat] = np.inf
    inputs = torch.from_numpy((x - mean) / scale)
    wanted = torch.from_numpy(labels)
    frequencies = torch.bincount(wanted, minlength=num_labels).double() / len(labels)
    V = torch.zeros(num_labels, x.shape[1], dtype=torch.float64, requires_grad=True)
    b = frequencies.log().clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [V, b], max_iter=STEPS, tolerance_grad=GRADIENT, tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def J() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(inputs @ V.T + b, wanted)
        loss = loss + (V**2).sum() / (2 * len(labels))
        loss.backward()
        return loss

    optimizer.step(J)
    return Probe(V.detach().numpy(), b.detach().numpy(), mean, scale)


class ProbeFigures(NamedTuple):
    accuracy: float
    """By cross-validation."""
    training_accuracy: float
    """Of a probe trained on all words, on the same words."""
    majority: float
    words: int


def probe(x: np.ndarray, labels: np.ndarray, seed: int = 1) -> ProbeFigures:
    """How well a probe tells the labels (n,), whole numbers from 0, of vectors x (n, D).

    Errors: UsageError where there are not two labels, or one has fewer words than there are FOLDS.
    """
    counts = np.bincount(labels)
    check_counts(counts)
    folds = stratified_folds(labels, FOLDS, seed)
    right = np.zeros(len(labels), bool)
    for fold in range(FOLDS):
        test = folds == fold
        trained = train_probe(x[~test], labels[~test], len(counts))
        right[test] = trained.predict(x[test]) == labels[test]
    on_all = train_probe(x, labels, len(counts)).predict(x)
    return ProbeFigures(
        float(right.mean()),
        float((on_all == labels).mean()),
        float(counts.max() / len(labels)),
        len(labels),
    )


def check_counts(counts: np.ndarray) -> None:
    """Errors: UsageError on fewer than two labels, or fewer than FOLDS words of one."""
    if len(counts) < 2:
        raise UsageError("all words have one label: a probe needs at least two")
    if counts.min() < FOLDS:
        raise UsageError(f"a label has {counts.min()} words: a probe needs {FOLDS} of each")


def stratified_folds(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """(n,) the fold of each word; each has the same number of words of each label, or one less."""
    generator = np.random.default_rng(seed)
    fold_of = np.empty(len(labels), np.int64)
    start = 0
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        fold_of[rows] = (start + np.arange(len(rows))) % folds
        start += len(rows)
    return fold_of
