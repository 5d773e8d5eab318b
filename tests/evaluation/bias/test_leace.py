"""LEACE: no covariance is left, no map that does so changes less, and a second time changes
nothing."""

from __future__ import annotations

import numpy as np
import pytest

from seqlm.evaluation.bias import leace as module
from seqlm.evaluation.bias.find_words import LabeledWords
from seqlm.evaluation.bias.leace import erase_labels, fit_leace, moments
from seqlm.evaluation.bias.linear_probe import probe
from tests.evaluation.bias.tables import table_of

CASES = {
    "two labels": (300, 200, 10, 2),
    "four labels": (300, 200, 10, 4),
    "more labels than numbers": (300, 200, 3, 6),
    "fewer words than numbers": (100, 20, 40, 2),
    "dependent numbers": (300, 200, 10, 3),
}


class Case:
    def __init__(self, name: str) -> None:
        """A table whose first words have labels, which depend on the vectors."""
        words, n, width, k = CASES[name]
        rng = np.random.default_rng(len(name))
        x = rng.normal(size=(words, width)) @ rng.normal(size=(width, width)) + 2
        if name == "dependent numbers":
            x[:, -1] = x[:, 0] - x[:, 1]
            x[:, -2] = 5
        self.x = x.astype(np.float32).astype(float)
        noisy = self.x[:n, 0] + rng.normal(size=n)
        self.labels = np.searchsorted(np.quantile(noisy, np.arange(1, k) / k), noisy)
        self.n, self.k = n, k
        self.z = np.eye(k)[self.labels]

    def covariance(self, x: np.ndarray) -> np.ndarray:
        """Cov(x, z) of vectors with a label."""
        return (x - x.mean(0)).T @ (self.z - self.z.mean(0)) / self.n


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.fixture(params=["all", "labeled"])
def whitening(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def population(case: Case, whitening: str) -> np.ndarray:
    return case.x if whitening == "all" else case.x[: case.n]


def test_no_covariance_is_left(case, whitening) -> None:
    leace = fit_leace(case.x[: case.n], case.labels, moments(population(case, whitening)))
    assert np.abs(case.covariance(case.x[: case.n])).max() > 0.05
    assert np.abs(case.covariance(leace(case.x[: case.n]))).max() < 1e-8


def test_the_map_of_the_paper(case, whitening) -> None:
    """r(x) = x - W⁺ P W (x - μ), with pseudo-inverses in place of the factors."""
    x = population(case, whitening)
    sigma = np.cov(x.T, bias=True)
    values, vectors = np.linalg.eigh(sigma)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    W = np.linalg.pinv(root, rcond=1e-7, hermitian=True)
    M = W @ case.covariance(case.x[: case.n])
    P = M @ np.linalg.pinv(M, rcond=1e-7)
    wanted = case.x - (case.x - x.mean(0)) @ (np.linalg.pinv(W, rcond=1e-7) @ P @ W).T
    leace = fit_leace(case.x[: case.n], case.labels, moments(x))
    assert leace(case.x) == pytest.approx(wanted, abs=1e-7)


def test_the_map_without_roots(case, whitening) -> None:
    """W⁺ P W = Σ_XZ (Σ_XZ^T Σ_XX⁺ Σ_XZ)⁺ Σ_XZ^T Σ_XX⁺, which has no square root in it."""
    x = population(case, whitening)
    sigma_xz = case.covariance(case.x[: case.n])
    inverse = np.linalg.pinv(np.cov(x.T, bias=True), rcond=1e-12, hermitian=True)
    inner = np.linalg.pinv(sigma_xz.T @ inverse @ sigma_xz, rcond=1e-10, hermitian=True)
    wanted = sigma_xz @ inner @ sigma_xz.T @ inverse
    leace = fit_leace(case.x[: case.n], case.labels, moments(x))
    assert leace.left @ leace.right == pytest.approx(wanted, abs=1e-7)


def test_no_other_map_changes_less(case, whitening) -> None:
    """The others without covariance are r(x) + N (x - μ) for every N with N Σ_XZ = 0."""
    x, sigma_xz = population(case, whitening), case.covariance(case.x[: case.n])
    leace = fit_leace(case.x[: case.n], case.labels, moments(x))
    least = ((leace(x) - x) ** 2).sum(1).mean()
    rng = np.random.default_rng(1)
    free = np.eye(len(sigma_xz)) - sigma_xz @ np.linalg.pinv(sigma_xz, rcond=1e-9)
    for size in (1e-3, 0.1, 1):
        N = size * rng.normal(size=free.shape) @ free
        changed = leace(x) + (x - x.mean(0)) @ N.T
        labeled = leace(case.x[: case.n]) + (case.x[: case.n] - x.mean(0)) @ N.T
        assert np.abs(case.covariance(labeled)).max() < 1e-7  # it is a map without covariance, too
        if np.abs(N).max() > 1e-9:
            assert ((changed - x) ** 2).sum(1).mean() > least
    means_alone = x - (x - x.mean(0)) @ (np.eye(len(free)) - free)
    assert ((means_alone - x) ** 2).sum(1).mean() >= least - 1e-9


def test_the_mean_stays(case, whitening) -> None:
    x = population(case, whitening)
    leace = fit_leace(case.x[: case.n], case.labels, moments(x))
    assert leace(x).mean(0) == pytest.approx(x.mean(0), abs=1e-9)


def test_twice_is_once(case, whitening) -> None:
    """Also through float32, in which the vectors are stored."""
    table = table_of([f"w{n}" for n in range(len(case.x))], case.x)
    labeled = LabeledWords(np.arange(case.n), case.labels, [*"abcdef"][: case.k], [])
    once = erase_labels(table, labeled, whitening)
    assert (once.vectors.dtype, once.vectors.shape) == (np.float32, case.x.shape)
    twice = erase_labels(once, labeled, whitening)
    assert twice.vectors == pytest.approx(once.vectors, abs=1e-6)
    assert np.abs(once.vectors - case.x).max() > 0.1


def test_a_probe_learns_nothing(case, whitening) -> None:
    table = table_of([f"w{n}" for n in range(len(case.x))], case.x)
    labeled = LabeledWords(np.arange(case.n), case.labels, [*"abcdef"][: case.k], [])
    erased = erase_labels(table, labeled, whitening).vectors[: case.n]
    before, after = probe(case.x[: case.n], case.labels), probe(erased, case.labels)
    assert before.training_accuracy > before.majority + 0.1
    assert after.training_accuracy <= after.majority + 0.01
    assert after.accuracy <= after.majority + 0.01


def test_labels_that_no_direction_tells_change_nothing() -> None:
    """Words with equal means for each label."""
    x = np.concatenate([np.eye(4), np.eye(4)])
    labels = np.repeat([0, 1], 4)
    leace = fit_leace(x, labels, moments(x))
    assert leace.left.shape == (4, 0)
    assert (leace(x) == x).all()


def test_moments_in_pieces(monkeypatch) -> None:
    x = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32) + 100
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)
    found = moments(x)
    assert found.mean == pytest.approx(x.mean(0, dtype=float))
    assert found.covariance == pytest.approx(np.cov(x.T.astype(float), bias=True))
