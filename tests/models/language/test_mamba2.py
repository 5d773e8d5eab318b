"""Mamba-2's products of matrices against its recurrence, written out step by step in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu, softplus

from seqlm.errors import UsageError
from seqlm.models.config.state_space_config import Mamba2Config
from seqlm.models.language import mamba2
from seqlm.models.language.mamba2 import (
    Mamba2,
    Mamba2Layer,
    Mamba2State,
    chunked,
    decays,
    recurrence,
)
from seqlm.models.tree import pack

B, D, P, N, K = 3, 6, 4, 5, 3
I = 2 * D  # noqa: E741
H = I // P


def build(**options) -> Mamba2:
    torch.manual_seed(1)
    config = Mamba2Config(
        vocab_size=11, width=D, layers=2, head_width=P, state_size=N, conv_kernel=K, **options
    )
    model = Mamba2(config).double().eval()
    with torch.no_grad():
        for layer in model.layers:
            layer.dt_bias.uniform_(-2, 1)
            layer.conv_bias.uniform_(-1, 1)
            layer.D.uniform_(-1, 1)
    return model


def rms(x: Tensor, gain: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain


def slowly(layer: Mamba2Layer, u: Tensor, state: Mamba2State) -> tuple[Tensor, Mamba2State]:
    """(B, T, D): the equations, one step, one row, one head and one channel after another."""
    tail, h = state.conv_tail.clone(), state.h.clone()
    outputs = torch.empty_like(u)
    for b in range(u.shape[0]):
        for t in range(u.shape[1]):
            projected = layer.in_proj.weight @ u[b, t]
            z, mix, step = projected[:I], projected[I : 2 * I + 2 * N], projected[2 * I + 2 * N :]
            seen = torch.cat([tail[b], mix[None]])  # (K, I + 2N), oldest first
            tail[b] = seen[1:]
            mix = silu((seen * layer.conv_weight.T).sum(0) + layer.conv_bias)
            x, B_t, C_t = mix[:I], mix[I : I + N], mix[I + N :]
            y = torch.empty(I, dtype=u.dtype)
            for head in range(H):
                delta = softplus(step[head] + layer.dt_bias[head])
                a = -layer.A_log[head].exp()
                for p in range(P):
                    i = head * P + p
                    decayed = torch.exp(delta * a) * h[b, head, p]
                    h[b, head, p] = decayed + delta * x[i] * B_t
                    y[i] = h[b, head, p] @ C_t + layer.D[head] * x[i]
            outputs[b, t] = layer.out_proj.weight @ rms(y * silu(z), layer.norm.weight)
    return outputs, Mamba2State(tail, h)


def state() -> Mamba2State:
    tail = torch.randn(B, K - 1, I + 2 * N, dtype=torch.float64)
    return Mamba2State(tail, torch.randn(B, H, P, N, dtype=torch.float64))


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 2, 4, 7, 8, 11])
def test_a_layer_is_its_equations(monkeypatch, length):
    monkeypatch.setattr(mamba2, "CHUNK", 4)  # less than a chunk, whole chunks, and padded ones
    layer, before = build().layers[0], state()
    u = torch.randn(B, length, D).double()
    torch.testing.assert_close(layer(u, before), slowly(layer, u, before))


@torch.no_grad()
def test_the_network_is_its_equations():
    model = build()
    tokens = torch.randint(11, (B, 5))
    features, states, *_ = model(tokens, model.initial_cache(B))
    r = math.sqrt(D) * model.output_layer.weight[tokens]
    for layer, norm, found in zip(model.layers, model.norms, states, strict=True):
        y, after = slowly(layer, rms(r, norm.weight), layer.initial_state(B))
        torch.testing.assert_close(found, after)
        r = r + y
    torch.testing.assert_close(features, rms(r, model.norm.weight))


def scan_inputs() -> list[Tensor]:
    """X, a, B, C, h for eleven tokens."""
    shapes = [(B, 11, H, P), (B, 11, H), (B, 11, N), (B, 11, N), (B, H, P, N)]
    torch.manual_seed(1)
    X, a, *rest = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    return [one.requires_grad_() for one in (X, -a.exp(), *rest)]


def test_gradients_are_those_of_the_recurrence(monkeypatch):
    monkeypatch.setattr(mamba2, "CHUNK", 4)
    gradients = []
    for scan in (recurrence, chunked):
        inputs = scan_inputs()
        Y, h = scan(*inputs)
        loss = (Y * torch.arange(Y.numel()).view(Y.shape)).sum() + h.square().sum()
        gradients.append(torch.autograd.grad(loss, inputs))
    torch.testing.assert_close(*gradients)


def test_decays_are_the_exponentials_of_sums():
    a = -torch.rand(2, 6).double()
    found = decays(a)
    for t in range(6):
        for s in range(6):
            expected = a[:, s + 1 : t + 1].sum(1).exp() if s <= t else torch.zeros(2).double()
            torch.testing.assert_close(found[:, t, s], expected)
    assert torch.autograd.gradcheck(decays, a.requires_grad_())


def test_a_sum_is_not_a_difference_of_longer_ones():
    """After a step that forgets everything, small steps count as they are."""
    a = torch.tensor([0.0, -1e5, *[-1e-3] * 20])
    exact = torch.exp(-1e-3 * torch.arange(21.0))
    torch.testing.assert_close(decays(a)[1:, 1], exact, rtol=1e-6, atol=0)
    sums = a.cumsum(0)
    assert not torch.allclose((sums[1:] - sums[1]).exp(), exact, rtol=1e-3)


def test_autocast_leaves_the_recurrence_alone():
    model = build().float()
    tokens = torch.randint(11, (B, 9))
    features, *_ = model(tokens, model.initial_cache(B))
    with torch.autocast("cpu", torch.bfloat16):
        low, states, *_ = model(tokens, model.initial_cache(B))
    assert {tensor.dtype for tensor in pack(states).values()} == {torch.float32}
    torch.testing.assert_close(low.float(), features, atol=0.1, rtol=0.1)


def test_it_begins_as_in_the_paper():
    torch.manual_seed(1)
    layer = Mamba2Layer(Mamba2Config(vocab_size=11, width=800, head_width=4))
    step = softplus(layer.dt_bias)
    assert 1e-3 <= step.min() < 2e-3
    assert 5e-2 < step.max() <= 1e-1
    A = -layer.A_log.exp()
    assert -16 <= A.min() < -15
    assert -2 < A.max() <= -1
    assert (layer.D == 1).all()


def test_what_decays_in_time_has_no_weight_decay():
    model = build()
    without_decay = [
        p for group in model.parameter_groups() if not group.weight_decay for p in group.parameters
    ]
    for layer in model.layers:
        for parameter in (layer.A_log, layer.D, layer.dt_bias):
            assert any(parameter is one for one in without_decay)


def test_heads_share_the_channels_evenly():
    with pytest.raises(UsageError, match="head_width 3 does not divide the 20 inner channels"):
        Mamba2Config(vocab_size=11, width=10, head_width=3)
    channels = [
        Mamba2Config(vocab_size=11, width=width).channels_per_head for width in (256, 200, 48, 8)
    ]
    assert channels == [64, 50, 48, 16]
