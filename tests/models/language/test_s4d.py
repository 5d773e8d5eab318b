"""S4D's convolution against its recurrence, written out in complex numbers, step by step."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm

from seqlm.errors import UsageError
from seqlm.models.config.state_space_config import S4DConfig
from seqlm.models.language import s4d
from seqlm.models.language.s4d import S4D, S4DLayer, Vandermonde, convolution
from seqlm.models.tree import pack

B, H, N = 3, 5, 6


def build(**options) -> S4D:
    """In float64, with initial parameters except that frequencies are not multiples of pi."""
    torch.manual_seed(1)
    config = S4DConfig(vocab_size=11, width=H, layers=2, state_size=N, **options)
    model = S4D(config).double().eval()
    with torch.no_grad():
        for layer in model.layers:
            layer.frequency.uniform_(-3, 3)
            layer.log_step.uniform_(-2, 1)
    return model


def as_complex(z: Tensor) -> Tensor:
    """(.., 2, n) -> (.., n) complex."""
    return torch.complex(*z.unbind(-2))


def slowly(layer: S4DLayer, u: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, H) and the state (B, H, 2, n): the equations, one step after another."""
    A = torch.complex(-layer.log_decay.exp(), layer.frequency)  # (H, n)
    step = layer.log_step.exp()[:, None]
    A_bar = torch.exp(step * A)
    C_bar = as_complex(layer.C) * (A_bar - 1) / A
    x, ys = as_complex(x), []
    for t in range(u.shape[1]):
        x = A_bar * x + u[:, t, :, None]
        ys.append(2 * (C_bar * x).real.sum(-1) + layer.D * u[:, t])
    z = gelu(torch.stack(ys, 1)) @ layer.output.weight.T + layer.output.bias
    return z[..., :H] * torch.sigmoid(z[..., H:]), torch.stack([x.real, x.imag], -2)


@pytest.mark.parametrize("length", [1, 3, 4, 8, 11])
def test_a_layer_is_its_equations(monkeypatch, length):
    monkeypatch.setattr(s4d, "CHUNK", 4)  # less than a chunk, whole chunks, and a rest
    layer = build().layers[0]
    u, x = torch.randn(B, length, H).double(), torch.randn(B, H, 2, N // 2).double()
    torch.testing.assert_close(layer(u, x), slowly(layer, u, x))


def test_the_network_is_its_equations():
    model = build()
    tokens = torch.randint(11, (B, 7))
    features, states, *_ = model(tokens, model.initial_cache(B))
    r = math.sqrt(H) * model.output_layer.weight[tokens]
    for layer, norm, found in zip(model.layers, model.norms, states, strict=True):
        y, x = slowly(layer, layer_norm(r, (H,), norm.weight, norm.bias), model.initial_cache(B)[0])
        torch.testing.assert_close(found, x)
        r = r + y
    expected = layer_norm(r, (H,), model.norm.weight, model.norm.bias)
    torch.testing.assert_close(features, expected)


def test_gradients_are_those_of_the_equations(monkeypatch):
    monkeypatch.setattr(s4d, "CHUNK", 4)
    layer = build().layers[0]
    u = torch.randn(B, 11, H).double().requires_grad_()
    x = torch.randn(B, H, 2, N // 2).double().requires_grad_()
    wrt = [u, x, *layer.parameters()]
    gradients = []
    for form in (layer, lambda u, x: slowly(layer, u, x)):
        y, after = form(u, x)
        loss = (y * torch.arange(y.numel()).view(y.shape)).sum() + after.square().sum()
        gradients.append(torch.autograd.grad(loss, wrt))
    torch.testing.assert_close(*gradients)


def test_the_gradient_of_the_powers():
    exponent = (0.3 * torch.randn(2, 2, 3).double()).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: Vandermonde.apply(p, 6), exponent)


@pytest.mark.parametrize("length", [1, 2, 35, 53])
def test_the_convolution_is_causal(length):
    u, K = torch.randn(2, length).double(), torch.randn(2, length).double()
    slow = [(u[:, : t + 1].flip(1) * K[:, : t + 1]).sum(1) for t in range(length)]
    torch.testing.assert_close(convolution(u, K), torch.stack(slow, 1))


def test_float32_is_exact_over_a_long_segment():
    """With the initial parameters: decays are near 1, and angles turn many times."""
    torch.manual_seed(1)
    layer = S4DLayer(16, 64)
    u, x = torch.randn(1, 1000, 16), layer.initial_state(1)
    with torch.no_grad():
        found, _ = layer(u, x)
        exact, _ = layer.double()(u.double(), x.double())
    torch.testing.assert_close(found.double(), exact, atol=1e-4, rtol=1e-4)


def test_autocast_leaves_the_recurrence_alone():
    model = build().float()
    tokens = torch.randint(11, (B, 9))
    features, states, *_ = model(tokens, model.initial_cache(B))
    with torch.autocast("cpu", torch.bfloat16):
        low, low_states, *_ = model(tokens, model.initial_cache(B))
    assert {tensor.dtype for tensor in pack(low_states).values()} == {torch.float32}
    torch.testing.assert_close(low.float(), features, atol=0.05, rtol=0.05)
    torch.testing.assert_close(low_states[0], states[0])  # nothing before it was rounded


def test_it_is_initialized_as_s4d_lin():
    torch.manual_seed(1)
    layer = S4DLayer(200, 8)
    torch.testing.assert_close(layer.log_decay.exp(), torch.full((200, 4), 0.5))
    torch.testing.assert_close(layer.frequency[7] / math.pi, torch.arange(4.0))
    step = layer.log_step.exp()
    assert 1e-3 <= step.min() < 2e-3
    assert 5e-2 < step.max() <= 1e-1


def test_steps_and_decays_have_a_low_rate_and_every_parameter_is_in_one_group():
    model = build(tied=False)
    *others, slow = model.parameter_groups()
    assert (slow.max_lr, slow.weight_decay) == (1e-3, False)
    assert len(slow.parameters) == 3 * 2
    assert {p.shape for p in slow.parameters} == {(H,), (H, N // 2)}
    assert all(group.max_lr is None for group in others)
    grouped = [id(p) for group in model.parameter_groups() for p in group.parameters]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_a_state_without_its_conjugate_is_refused():
    with pytest.raises(UsageError, match="5 is not even"):
        S4DConfig(vocab_size=11, state_size=5)
