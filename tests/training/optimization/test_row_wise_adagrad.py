"""Row-wise Adagrad against its formula, row by row in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqlm.training.optimization.row_wise_adagrad import RowWiseAdagrad

ROWS = st.lists(st.lists(st.integers(0, 4), max_size=7), min_size=1, max_size=5)


def slow_step(w, s, g, lr, eps):
    """One step on lists of rows; a row without gradient is None."""
    for r, row in enumerate(g):
        if row is not None:
            s[r] += sum(x * x for x in row) / len(row)
            w[r] = [a - lr * x / (s[r] ** 0.5 + eps) for a, x in zip(w[r], row)]


@given(ROWS)
def test_sparse_gradients_update_their_rows_by_the_formula(batches):
    torch.manual_seed(1)
    table = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    optimizer = RowWiseAdagrad([table], lr=0.3, epsilon=1e-3)
    w, s = table.tolist(), [0.0] * 5
    for rows in batches:
        values = torch.randn(len(rows), 3, dtype=torch.float64)
        indices = torch.tensor([rows], dtype=torch.int64)
        table.grad = torch.sparse_coo_tensor(indices, values, (5, 3), check_invariants=False)
        optimizer.step()
        g = [
            values[[i for i, row in enumerate(rows) if row == r]].sum(0).tolist()
            if r in rows else None
            for r in range(5)
        ]  # fmt: skip
        slow_step(w, s, g, 0.3, 1e-3)
        torch.testing.assert_close(table.detach(), torch.tensor(w, dtype=torch.float64))


def test_a_bounded_rate_begins_at_the_learning_rate_as_in_glove():
    torch.manual_seed(1)
    lr = 0.05
    table = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    dense = table.detach().clone().requires_grad_()
    groups = [{"params": [table, dense], "bounded_rate": True}]
    optimizer = RowWiseAdagrad(groups, lr=lr)
    w, s = table.tolist(), [1.0] * 4
    for rows in ([0, 2], [2, 3], [0, 1, 2]):
        g = torch.randn(len(rows), 3, dtype=torch.float64) * 100
        for r, row in zip(rows, g.tolist()):
            s[r] += sum((lr * x) ** 2 for x in row) / 3
            w[r] = [a - lr * x / s[r] ** 0.5 for a, x in zip(w[r], row)]
        indices = torch.tensor([rows])
        table.grad = torch.sparse_coo_tensor(indices, g, (4, 3), check_invariants=True)
        dense.grad = table.grad.to_dense()
        optimizer.step()
        torch.testing.assert_close(table.detach(), torch.tensor(w, dtype=torch.float64))
        torch.testing.assert_close(dense.detach(), table.detach())


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(4, 3), (4,), (2, 3, 2), (0, 3), ()])
def test_dense_gradients_update_all_rows_by_the_formula(shape, decay):
    torch.manual_seed(1)
    parameter = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    optimizer = RowWiseAdagrad([parameter], lr=0.3, epsilon=1e-3)
    optimizer.param_groups[0]["weight_decay"] = decay
    rows = shape[0] if shape else 1
    width = max(1, parameter.numel() // max(1, rows))
    w, s = parameter.detach().view(rows, width).tolist(), [0.0] * rows
    for _ in range(3):
        parameter.grad = torch.randn(shape, dtype=torch.float64)
        g = (parameter.grad + decay * parameter.detach()).view(rows, width).tolist()
        optimizer.step()
        slow_step(w, s, g, 0.3, 1e-3)
        expected = torch.tensor(w, dtype=torch.float64).view(shape)
        torch.testing.assert_close(parameter.detach(), expected)


def test_sparse_and_dense_gradients_give_the_same():
    torch.manual_seed(1)
    dense = torch.randn(6, 3, requires_grad=True)
    sparse = dense.detach().clone().requires_grad_()
    optimizer = RowWiseAdagrad([dense, sparse])
    for _ in range(3):
        dense.grad = torch.randn(6, 3)
        sparse.grad = dense.grad.to_sparse(1)
        optimizer.step()
    torch.testing.assert_close(dense, sparse)
