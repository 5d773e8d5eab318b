"""Orthogonal columns against numpy's singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqlm.models.layers.orthogonal_columns import BLOCK, column_lengths, orthogonal_columns


def matrix(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows))


@pytest.mark.parametrize("rows", [3, 50, BLOCK + 1])
def test_columns_are_left_singular_vectors_times_singular_values(rows: int) -> None:
    y = matrix(rows, 3).double() * torch.tensor([3.0, 1.0, 0.2], dtype=torch.float64)
    p = orthogonal_columns(y).numpy()
    u, s, _ = np.linalg.svd(y.numpy(), full_matrices=False)
    np.testing.assert_allclose(np.abs(p), np.abs(u * s), atol=1e-10)
    np.testing.assert_allclose(p.T @ p, np.diag(s**2), atol=1e-10)
    assert ((p**3).sum(0) > 0).all()
    np.testing.assert_allclose(column_lengths(torch.from_numpy(p)).numpy(), s, rtol=1e-12)


def test_a_lower_rank_leaves_columns_of_0() -> None:
    y = matrix(40, 2)
    p = orthogonal_columns(torch.cat([y, y @ torch.tensor([[1.0, 2.0], [3.0, 4.0]])], 1))
    assert p[:, :2].abs().sum() > 0
    assert (p[:, 2:] == 0).all()
    assert (orthogonal_columns(torch.zeros(5, 3)) == 0).all()


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_no_bit(threads: int) -> None:
    y = matrix(3 * BLOCK + 5, 40)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = orthogonal_columns(y), column_lengths(y)
        torch.set_num_threads(threads)
        several = orthogonal_columns(y), column_lengths(y)
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, one, several))
