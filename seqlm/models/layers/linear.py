"""Linear layers whose products run on oneDNN on a CPU, forward and backward.

    y = x W' + b            x (.., I) · W (O, I) · y (.., O)
    dx = dy W      dW = dy' x      db = sum dy

Torch's own float32 products go to MKL, which on AMD processors stops at AVX2: half the rate of
oneDNN there (`benchmarks/training_speed.py`), the same on Intel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# The operator torch.compile lowers linear layers to; not public, hence the way round it below.
onednn_linear = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if torch.backends.mkldnn.is_available()
    else None
)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W' + b, of which oneDNN's form has no gradient."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() > 0
    if on_cpu and onednn_linear is not None:
        product: Tensor = onednn_linear(x, weight, bias, "none", [], "")
        return product
    return nn.functional.linear(x, weight, bias)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W' + b, differentiable. Torch's own under autocast and `torch.compile`."""
    if (
        x.device.type != "cpu"
        or x.dtype != torch.float32
        or torch.is_autocast_enabled("cpu")
        or torch.compiler.is_compiling()
    ):
        return nn.functional.linear(x, weight, bias)
    if torch.is_grad_enabled():
        y: Tensor = Product.apply(x, weight, bias)
        return y
    return linear(x, weight, bias)


class Linear(nn.Linear):
    """`nn.Linear`, faster on a CPU in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.weight, self.bias)


class Product(torch.autograd.Function):
    """y = x W' + b, differentiable once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return linear(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        rows, d_rows = x.flatten(0, -2), dy.flatten(0, -2)  # (n, I), (n, O)
        dx = linear(d_rows, weight.t()).view(x.shape) if ctx.needs_input_grad[0] else None
        dw = linear(d_rows.t(), rows.t()) if ctx.needs_input_grad[1] else None
        db = d_rows.sum(0) if ctx.needs_input_grad[2] else None
        return dx, dw, db
