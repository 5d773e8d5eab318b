"""Orthogonal iteration: the eigenvectors of a matrix A, by multiplying with it again and again.

    g = -c A Q               the gradient of -c/2 tr(Q^T A Q), for Q with orthonormal columns
    P <- rotate(-g)          so that its columns are orthogonal (`orthogonal_columns.py`)

The parameter P has the columns of Q times their lengths: a model divides them by these, and has Q.
The columns tend to the eigenvectors with the greatest eigenvalues, in falling order, and their
lengths to these eigenvalues times c (Golub & Van Loan 2013, section 8.2.4). From random columns it
is the randomized subspace iteration of Halko, Martinsson & Tropp (2011, algorithm 4.4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from seqlm.models.layers.orthogonal_columns import orthogonal_columns


class OrthogonalIteration(Optimizer):
    """Orthogonal iteration of matrices (R, K). The learning rate has no effect."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, {"lr": 1.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    gradient = matrix.grad
                    dense = gradient._values() if gradient.is_sparse else gradient  # of all rows
                    matrix.copy_(orthogonal_columns(-dense))
