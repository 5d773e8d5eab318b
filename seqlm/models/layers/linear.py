"""Linear layers whose matrix products run on oneDNN on a CPU, forward and backward.

    y = x W' + b            x (.., I) · W (O, I) · y (.., O)
    dx = dy W      dW = dy' x      db = sum dy

PyTorch gives its float32 products to MKL, which uses no more than AVX2 on AMD processors: there it
has half the speed of oneDNN (`benchmarks/training_speed.py`), on Intel the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# The operator to which torch.compile lowers linear layers. It is not public, and may be missing.
ONEDNN_OPERATOR = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if torch.backends.mkldnn.is_available()
    else None
)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W' + b. It is PyTorch's own on other devices, under autocast and under `torch.compile`."""
    if (
        x.device.type != "cpu"
        or x.dtype != torch.float32
        or torch.is_autocast_enabled("cpu")
        or torch.compiler.is_compiling()
    ):
        return nn.functional.linear(x, weight, bias)
    if torch.is_grad_enabled():
        y: Tensor = LinearFunction.apply(x, weight, bias)
        return y
    return onednn_linear(x, weight, bias)


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W' + b without a gradient, on oneDNN where that can compute it."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() > 0
    if on_cpu and ONEDNN_OPERATOR is not None:
        y: Tensor = ONEDNN_OPERATOR(x, weight, bias, "none", [], "")
        return y
    return nn.functional.linear(x, weight, bias)


class Linear(nn.Linear):
    """`nn.Linear`, faster on a CPU in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class LinearFunction(torch.autograd.Function):
    """y = x W' + b, differentiable once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return onednn_linear(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        rows, d_rows = x.flatten(0, -2), dy.flatten(0, -2)  # (n, I), (n, O)
        dx = onednn_linear(d_rows, weight.t()).view(x.shape) if ctx.needs_input_grad[0] else None
        dw = onednn_linear(d_rows.t(), rows.t()) if ctx.needs_input_grad[1] else None
        db = d_rows.sum(0) if ctx.needs_input_grad[2] else None
        return dx, dw, db
