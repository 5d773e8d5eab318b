"""The LSTM's variants against their equations, step by step in float64, and against `nn.LSTM`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seqlm.models.layers.linear import bfloat16_products
from seqlm.models.layers.recurrence import lstm_variants
from seqlm.models.layers.recurrence.gru import GRULayer
from seqlm.models.layers.recurrence.lstm_variants import LSTMLayer, LSTMVariantLayer
from seqlm.models.layers.recurrence.recurrent_layers import LSTMState, run_layer, zero_state

B, T, E, D = 3, 6, 4, 5
VARIANTS = [(False, False), (False, True), (True, False), (True, True)]
variants = pytest.mark.parametrize(("peephole", "coupled"), VARIANTS)


def step(layer: LSTMVariantLayer, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """(B, E), (B, D), (B, D) -> the next h and c."""
    z = x @ layer.weight_ih_l0.T + layer.bias_ih_l0 + h @ layer.weight_hh_l0.T + layer.bias_hh_l0
    if layer.coupled:
        f, g, o = z.chunk(3, -1)
    else:
        i, f, g, o = z.chunk(4, -1)
        i = torch.sigmoid(i + layer.peephole_i * c if layer.peephole else i)
    f = torch.sigmoid(f + layer.peephole_f * c if layer.peephole else f)
    if layer.coupled:
        i = 1 - f
    c = f * c + i * torch.tanh(g)
    o = torch.sigmoid(o + layer.peephole_o * c if layer.peephole else o)
    return o * torch.tanh(c), c


def run_slowly(
    layer: LSTMVariantLayer, x: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    outputs = []
    for t in range(x.shape[1]):
        h, c = step(layer, x[:, t], h, c)
        outputs.append(h)
    return torch.stack(outputs, 1), h, c


def build(peephole: bool, coupled: bool) -> tuple[LSTMVariantLayer, list[Tensor]]:
    """A layer with large weights, and x, h, c."""
    torch.manual_seed(1)
    layer = LSTMVariantLayer(E, D, peephole, coupled).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    shapes = [(B, T, E), (B, D), (B, D)]
    return layer, [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]


@variants
def test_forward_is_the_equations(peephole: bool, coupled: bool) -> None:
    layer, (x, h, c) = build(peephole, coupled)
    found, (last_h, last_c) = layer(x, (h[None], c[None]))
    torch.testing.assert_close((found, last_h[0], last_c[0]), run_slowly(layer, x, h, c))


@variants
@pytest.mark.parametrize("part", [0, 1, 2], ids=["output", "h", "c"])
def test_every_gradient_is_that_of_the_equations(peephole: bool, coupled: bool, part: int) -> None:
    """The gradients of the output alone, of the last h alone and of the last c alone."""
    layer, inputs = build(peephole, coupled)
    variables = [*inputs, *layer.parameters()]
    found, expected = (
        torch.autograd.grad(
            (outputs[part] * torch.arange(1, D + 1)).sum(),
            variables,
            materialize_grads=True,
        )
        for outputs in (layer.run(*inputs, layer.weight_hh_l0), run_slowly(layer, *inputs))
    )
    torch.testing.assert_close(found, expected)
    assert all(gradient.any() for gradient in found)


@variants
def test_gradients_are_those_of_finite_differences(peephole: bool, coupled: bool) -> None:
    layer, (x, h, c) = build(peephole, coupled)

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        return layer.run(*inputs, layer.weight_hh_l0)

    assert torch.autograd.gradcheck(run, (x[:, :3], h, c))


def test_with_neither_it_is_pytorchs_lstm() -> None:
    layer, (x, h, c) = build(False, False)
    lstm = nn.LSTM(E, D, batch_first=True).double()
    lstm.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x, (h[None], c[None])), lstm(x, (h[None], c[None])))


@variants
def test_two_segments_are_one(peephole: bool, coupled: bool) -> None:
    layer, (x, h, c) = build(peephole, coupled)
    whole, (_, cell) = layer(x, (h[None], c[None]))
    first, state = layer(x[:, :2], (h[None], c[None]))
    second, (_, last) = layer(x[:, 2:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(last, cell)


def test_another_recurrent_weight_takes_the_gradient() -> None:
    """Weight-drop needs this."""
    layer, inputs = build(True, False)
    dropped = layer.weight_hh_l0 * torch.rand_like(layer.weight_hh_l0).round()
    output, *_ = layer.run(*inputs, dropped)
    output.sum().backward()
    gone = dropped == 0
    assert not layer.weight_hh_l0.grad[gone].any()
    assert layer.weight_hh_l0.grad[~gone].all()


def test_coupled_gates_have_a_quarter_fewer_weights_and_peepholes_are_vectors() -> None:
    shapes = {
        variant: {
            name: tuple(p.shape) for name, p in LSTMVariantLayer(E, D, *variant).named_parameters()
        }
        for variant in VARIANTS
    }
    assert shapes[False, False] == {
        name: tuple(p.shape) for name, p in nn.LSTM(E, D).named_parameters()
    }
    assert shapes[False, True]["weight_hh_l0"] == (3 * D, D)
    extra = shapes[True, True].keys() - shapes[False, True].keys()
    assert {name: shapes[True, True][name] for name in extra} == {
        "peephole_f": (D,), "peephole_o": (D,),
    }  # fmt: skip


def test_autocast_leaves_the_cell_in_float32() -> None:
    layer, inputs = build(True, True)
    layer = layer.float()
    x, h, c = (part.detach().float() for part in inputs)
    with torch.autocast("cpu", torch.bfloat16):
        autocast = layer.run(x.bfloat16(), h, c, layer.weight_hh_l0)
    plain = layer.run(x.bfloat16().float(), h, c, layer.weight_hh_l0)
    torch.testing.assert_close(autocast, plain, rtol=0, atol=0)


# ----------------------------------------------------------------------------- products of bfloat16


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "variant", "gru"])
def test_products_of_bfloat16_are_near_those_of_float32(kind, dropped, monkeypatch) -> None:
    """Output, last state and every gradient, with and without another recurrent weight."""
    monkeypatch.setattr(lstm_variants, "LEAST_UNITS", 64)
    torch.manual_seed(1)
    layer = {
        "lstm": lambda: LSTMLayer(48, 64),
        "variant": lambda: LSTMVariantLayer(48, 64, peephole=True, coupled=False),
        "gru": lambda: GRULayer(48, 64),
    }[kind]()
    x = torch.randn(16, 7, 48)
    results = []
    for rounded in (False, True):
        torch.manual_seed(2)
        inputs = x.clone().requires_grad_()
        weight = nn.functional.dropout(layer.weight_hh_l0, 0.5) if dropped else None
        with bfloat16_products(rounded):
            output, state = run_layer(layer, inputs, zero_state(layer, x), weight)
            output.sin().sum().backward()
        last = state if isinstance(state, LSTMState) else (state,)
        gradients = [inputs.grad, *(p.grad for p in layer.parameters())]
        results.append([output.detach(), *(part.detach() for part in last), *gradients])
        layer.zero_grad()
    for exact, near in zip(*results, strict=True):
        assert near.dtype == torch.float32
        distance = (near - exact).norm() / exact.norm()
        assert distance < 0.01
    rounds_all = kind != "gru" or not dropped  # torch.gru has no products of bfloat16
    assert rounds_all == (not torch.equal(results[0][0], results[1][0]))


def test_the_lstm_is_pytorchs_where_nothing_is_rounded_or_the_layer_is_narrow() -> None:
    torch.manual_seed(1)
    layer = LSTMLayer(E, D)
    lstm = nn.LSTM(E, D, batch_first=True)
    lstm.load_state_dict(layer.state_dict())
    x, state = torch.randn(B, T, E), (torch.randn(1, B, D), torch.randn(1, B, D))
    expected = lstm(x, state)
    for rounded in (False, True):
        with bfloat16_products(rounded):
            torch.testing.assert_close(layer(x, state), expected, rtol=0, atol=0)
