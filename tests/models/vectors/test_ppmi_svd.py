"""The decomposition against numpy's, by steps of the optimizer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from seqlm.models.config.count_vectors_config import PPMIConfig
from seqlm.models.vectors.ppmi_svd import PPMISVD
from seqlm.models.vectors.sparse_matrix import MatrixAndTranspose, SparseMatrix
from seqlm.training.optimization.optimizer import make_optimizer, set_learning_rate

V = 60


def sparse(dense: np.ndarray) -> SparseMatrix:
    rows, columns = np.nonzero(dense)
    first = np.searchsorted(rows, np.arange(len(dense) + 1))
    return SparseMatrix(
        torch.from_numpy(first),
        torch.from_numpy(columns.astype(np.int32)),
        torch.from_numpy(dense[rows, columns].astype(np.float32)),
    )


@pytest.fixture(scope="module")
def dense() -> np.ndarray:
    """Nearly of rank 6, with singular values that differ, not symmetric, and half of it 0."""
    rng = np.random.default_rng(1)
    a = rng.random((V, 6)) * 3.0 ** -np.arange(6) @ rng.random((6, V))
    return np.where(rng.random((V, V)) < 0.5, 0, a + 0.02 * rng.random((V, V)))


def train(dense: np.ndarray, steps: int, **options: float) -> tuple[PPMISVD, list[float]]:
    torch.manual_seed(1)
    model = PPMISVD(PPMIConfig(vocab_size=V, **options))
    model.learn_from(np.ones(V, np.int64), [b""] * V)
    batch = MatrixAndTranspose(sparse(dense), sparse(dense.T))
    optimizer, losses = make_optimizer("orthogonal-iteration", model), []
    for _ in range(steps):
        set_learning_rate(optimizer, 1.0, 0.0)
        optimizer.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return model, losses


def test_a_product_with_a_sparse_matrix_is_that_with_a_dense_one(
    dense: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqlm.models.vectors.sparse_matrix.BLOCK", 7)
    table = torch.randn(V, 5, generator=torch.Generator().manual_seed(1))
    found = sparse(dense).times(table)
    torch.testing.assert_close(found, torch.from_numpy(dense).float() @ table)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_vectors_are_those_of_the_singular_value_decomposition(dense: np.ndarray, p: float) -> None:
    model, _ = train(dense, 60, width=4, oversampling=10, eigenvalue_weight=p)
    u, s, _ = np.linalg.svd(dense)
    expected = u[:, :4] * (s[:4] / np.linalg.norm(dense) * 2**0.5) ** p
    expected *= np.sign((expected**3).sum(0))
    np.testing.assert_allclose(model.word_vectors().numpy(), expected, atol=2e-4)


def test_the_loss_falls_to_the_share_that_is_not_explained(dense: np.ndarray) -> None:
    _, losses = train(dense, 200, width=3, oversampling=2)
    s = np.linalg.svd(dense, compute_uv=False)
    assert losses[0] > 0.8
    assert all(after < before + 1e-6 for before, after in pairwise(losses))
    assert losses[-1] == pytest.approx(1 - (s[:5] ** 2).sum() / (s**2).sum(), abs=1e-5)


def test_the_gradient_is_that_of_the_loss_by_orthonormal_columns(dense: np.ndarray) -> None:
    model, _ = train(dense, 1, width=3, oversampling=2)
    q = model.columns.detach() / model.columns.detach().norm(dim=0)
    m = torch.from_numpy(dense).float()
    exact = q.clone().requires_grad_()
    slow = 1 - (m.T @ exact).square().sum() / m.square().sum()
    slow.backward()
    loss = model.loss(MatrixAndTranspose(sparse(dense), sparse(dense.T)))
    model.zero_grad()
    loss.backward()
    torch.testing.assert_close(loss.detach(), slow.detach())
    torch.testing.assert_close(model.columns.grad.to_dense(), exact.grad)


def test_a_small_vocabulary_has_numbers_of_0_beside_its_own(dense: np.ndarray) -> None:
    model, _ = train(dense, 3, width=100, oversampling=10)
    vectors = model.word_vectors()
    assert vectors.shape == (V, 100)
    assert (vectors[:, V:] == 0).all()
    assert vectors.isfinite().all()


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(dense: np.ndarray, threads: int) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for number in (1, threads):
            torch.set_num_threads(number)
            model, losses = train(dense, 5)
            found.append((model.columns.detach(), losses))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
