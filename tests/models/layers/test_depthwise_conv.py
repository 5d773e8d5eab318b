"""The depthwise convolution against its sum, and its gradient against finite differences."""

from __future__ import annotations

import pytest
import torch

from seqlm.models.layers.depthwise_conv import depthwise_conv

B, C, K = 2, 3, 4
LENGTHS = [1, 4]


def inputs(length: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    shapes = (B, K - 1 + length, C), (C, K), (C,)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("length", LENGTHS)
def test_it_is_its_sum(length):
    x, weight, bias = inputs(length)
    sums = [
        [bias[c] + sum(weight[c, k] * x[:, t + k, c] for k in range(K)) for c in range(C)]
        for t in range(length)
    ]
    expected = torch.stack([torch.stack(channels, 1) for channels in sums], 1)
    torch.testing.assert_close(depthwise_conv(x, weight, bias), expected)


@pytest.mark.parametrize("length", LENGTHS)
def test_its_gradient(length):
    assert torch.autograd.gradcheck(depthwise_conv, inputs(length))
