"""The depthwise convolution against its sum, and its gradient against finite differences."""

from __future__ import annotations

import torch

from seqlm.models.layers.depthwise_conv import depthwise_conv

B, T, C, K = 2, 4, 3, 4


def inputs() -> list[torch.Tensor]:
    torch.manual_seed(1)
    shapes = (B, K - 1 + T, C), (C, K), (C,)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def test_it_is_its_sum():
    x, weight, bias = inputs()
    expected = torch.stack([(x[:, t : t + K] * weight.T).sum(1) + bias for t in range(T)], 1)
    torch.testing.assert_close(depthwise_conv(x, weight, bias), expected)


def test_its_gradient():
    assert torch.autograd.gradcheck(depthwise_conv, inputs())
