"""Linear layers whose matrix products run on the fastest library of a CPU, forward and backward.

    y = x W' + b            x (.., I) · W (O, I) · y (.., O)
    dx = dy W      dW = dy' x      db = sum dy

PyTorch gives its float32 products to MKL, which uses no more than AVX2 on AMD processors: there it
has half the speed of oneDNN (`benchmarks/training_speed.py`). On Intel's it is the faster one.

Within `bfloat16_products` the factors of a product are rounded to 8 bits, and their products are
added up in float32. Tensors are float32 before and after it. Processors that have instructions for
it are several times as fast then (`seqlm/training/optimization/precision.py`).
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# Operators that torch.compile lowers linear layers to. They are not public, and may be missing.
ONEDNN_OPERATOR, ONEDNN_REORDER = (
    getattr(torch.ops.mkldnn, name, None) if torch.backends.mkldnn.is_available() else None
    for name in ("_linear_pointwise", "_reorder_linear_weight")
)


def is_intel() -> bool:
    """Whether this is one of Intel's processors; False where the system does not tell."""
    with suppress(OSError):
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text(errors="replace")
    return "GenuineIntel" in platform.processor()


USES_ONEDNN = ONEDNN_OPERATOR is not None and not (torch.backends.mkl.is_available() and is_intel())
"""Whether float32 products run on oneDNN."""


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
    """x W' + b without a gradient, on oneDNN where that computes it faster."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() > 0
    if on_cpu and rounds_factors(weight):
        return bfloat16_linear(x, weight, bias)
    several_rows = x.numel() > x.shape[-1]  # oneDNN takes longer to prepare than to multiply one
    if on_cpu and several_rows and USES_ONEDNN:
        assert ONEDNN_OPERATOR is not None
        y: Tensor = ONEDNN_OPERATOR(x, weight, bias, "none", [], "")
        return y
    return nn.functional.linear(x, weight, bias)


def weight_gradient(dy: Tensor, x: Tensor) -> Tensor:
    """dy' x (O, I) of dy (n, O) and x (n, I), without a gradient.

    oneDNN first copies the transpose of its left factor: the narrower one is there.
    """
    if USES_ONEDNN and dy.shape[1] > x.shape[1]:
        return onednn_linear(x.t(), dy.t()).t()
    return onednn_linear(dy.t(), x.t())


def add_weight_gradient(dy: Tensor, x: Tensor, to: Tensor, begin: bool = False) -> None:
    """Adds dy' x to the tensor `to` (O, I), or at the `begin` of a sum puts it there."""
    rounds = rounds_factors(to)
    if onednn_rounds_factors() if rounds else not USES_ONEDNN:
        with onednn_rounding(rounds):
            torch.addmm(to, dy.t(), x, beta=0 if begin else 1, out=to)
    elif begin:
        to.copy_(weight_gradient(dy, x))
    else:
        to.add_(weight_gradient(dy, x))


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
        dw = weight_gradient(d_rows, rows) if ctx.needs_input_grad[1] else None
        db = d_rows.sum(0) if ctx.needs_input_grad[2] else None
        return dx, dw, db


# --------------------------------------------------------------------------- products of bfloat16

ROUNDS_FACTORS = ContextVar("ROUNDS_FACTORS", default=False)


@contextmanager
def bfloat16_products(enabled: bool = True) -> Iterator[None]:
    """Within this context the factors of all products of this module, of float32 on a CPU, are
    rounded to bfloat16. It has to hold in the backward pass, too."""
    token = ROUNDS_FACTORS.set(enabled)
    try:
        yield
    finally:
        ROUNDS_FACTORS.reset(token)


def rounds_factors(weight: Tensor) -> bool:
    """Whether products with `weight` have factors of bfloat16 here."""
    if torch.compiler.is_compiling():
        return False
    return ROUNDS_FACTORS.get() and weight.device.type == "cpu" and weight.dtype == torch.float32


def bfloat16_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W' + b with x and W rounded to bfloat16, sums and result in float32.

    oneDNN rounds the factors itself where the processor has tiles (AMX), and then the result is
    exact to float32. Elsewhere they are rounded here, and the result is rounded to bfloat16, too.
    """
    if onednn_rounds_factors():
        with onednn_rounding():
            return nn.functional.linear(x, weight, bias)
    y = nn.functional.linear(x.bfloat16(), weight.bfloat16()).float()
    return y if bias is None else y.add_(bias)


def repeated_linear(
    weight: Tensor, rows: int, bias: Tensor | None = None
) -> Callable[[Tensor], Tensor]:
    """The function of x (`rows`, I) that is x W' + b, for many x in a row, without a gradient.

    Where factors are rounded, W is rounded and laid out for the processor once: for few rows that
    takes longer than their product. The results, and b, are then rounded to bfloat16, too.
    """
    if not (rounds_factors(weight) and ONEDNN_OPERATOR and ONEDNN_REORDER):
        return partial(onednn_linear, weight=weight, bias=bias)
    operator, laid_out = ONEDNN_OPERATOR, ONEDNN_REORDER(weight.bfloat16().contiguous(), rows)
    b = None if bias is None else bias.bfloat16()
    return lambda x: operator(x.bfloat16(), laid_out, b, "none", [], "")


@contextmanager
def onednn_rounding(enabled: bool = True) -> Iterator[None]:
    """Within this context oneDNN may round the factors of float32 products to bfloat16."""
    if not enabled:
        yield
        return
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        yield
    finally:
        matmul.fp32_precision = before


@cache
def onednn_rounds_factors() -> bool:
    """Whether `onednn_rounding` has an effect here: 1 + 2^-12 is 1 in bfloat16."""
    x = torch.full((64, 64), 1 + 2**-12)
    with torch.no_grad(), onednn_rounding():
        return bool((nn.functional.linear(x, x) == 64).all())
