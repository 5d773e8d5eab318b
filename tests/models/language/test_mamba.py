"""Mamba's scan against its recurrence, written out element by element in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import silu, softplus

from seqlm.models.config.state_space_config import MambaConfig
from seqlm.models.language.mamba import (
    EMBEDDING_SCALE,
    SAVE_EVERY,
    Mamba,
    MambaLayer,
    MambaState,
    best_number_of_chunks,
    parallel_scan,
    step,
)
from seqlm.models.tree import pack

B, D, N, K, R = 3, 4, 5, 3, 2
I = 2 * D  # noqa: E741


def build(**options) -> Mamba:
    torch.manual_seed(1)
    config = MambaConfig(
        vocab_size=11, width=D, layers=2, state_size=N, conv_kernel=K, dt_rank=R, **options
    )
    model = Mamba(config).double().eval()
    with torch.no_grad():
        for layer in model.layers:
            layer.dt_proj.bias.uniform_(-2, 1)
            layer.conv_bias.uniform_(-1, 1)
            layer.D.uniform_(-1, 1)
            layer.A_log.uniform_(-1, 1)
    return model


def rms(x: Tensor, gain: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain


def slowly(layer: MambaLayer, u: Tensor, state: MambaState) -> tuple[Tensor, MambaState]:
    """(B, T, D): the equations, one row, step, channel and number of the state after another."""
    outputs, tails, last = [], [], []
    for b in range(u.shape[0]):
        tail = list(state.conv_tail[b])  # K-1 of (I,)
        h = [list(column) for column in state.h[b].T]  # h[i][n]
        for t in range(u.shape[1]):
            xz = layer.in_proj.weight @ u[b, t]
            seen, z = [*tail, xz[:I]], xz[I:]  # K of (I,), oldest first
            tail = seen[1:]
            x = [
                silu(sum(seen[k][i] * layer.conv_weight[i, k] for k in range(K)) + bias)
                for i, bias in enumerate(layer.conv_bias)
            ]
            selected = layer.x_proj.weight @ torch.stack(x)
            low, B_t, C_t = selected[:R], selected[R : R + N], selected[R + N :]
            y = []
            for i in range(I):
                step = softplus(layer.dt_proj.weight[i] @ low + layer.dt_proj.bias[i])
                for n in range(N):
                    A = -torch.exp(layer.A_log[i, n])
                    h[i][n] = torch.exp(step * A) * h[i][n] + step * B_t[n] * x[i]
                y.append(sum(C_t[n] * h[i][n] for n in range(N)) + layer.D[i] * x[i])
            outputs.append(layer.out_proj.weight @ (torch.stack(y) * silu(z)))
        tails.append(torch.stack(tail))
        last.append(torch.stack([torch.stack(numbers) for numbers in h], 1))
    after = MambaState(torch.stack(tails), torch.stack(last))
    return torch.stack(outputs).view(u.shape), after


def state() -> MambaState:
    tail = torch.randn(B, K - 1, I, dtype=torch.float64)
    return MambaState(tail, torch.randn(B, N, I, dtype=torch.float64))


LENGTHS = [1, 2, SAVE_EVERY, SAVE_EVERY + 3]


@torch.no_grad()
@pytest.mark.parametrize("length", LENGTHS)
def test_a_layer_is_its_equations(length):
    layer, before = build().layers[0], state()
    u = torch.randn(B, length, D).double()
    torch.testing.assert_close(layer(u, before), slowly(layer, u, before), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("length", LENGTHS)
def test_its_gradients_are_those_of_its_equations(length):
    layer, before = build().layers[0], state()
    u = torch.randn(B, length, D).double().requires_grad_()
    before = MambaState(*(part.requires_grad_() for part in before))
    inputs = [u, *before, *layer.parameters()]
    gradients = []
    for run in (layer, lambda *inputs: slowly(layer, *inputs)):
        y, after = run(u, before)
        loss = (y * torch.arange(y.numel()).view(y.shape)).sum()
        loss = loss + after.h.square().sum() + after.conv_tail.pow(3).sum()
        gradients.append(torch.autograd.grad(loss, inputs))
    torch.testing.assert_close(*gradients, atol=1e-9, rtol=1e-9)


@torch.no_grad()
def test_the_network_is_its_equations():
    model = build()
    tokens = torch.randint(11, (B, 5))
    features, states, *_ = model(tokens, model.initial_cache(B))
    r = EMBEDDING_SCALE * model.output_layer.weight[tokens]
    for layer, norm, found in zip(model.layers, model.norms, states, strict=True):
        y, after = slowly(layer, rms(r, norm.weight), layer.initial_state(B))
        torch.testing.assert_close(found, after)
        r = r + y
    torch.testing.assert_close(features, rms(r, model.norm.weight))


@torch.no_grad()
def test_two_segments_are_one():
    model, tokens = build(), torch.randint(11, (B, 30))
    whole, after, *_ = model(tokens, model.initial_cache(B))
    first, middle, *_ = model(tokens[:, :13], model.initial_cache(B))
    second, last, *_ = model(tokens[:, 13:], middle)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(last, after)


def scan_inputs(length: int) -> list[Tensor]:
    """Random Δx, Δ, A, B, C and h of `length` tokens."""
    shapes = [(B, length, I), (B, length, I), (N, I), (B, length, N), (B, length, N), (B, N, I)]
    torch.manual_seed(1)
    delta_x, delta, A, *rest = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    return [one.requires_grad_() for one in (delta_x, delta.exp(), -A.exp(), *rest)]


def test_the_gradient_of_the_scan():
    assert torch.autograd.gradcheck(parallel_scan, scan_inputs(SAVE_EVERY + 2), fast_mode=True)


@pytest.mark.parametrize("chunks", [2, 3, 11])
def test_chunks_change_nothing(chunks):
    """11 tokens do not fit into 2 or 3 chunks of one length, which need padding."""
    inputs = scan_inputs(11)
    results = []
    for number in (1, chunks):
        y, h = parallel_scan(*inputs, chunks=number)
        loss = (y * torch.arange(y.numel()).view(y.shape)).sum() + h.square().sum()
        results.append((y, h, *torch.autograd.grad(loss, inputs)))
    torch.testing.assert_close(*results)


def test_a_step_is_a_scan_of_one():
    inputs = scan_inputs(1)
    torch.testing.assert_close(step(*inputs), parallel_scan(*inputs))


def test_a_cpu_scans_one_chunk():
    assert best_number_of_chunks(torch.zeros(2, 2048, 4), N) == 1


def test_steps_of_any_size_are_safe():
    """The largest steps forget everything at once; their sums and products stay finite."""
    delta_x, delta, A, *rest = (one.detach() for one in scan_inputs(20))
    delta = delta * 10.0 ** torch.arange(-8, 12.0)[:, None]
    for chunks in (1, 4):
        inputs = [one.float().requires_grad_() for one in (delta_x * delta, delta, A, *rest)]
        y, h = parallel_scan(*inputs, chunks=chunks)
        gradients = torch.autograd.grad(y.sum() + h.sum(), inputs)
        assert all(one.isfinite().all() for one in (y, h, *gradients))


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
    layer = MambaLayer(MambaConfig(vocab_size=11, width=800))
    assert layer.dt_proj.weight.shape == (1600, 50)
    step = softplus(layer.dt_proj.bias)
    assert 1e-3 <= step.min() < 2e-3
    assert 5e-2 < step.max() <= 1e-1
    torch.testing.assert_close(layer.A_log.exp(), torch.arange(1.0, 17).expand(1600, 16))
    assert (layer.D == 1).all()


def test_what_decays_in_time_has_no_weight_decay():
    model = build()
    groups = model.parameter_groups()
    without = [p for group in groups if not group.weight_decay for p in group.parameters]
    for layer in model.layers:
        for parameter in (layer.A_log, layer.D, layer.dt_proj.bias):
            assert any(parameter is one for one in without)
    grouped = [id(p) for group in groups for p in group.parameters]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
