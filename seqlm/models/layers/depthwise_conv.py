"""A causal convolution of each channel by itself, as a Mamba layer begins with.

    y_tc = sum_k w_ck x_{t+k,c} + b_c        k = 0 .. K-1, x with K-1 tokens of the past in front

B rows · T tokens · C channels · K filter width
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x (B, K-1 + T, C), weight (C, K), bias (C,) -> y (B, T, C)."""
    if x.shape[1] == weight.shape[1]:  # T = 1: PyTorch's convolution takes twenty times as long
        return (x * weight.T).sum(1, keepdim=True) + bias
    y: Tensor = DepthwiseConv.apply(x, weight, bias)
    return y


class DepthwiseConv(torch.autograd.Function):
    """The backward pass as convolutions, since torch's own takes several times as long on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return convolve(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        K, T = weight.shape[1], dy.shape[1]
        dx = convolve(pad(dy, (0, 0, K - 1, K - 1)), weight.flip(1))
        d_weight = [(x[:, k : k + T] * dy).sum((0, 1)) for k in range(K)]
        return dx, torch.stack(d_weight, 1), dy.sum((0, 1))


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`depthwise_conv` without its gradient."""
    y: Tensor = nn.functional.conv1d(x.mT, weight[:, None], bias, groups=len(weight))
    return y.mT
