"""The GRU's layer against its equations, step by step in float64, and against `nn.GRU`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seqlm.models.layers.recurrence.gru import GRULayer

B, T, E, D = 3, 6, 4, 5


def run_slowly(layer: GRULayer, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    outputs = []
    for t in range(x.shape[1]):
        W_r, W_z, W_n = (x[:, t] @ layer.weight_ih_l0.T + layer.bias_ih_l0).chunk(3, 1)
        U_r, U_z, u = (h @ layer.weight_hh_l0.T + layer.bias_hh_l0).chunk(3, 1)
        r, z = torch.sigmoid(W_r + U_r), torch.sigmoid(W_z + U_z)
        h = (1 - z) * torch.tanh(W_n + r * u) + z * h
        outputs.append(h)
    return torch.stack(outputs, 1), h


def build() -> tuple[GRULayer, Tensor, Tensor]:
    """A layer with large weights, and x, h."""
    torch.manual_seed(1)
    layer = GRULayer(E, D).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x, h = (torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((B, T, E), (B, D)))
    return layer, x, h


def test_forward_is_the_equations() -> None:
    layer, x, h = build()
    found, last = layer(x, h[None])
    torch.testing.assert_close((found, last[0]), run_slowly(layer, x, h))
    torch.testing.assert_close(layer(x)[0], run_slowly(layer, x, torch.zeros_like(h))[0])


@pytest.mark.parametrize("part", [0, 1], ids=["output", "h"])
def test_every_gradient_is_that_of_the_equations(part: int) -> None:
    """The gradients of the output alone and of the last h alone."""
    layer, x, h = build()
    variables = [x, h, *layer.parameters()]
    found, expected = layer(x, h[None])[part], run_slowly(layer, x, h)[part]
    found = found.view_as(expected)
    weights = torch.randn_like(expected)
    gradients = torch.autograd.grad((found * weights).sum(), variables)
    torch.testing.assert_close(
        gradients, torch.autograd.grad((expected * weights).sum(), variables)
    )


def test_it_is_pytorchs_layer() -> None:
    layer, x, h = build()
    reference = nn.GRU(E, D, batch_first=True).double()
    reference.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x, h[None]), reference(x, h[None]))


def test_autocast_runs_pytorchs_code() -> None:
    layer, x, h = build()
    whole, _ = layer(x, h[None])
    with torch.autocast("cpu", torch.bfloat16):
        lower, _ = layer.float()(x.float(), h[None].float())
    torch.testing.assert_close(lower.double(), whole, atol=0.1, rtol=0)
    assert not torch.allclose(lower.double(), whole, atol=1e-5)
