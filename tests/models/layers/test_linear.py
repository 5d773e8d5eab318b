"""The layer on oneDNN against PyTorch's own, in float32."""

import pytest
import torch
from torch import nn

from seqlm.models.layers.linear import Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4)])
def test_values_and_gradients_are_those_of_pytorch(bias, shape):
    torch.manual_seed(1)
    ours = Linear(6, 9, bias=bias)
    theirs = nn.Linear(6, 9, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x, dy = torch.randn(*shape, 6), torch.randn(*shape, 9)
    results = []
    for layer in (ours, theirs):
        inputs = x.clone().requires_grad_()
        y = layer(inputs)
        y.backward(dy)
        results.append([y, inputs.grad, *(parameter.grad for parameter in layer.parameters())])
    torch.testing.assert_close(*results)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


def test_only_what_needs_a_gradient_gets_one():
    layer = Linear(6, 9).requires_grad_(False)
    x = torch.randn(2, 6, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(2, 6))
    assert layer.weight.grad is None
    layer.weight.requires_grad_()
    layer(x.detach()).sum().backward()
    torch.testing.assert_close(layer.weight.grad, x.detach().sum(0).expand(9, 6))
    assert layer.bias.grad is None


def test_other_types_and_autocast_run_pytorchs_code():
    layer = Linear(6, 9).double()
    assert layer(torch.randn(2, 6, dtype=torch.float64)).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert Linear(6, 9)(torch.randn(2, 6)).dtype == torch.bfloat16
