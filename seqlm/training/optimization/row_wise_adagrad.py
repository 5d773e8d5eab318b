"""Row-wise Adagrad: a learning rate for each row of a matrix, which falls as the row is trained.

    s_r <- s_r + |g_r|^2 / D
    w_r <- w_r - lr g_r / (sqrt s_r + eps)

    w_r   a row of D numbers (one, in a vector)   g_r   its gradient   s_r   starts at 0

Adagrad (Duchi, Hazan & Singer 2011) has an s for each number; one for each row takes less memory
and time, and does as well for embeddings (Mudigere et al. 2022, section 4.1.4). Rows of rare words
keep a high rate, however often those of frequent words are trained.

The first step of a row is as long as any: its rate lr / sqrt s_r begins without bound. In groups
with a *bounded rate* it begins at lr, and rows that are rarely trained stay near where they were:

    s_r <- s_r + |lr g_r|^2 / D
    w_r <- w_r - lr g_r / sqrt s_r         s_r   starts at 1

That is the Adagrad of GloVe's program (Pennington, Socher & Manning 2014), by rows. Other than the
one above it depends on the scale of the gradient.

A sparse gradient updates its own rows alone: a step costs as much as it touches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class RowWiseAdagrad(Optimizer):
    """Row-wise Adagrad. In groups with weight decay d, gradients that are not sparse get d w."""

    def __init__(self, params: Any, lr: float = 0.1, epsilon: float = 1e-8) -> None:
        super().__init__(
            params, {"lr": lr, "eps": epsilon, "weight_decay": 0.0, "bounded_rate": False}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, group)

    def update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, lr, is_bounded = self.state[parameter], group["lr"], group["bounded_rate"]
        if not state:
            state["sum"] = parameter.new_full(parameter.shape[:1], float(is_bounded))
        squares: Tensor = state["sum"].view(-1)  # (R,), s
        unit, epsilon = (lr, 0.0) if is_bounded else (1.0, group["eps"])
        if gradient.is_sparse:
            rows, g = rows_of(gradient)  # (r,), (r, D)
            squares.index_add_(0, rows, mean_squares(g), alpha=unit**2)
            scale = -lr / (squares[rows].sqrt_().add_(epsilon))
            parameter.index_add_(0, rows, g * scale[:, None])
            return
        w, g = as_matrix(parameter), as_matrix(gradient)  # (R, D)
        if group["weight_decay"]:
            g = g + group["weight_decay"] * w
        squares.add_(mean_squares(g), alpha=unit**2)
        w.addcdiv_(g, (squares.sqrt() + epsilon)[:, None], value=-lr)


def as_matrix(tensor: Tensor) -> Tensor:
    """(R, ..) -> (R, D), of the same memory; D is 1 for a vector, and R too for a number."""
    return tensor[:, None].flatten(1) if tensor.ndim else tensor.view(1, 1)


def mean_squares(g: Tensor) -> Tensor:
    """(r, D) -> (r,), |g_r|^2 / D."""
    norms: Tensor = torch.linalg.vector_norm(g, dim=1)
    return norms.square_().div_(g.shape[1])


def rows_of(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows (r,) of a sparse gradient, and its values there (r, D)."""
    rows = gradient._indices()[0]
    # `backward` forgets that rows are in order, and to order them again would cost a tenth of it.
    if not (rows[1:] > rows[:-1]).all():
        gradient = gradient.coalesce()
    return gradient._indices()[0], gradient._values()
