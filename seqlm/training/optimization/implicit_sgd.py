"""Implicit stochastic gradient descent, for the rows of a table that are in many terms at once.

    w_r <- w_r - lr g_r / (1 + lr C m_r)

    w_r   a row of D numbers       g_r   its gradient, a sum over pairs
    m_r   the pairs of this row    C     the curvature of the loss of one pair

word2vec makes a step for each pair of words, and each step sees what the ones before have changed.
A batch adds the gradients of m_r pairs up, and a step lr g_r overshoots where that is a frequent
word. The implicit step (Toulis & Airoldi 2017) solves w' = w - lr ∇J(w') instead, with the gradient
at the point where it arrives; for a quadratic loss of curvature C m_r it is the one above. It is
the usual step where a word is rare, and never longer than to the minimum.

The loss of a pair, -log σ(u · v), has the curvature σ (1 - σ) |u|^2 along u, which is at most
|u|^2 / 4. C = 0.2 is that of output vectors of a length a little below 1.

The gradient is sparse, and `row_pairs` of the table, given by the model, has the m_r of its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from seqlm.machine.threads import one_thread

CURVATURE = 0.2
"""C"""


class ImplicitSGD(Optimizer):
    """Implicit SGD of tables whose gradients are sparse."""

    def __init__(self, params: Any, lr: float = 0.05) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    @one_thread()  # a step is short
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            lr = group["lr"]
            for table in group["params"]:
                if table.grad is not None:
                    rows, g = table.grad._indices()[0], table.grad._values()  # (r,), (r, D)
                    steps = -lr / (1 + lr * CURVATURE * table.row_pairs)  # (r,)
                    table.index_add_(0, rows, g.mul_(steps[:, None]))
