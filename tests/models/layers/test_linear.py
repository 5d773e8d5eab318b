"""The layer on oneDNN against PyTorch's own, in float32, and against rounded factors in float64."""

import pytest
import torch
from torch import nn

from seqlm.models.layers import linear as module
from seqlm.models.layers.linear import Linear, bfloat16_products


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 4), (1,), (1, 1)])
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


# ----------------------------------------------------------------------------- products of bfloat16

BFLOAT16 = 2.0**-8
"""The distance of 1 to the next number: rounding moves a number by half of it at most."""


def rounded(x: torch.Tensor) -> torch.Tensor:
    return x.bfloat16().double()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("by_onednn", [True, False])
def test_products_of_bfloat16_are_those_of_rounded_factors(bias, by_onednn, monkeypatch) -> None:
    if by_onednn and not module.onednn_rounds_factors():
        pytest.skip("this processor has no tiles")
    monkeypatch.setattr(module, "onednn_rounds_factors", lambda: by_onednn)
    torch.manual_seed(1)
    layer = Linear(48, 96, bias=bias)
    x, dy = torch.randn(3, 40, 48, requires_grad=True), torch.randn(3, 40, 96)
    with bfloat16_products():
        y = layer(x)
        y.backward(dy)
    weight, rows, d_rows = layer.weight.detach(), x.detach().flatten(0, 1), dy.flatten(0, 1)
    found = [y.flatten(0, 1), x.grad.flatten(0, 1), layer.weight.grad]
    expected = [
        rounded(rows) @ rounded(weight).t(),
        rounded(d_rows) @ rounded(weight),
        rounded(d_rows).t() @ rounded(rows),
    ]
    if bias:
        expected[0] = expected[0] + layer.bias.double()
        torch.testing.assert_close(layer.bias.grad, d_rows.sum(0))
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if by_onednn else {"rtol": BFLOAT16, "atol": 1e-2}
    for a, b in zip(found, expected):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a.double(), b, **tolerance)


def test_nothing_is_rounded_outside_of_the_context_nor_where_it_is_off() -> None:
    torch.manual_seed(1)
    layer, x = Linear(48, 96), torch.randn(40, 48)
    y = layer(x)
    with bfloat16_products():
        assert not torch.equal(layer(x), y)
        with bfloat16_products(enabled=False):
            assert torch.equal(layer(x), y)
    assert torch.equal(layer(x), y)
    assert torch.equal(nn.functional.linear(x, x), x @ x.t())
    assert torch.backends.mkldnn.matmul.fp32_precision == "none"


def test_other_types_are_not_rounded() -> None:
    layer, x = Linear(48, 96).double(), torch.randn(40, 48, dtype=torch.float64)
    with bfloat16_products():
        torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))
