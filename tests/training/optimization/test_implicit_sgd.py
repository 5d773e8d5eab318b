"""Implicit SGD against its formula, and against the equation that it solves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqlm.training.optimization.implicit_sgd import CURVATURE, ImplicitSGD

R, D = 5, 3
ROWS = st.lists(st.lists(st.integers(0, R - 1), unique=True, max_size=R), min_size=1, max_size=5)


def table_of(seed: int = 1) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(R, D, dtype=torch.float64, requires_grad=True)


def give_gradient(table: Tensor, rows: list[int], values: Tensor, pairs: Tensor) -> None:
    table.grad = torch.sparse_coo_tensor(
        torch.tensor([rows], dtype=torch.int64), values, (R, D), is_coalesced=True,
        check_invariants=False,
    )  # fmt: skip
    table.row_pairs = pairs  # type: ignore[attr-defined]


@given(ROWS)
def test_each_row_makes_the_step_of_the_formula(batches: list[list[int]]) -> None:
    table = table_of()
    lr = 0.3
    optimizer = ImplicitSGD([table], lr=lr)
    expected = table.tolist()
    for rows in batches:
        g = torch.randn(len(rows), D, dtype=torch.float64)
        m = torch.rand(len(rows), dtype=torch.float64) * 50
        for r, slope, pairs in zip(rows, g.tolist(), m.tolist()):
            factor = lr / (1 + lr * CURVATURE * pairs)
            expected[r] = [w - factor * x for w, x in zip(expected[r], slope)]
        give_gradient(table, rows, g, m)
        optimizer.step()
        torch.testing.assert_close(table.detach(), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("lr", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("pairs", [0.5, 10.0, 5000.0])
def test_it_solves_the_implicit_equation_of_a_quadratic(lr: float, pairs: float) -> None:
    """w' = w - lr ∇J(w'), where J(w) = m C |w - c|^2 / 2; it never passes the minimum c."""
    table, c = table_of(), torch.randn(R, D, dtype=torch.float64)
    before = table.detach().clone()

    def slope(w: Tensor) -> Tensor:
        return pairs * CURVATURE * (w - c)

    m = torch.full((R,), pairs, dtype=torch.float64)
    give_gradient(table, list(range(R)), slope(before), m)
    ImplicitSGD([table], lr=lr).step()
    after = table.detach()
    torch.testing.assert_close(after, before - lr * slope(after))
    assert ((after - c).sign() == (before - c).sign()).all()
    assert ((after - c).abs() < (before - c).abs()).all()


def test_a_rare_word_makes_the_usual_step() -> None:
    table, g = table_of(), torch.ones(R, D, dtype=torch.float64)
    expected = table.detach() - 0.05 * g
    give_gradient(table, list(range(R)), g.clone(), torch.full((R,), 1e-6, dtype=torch.float64))
    ImplicitSGD([table], lr=0.05).step()
    torch.testing.assert_close(table.detach(), expected)


def test_tables_without_a_gradient_stay() -> None:
    table = table_of()
    before = table.detach().clone()
    ImplicitSGD([table]).step()
    assert torch.equal(table, before)
